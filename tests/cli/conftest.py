"""A table of labelled events for the verbs that read one."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest


@pytest.fixture
def frame(random_events) -> pl.DataFrame:
    """60 events of three sessions, mixed up, with labels on some."""
    rng = np.random.default_rng(5)
    columns = {
        name: pl.Series([None if value != value else value for value in values.tolist()])
        for name, values in random_events(60, rng).items()
    }
    labels = rng.choice(["no", "yes", None], 60)
    return pl.DataFrame(
        {
            "session": rng.choice(["a", "b/c", "d"], 60),
            "time": rng.permutation(60) * 30.0,
            **columns,
            "late": pl.Series(labels.tolist(), dtype=pl.String),
        }
    ).with_columns(pl.col("wet").cast(pl.Boolean))
