"""What a model costs to keep and to run."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import msgspec
import numpy as np

from tidegate.engine import Engine
from tidegate.train.package import save_bundle
from tidegate.train.trained import Trained

__all__ = ["Cost", "measure"]

_STEPS, _ROUNDS = 300, 7


class Cost(msgspec.Struct, frozen=True):
    """What a model costs.

    Parameters
    ----------
    bundle_bytes : int
        Of its folder.
    state_floats : int
        Hidden state of a session.
    step_us : float
        Microseconds of one step of one session from Python, one thread: the median of rounds.
    """

    bundle_bytes: int
    state_floats: int
    step_us: float


def measure(trained: Trained) -> Cost:
    """Save a model for a moment, and step it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "bundle")
        made = save_bundle(trained, path, name="compared", version="1")
        size = sum(file.stat().st_size for file in path.iterdir())
    engine = Engine.open(made, replay=False)
    row = np.zeros((1, made.spec.row_size), dtype=np.float32)
    rounds = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        for _ in range(_STEPS):
            engine.step(["a"], row)
        rounds.append((time.perf_counter() - began) / _STEPS)
    return Cost(size, made.spec.state_size, statistics.median(rounds) * 1e6)
