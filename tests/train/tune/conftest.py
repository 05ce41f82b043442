"""Cars, a configuration for them, and a small space around it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

CONFIG = """
[data]
events = "drives.parquet"
session = "car"
time = "at"
label = "jam"
[task]
name = "classify"
[split]
by = "time"
valid_from = 1e6
test_from = 2e6
[schema.fields]
speed = { kind = "numeric" }
lane = { kind = "category" }
[train]
epochs = 3
warmup_steps = 3
[bundle]
name = "cars"
version = "1"
out = "cars"
[tune]
defaults = false
startup = 3
seed = 4
"""
SPACE = """
[tune.space]
"model.cell" = ["gru", "rnn"]
"model.hidden_size" = { low = 2, high = 6 }
"train.learning_rate" = { low = 1e-3, high = 0.1, log = true }
"train.batch_tokens" = [256]
"""


@pytest.fixture
def write(tmp_path: Path, drives: pl.DataFrame) -> Callable[..., Path]:
    """Write the cars and a configuration, and return the path of the latter."""
    drives.write_parquet(tmp_path / "drives.parquet")

    def write(space: str = SPACE, **changes: str) -> Path:
        text = CONFIG
        for old, new in changes.items():
            assert f"\n{old} = " in text
            text = "\n".join(
                f"{old} = {new}" if line.startswith(f"{old} = ") else line
                for line in text.splitlines()
            )
        path = tmp_path / "train.toml"
        path.write_text(f"{text}\n{space}")
        return path

    return write
