"""A configuration that trains in a second: is a value above the one before it?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

CONFIG = """
[data]
events = "events.parquet"
session = "id"
time = "at"
label = "rose"

[task]
name = "classify"

[split]
by = "session"
fractions = [0.6, 0.2, 0.2]

[schema.fields]
level = { kind = "numeric" }
site = { kind = "category" }

[model]
hidden_size = 6

[train]
epochs = 2
batch_tokens = 512
learning_rate = 0.02
warmup_steps = 2

[bundle]
name = "rises"
version = "1"
out = "bundle"
"""


def write(folder: Path, text: str = CONFIG) -> Path:
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 12, 120)
    count = int(lengths.sum())
    level = rng.standard_normal(count)
    pl.DataFrame(
        {
            "id": np.repeat([f"s{i}" for i in range(120)], lengths),
            "at": np.arange(count) * 60.0,
            "level": level,
            "site": rng.choice(["north", "south"], count),
            "rose": np.append(False, level[1:] > level[:-1]).astype(np.int64),
        }
    ).write_parquet(folder / "events.parquet")
    path = folder / "rises.toml"
    path.write_text(text)
    return path
