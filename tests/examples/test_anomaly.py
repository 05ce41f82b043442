"""The example's events, and its configuration on readings like those that it fetches."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import examples_of
import msgspec
import numpy as np
import polars as pl
import pytest

from tidegate.train import load_config, run

EXAMPLE = Path(__file__).parents[2] / "examples" / "anomaly"


@pytest.fixture
def readings() -> pl.DataFrame:
    """Four motes, of which one has a burst of steam in the last hours."""
    rng = np.random.default_rng(0)
    n, motes = 2600, 4
    humidity = 40 + rng.normal(0, 0.05, (motes, n)).cumsum(axis=1)
    label = np.zeros((motes, n), dtype=int)
    label[0, 2400:2410] = 1
    humidity[0, 2400:2410] += 20
    return pl.DataFrame(
        {
            "reading": np.tile(np.arange(1, n + 1), motes),
            "mote_id": np.repeat(np.arange(1, motes + 1), n),
            "indoor": 1,
            "humidity": humidity.ravel(),
            "temperature": 25 + rng.normal(0, 0.1, motes * n),
            "label": label.ravel(),
        }
    )


@pytest.fixture
def events() -> ModuleType:
    return examples_of.load("anomaly")


def test_a_session_is_a_quarter_of_an_hour(events, readings: pl.DataFrame) -> None:
    table = events.events(readings)
    assert len(table) == len(readings)
    spans = table.group_by("session").agg(pl.len(), (pl.col("time").max() - pl.col("time").min()))
    assert spans["len"].max() == 180
    assert spans["time"].max() == 15 * 60 - 5
    first = table.filter(pl.col("time") == 0)
    assert first["humidity_change"].to_list() == [0.0] * 4  # nothing came before
    second = table.filter(pl.col("time") == 5)
    found = (second["humidity"] - first["humidity"]).to_numpy()
    np.testing.assert_allclose(found, second["humidity_change"].to_numpy(), atol=1e-12)


def test_the_configuration_finds_a_burst(events, readings: pl.DataFrame, tmp_path: Path) -> None:
    events.events(readings).write_parquet(tmp_path / "events.parquet")
    config = load_config(EXAMPLE / "train.toml")
    config = msgspec.structs.replace(
        config,
        data=msgspec.structs.replace(config.data, events=str(tmp_path / "events.parquet")),
        bundle=msgspec.structs.replace(config.bundle, out=str(tmp_path / "bundle")),
        train=msgspec.structs.replace(config.train, epochs=4),
    )
    made = run(config, quiet=True)
    found = made.provenance["metrics"]["test"]
    assert found["anomalies"] == 10
    assert found["recall"] > 0
    assert found["auc"] > 0.7
    assert made.provenance["metrics"]["valid"]["false_alarm_rate"] <= 0.001
