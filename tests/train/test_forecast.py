"""A forecast from a configuration to a bundle that answers event by event, and its backtest."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
import numpy as np
import polars as pl
import pytest

from tidegate import answers, tables
from tidegate import bundle as bundles
from tidegate.data.series import prepare
from tidegate.engine import Engine, offline
from tidegate.errors import InputError
from tidegate.train import TrainConfig, cross_validation, parse_config, run

CONFIG = """
[data]
events = "events.csv"
session = "unique_id"
time = "ds"

[task]
name = "forecast"
field = "y"

[task.forecast]
horizons = [1, 2, 6]
season = 6
coverage = 0.8

[schema.fields]
unique_id = { kind = "category", constant = true }
y = { kind = "numeric", missing = "carry", indicator = true }
"wave+1" = { kind = "numeric", missing = "zero" }

[split]
by = "cut"
valid_from = 2024-01-09
test_from = 2024-01-12

[model]
hidden_size = 8

[train]
epochs = 25
mode = "lanes"
lanes = 4
chunk = 48
learning_rate = 0.01
warmup_steps = 2

[bundle]
name = "waves"
version = "1"
out = "bundle"
"""


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    """Four series of two weeks that repeat every six hours: one constant, one short, one gappy."""
    rng = np.random.default_rng(0)
    start = datetime(2024, 1, 1)
    rows = []
    for name, (level, size, length) in {
        "calm": (3.0, 0.0, 336),
        "gappy": (10.0, 4.0, 336),
        "late": (5.0, 1.0, 4),
        "wild": (20.0, 8.0, 336),
    }.items():
        for at in range(length):
            if name == "gappy" and at % 17 == 5:
                continue
            wave = np.sin(2 * np.pi * at / 6)
            value = level + size * (wave + 0.1 * rng.normal())
            rows.append((name, start + timedelta(hours=at), value, wave))
    columns = {"unique_id": pl.String, "ds": pl.Datetime("us"), "y": pl.Float64, "wave": pl.Float64}
    found = pl.DataFrame(rows, schema=columns, orient="row")
    return prepare(found, known={"wave": [1]})


@pytest.fixture(scope="module")
def config(frame: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    folder = tmp_path_factory.mktemp("forecast")
    frame.write_csv(folder / "events.csv")
    return parse_config(CONFIG, folder)


@pytest.fixture(scope="module")
def made(config: TrainConfig) -> bundles.Bundle:
    return run(config, quiet=True)


def table_of(config: TrainConfig, frame: pl.DataFrame) -> tables.EventTable:
    kinds = {name: field.kind for name, field in config.schema.fields.items()}
    return tables.read(frame, session="unique_id", time="ds", fields=kinds)


def test_it_beats_the_naive_forecasts(made: bundles.Bundle) -> None:
    found = made.provenance["metrics"]["test"]
    assert found["mae"] < 0.7 * found["mae_last"]
    assert found["mae_seasonal"] > 0
    assert 0.6 < found["coverage"] <= 1.0


def test_a_served_session_says_what_the_table_says(
    made: bundles.Bundle, config: TrainConfig, frame: pl.DataFrame
) -> None:
    table = table_of(config, frame)
    engine, half = Engine.open(made), answers.open(made.task)
    outputs = offline.outputs(offline.open(made), table.columns, table.times, table.offsets)
    for place, name in enumerate(table.sessions[:2]):
        for at in range(table.offsets[place], table.offsets[place] + 30):
            columns = {field: column[at : at + 1] for field, column in table.columns.items()}
            stepped = engine.step_events([name], columns, table.times[at : at + 1])
            np.testing.assert_allclose(stepped.outputs[0], outputs[at], atol=1e-5)
            [answer] = half.answer(stepped.outputs)
            assert len(answer["forecast"]) == len(answer["low"]) == len(answer["high"]) == 3


def test_a_bundle_keeps_the_margins(made: bundles.Bundle, config: TrainConfig) -> None:
    loaded = bundles.load(config.bundle.out)
    assert loaded.task.forecast is not None
    assert loaded.task == made.task
    assert len(loaded.task.forecast.margins) == 3
    assert all(margin > 0 for margin in loaded.task.forecast.margins)


def test_a_backtest_has_a_row_for_each_value_that_came(
    config: TrainConfig, frame: pl.DataFrame
) -> None:
    quick = msgspec.structs.replace(config, train=msgspec.structs.replace(config.train, epochs=1))
    found = cross_validation(quick, windows=2, validation=24, refit=False)
    assert found.columns[:6] == ["unique_id", "ds", "cutoff", "horizon", "y", "y_hat"]
    assert found["cutoff"].n_unique() == 2
    assert set(found["unique_id"]) == {"calm", "gappy", "wild"}  # the late one had ended
    assert len(found) == 2 * 3 * 3
    assert (found["lo"] <= found["y_hat"]).all()
    assert (found["y_hat"] <= found["hi"]).all()
    for row in found.rows(named=True):
        assert (row["ds"] - row["cutoff"]).total_seconds() == 3600 * row["horizon"]
        there = frame.filter(
            (pl.col("unique_id") == row["unique_id"]) & (pl.col("ds") == row["ds"])
        )
        assert row["y"] == there["y"][0]


def test_a_backtest_does_not_see_what_came_later(config: TrainConfig, frame: pl.DataFrame) -> None:
    quick = msgspec.structs.replace(config, train=msgspec.structs.replace(config.train, epochs=1))
    first = cross_validation(quick, frame, windows=1, validation=24)
    cutoff = first["cutoff"][0]
    later = pl.col("ds") > cutoff
    other = frame.with_columns(pl.when(later).then(pl.col("y") * 50 + 9).otherwise("y").alias("y"))
    again = cross_validation(quick, other, windows=1, validation=24)
    assert again["y_hat"].to_list() == first["y_hat"].to_list()
    assert again["hi"].to_list() == first["hi"].to_list()
    assert again["y"].to_list() != first["y"].to_list()


@pytest.mark.parametrize(
    ("options", "code"),
    [({"windows": 0}, "out_of_range"), ({"windows": 60}, "empty_part")],
)
def test_a_backtest_that_cannot_be_is_refused(
    config: TrainConfig, options: dict[str, int], code: str
) -> None:
    with pytest.raises(InputError) as caught:
        cross_validation(config, **options)  # type: ignore[arg-type]
    assert caught.value.code == code


def test_only_forecasts_have_a_backtest(config: TrainConfig) -> None:
    task = msgspec.structs.replace(config.task, forecast=None)
    with pytest.raises(InputError, match=r"task\.forecast"):
        cross_validation(msgspec.structs.replace(config, task=task))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (("hidden_size = 8", "hidden_size = 8\nbidirectional = true"), "model.bidirectional"),
        (('time = "ds"', ""), "split.by"),
        (("horizons = [1, 2, 6]", "horizons = 1_000_000"), "task.forecast.horizons"),
        (("horizons = [1, 2, 6]", "horizons = 0"), "task.forecast.horizons"),
        (("horizons = [1, 2, 6]", "horizons = [1]\nquantiles = [0.9]"), "task.forecast.quantiles"),
    ],
)
def test_a_configuration_that_makes_no_forecast_is_refused(
    change: tuple[str, str], field: str
) -> None:
    with pytest.raises(InputError) as caught:
        parse_config(CONFIG.replace(*change))
    assert caught.value.field == field


def test_only_a_forecast_is_cut_in_time() -> None:
    other = CONFIG.replace('name = "forecast"\nfield = "y"', 'name = "regress"')
    other = other.replace('time = "ds"', 'time = "ds"\nlabel = "z"')
    section = "[task.forecast]\nhorizons = [1, 2, 6]\nseason = 6\ncoverage = 0.8\n"
    assert section in other
    other = other.replace(section, "")
    with pytest.raises(InputError, match=r"split\.by"):
        parse_config(other)
