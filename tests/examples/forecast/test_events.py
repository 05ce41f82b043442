"""From hourly records to series in step, and configurations that fit them."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import examples_of
import polars as pl
import pytest

from tidegate.train import load_config

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "examples" / "forecast"


@pytest.fixture(scope="module")
def events() -> ModuleType:
    return examples_of.load("forecast")


def records(name: str) -> pl.DataFrame:
    if name == "electricity":
        return pl.DataFrame({"ts": ["2012-01-01 00:00:00", "2012-01-01 01:00:00"], "y": [1.0, 2.0]})
    if name == "pollution":
        columns = {"year": [2010] * 3, "month": [1] * 3, "day": [1] * 3, "hour": [0, 1, 2]}
        weather = {"DEWP": [1] * 3, "TEMP": [2] * 3, "PRES": [3] * 3, "cbwd": ["NW"] * 3}
        dust = {"pm2.5": [None, 9, 8], "Iws": [0.5] * 3}
        return pl.DataFrame({**columns, **weather, **dust})
    days = ["2015-01-01 00", "2015-01-01 01", "2015-01-01 01", "2015-01-01 03", "2015-01-02 00"]
    hours = {
        "holiday": ["New Years Day", *["None"] * 4],
        "temp": [270.0, 0.0, 271.0, 272.0, 273.0],
        "clouds_all": [1, 2, 3, 4, 5],
        "weather_main": ["Snow", "Mist", "Snow", "Clear", "Clear"],
        "date_time": [f"{day}:00:00" for day in days],
        "traffic_volume": [10, 20, 21, 30, 40],
    }
    return pl.DataFrame(hours)


@pytest.mark.parametrize("name", ["electricity", "pollution", "traffic"])
def test_a_configuration_has_the_columns_that_are_made(events: ModuleType, name: str) -> None:
    found = events.MAKERS[name](records(name))
    config = load_config(FOLDER / f"{name}.toml")
    assert {config.data.session, config.data.time, *config.schema.fields} == set(found.columns)
    assert Path(config.data.events).resolve() == events.OUT / f"{name}.parquet"


def test_traffic_has_one_row_an_hour_and_knows_the_calendar(events: ModuleType) -> None:
    found = events.MAKERS["traffic"](records("traffic"))
    assert found["y"].to_list()[:4] == [10.0, 21.0, None, 30.0]
    assert len(found) == 25
    # The first hour's tomorrow is no holiday; nobody has a row yet for the hours after that.
    assert found["holiday+24"].to_list() == [False, *[None] * 24]
