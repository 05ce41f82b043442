"""The parts of a configuration as files: for tables that do not fit into memory.

Schema, task and what a bundle tells of its training data are fitted on a sample of the training
part: whole sessions, drawn at random. A part that is no larger than the sample is the sample, and
all that comes of it is equal, to the bit, to what `train.parts.prepare` makes.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegate import __version__, answers, tasks
from tidegate.data import mapped, splits
from tidegate.errors import InputError
from tidegate.files import refusals
from tidegate.schema import Schema
from tidegate.spec import TaskSpec
from tidegate.tables import EventTable, naming_rows
from tidegate.train.config import TrainConfig
from tidegate.train.sequences import Sequences
