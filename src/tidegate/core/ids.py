"""Session ids of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ids"]

Ids = Sequence[str] | tuple[NDArray[Any], NDArray[np.uint8]]
"""Texts; or offsets (int32 or int64) and the bytes of all of them, as Arrow lays texts out."""
