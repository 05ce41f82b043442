"""The demo's modules, and a few flights to try them on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

# The example's modules import each other by name, as they do when it runs.
sys.path.insert(0, str(Path(__file__).parents[3] / "examples" / "flights"))

AIRPORTS = pl.DataFrame(
    {
        "faa": ["LAX", "ORD", "MIA"],
        "tzone": ["America/Los_Angeles", "America/Chicago", "America/New_York"],
    }
)


def flight(
    day: tuple[int, int],
    due: int,
    arrival_due: int,
    dep_delay: int | None = 0,
    arr_delay: int | None = 0,
    dest: str = "MIA",
    number: int = 1,
    **changed: Any,
) -> dict[str, Any]:
    """One row of flights.csv; clock times as there: 1730 is half past five in the afternoon."""
    row = {
        "year": 2013,
        "month": day[0],
        "day": day[1],
        "hour": due // 100,
        "minute": due % 100,
        "sched_arr_time": arrival_due,
        "dep_delay": dep_delay,
        "arr_delay": arr_delay,
        "carrier": "AA",
        "origin": "JFK",
        "dest": dest,
        "distance": 1000,
        "flight": number,
    }
    return {**row, **changed}


def hour_of_weather(time: str, rain: float = 0.0, origin: str = "JFK") -> dict[str, Any]:
    """One row of weather.csv."""
    row = {"humid": 50.0, "wind_speed": 10.0, "precip": rain, "visib": 10.0}
    return {"origin": origin, "time_hour": time, **row}


SCHEMA = {"dep_delay": pl.Int64, "arr_delay": pl.Int64}


@pytest.fixture(scope="session")
def make_flight() -> Callable[..., dict[str, Any]]:
    return flight


@pytest.fixture(scope="session")
def make_weather() -> Callable[..., dict[str, Any]]:
    return hour_of_weather


@pytest.fixture(scope="session")
def make_events() -> Callable[..., pl.DataFrame]:
    """Events of rows of flights and of weather."""
    from events import event_table

    def make(
        flights: list[dict[str, Any]], weather: list[dict[str, Any]] | None = None
    ) -> pl.DataFrame:
        rows = weather or [hour_of_weather("2013-01-01T05:00:00Z")]
        return event_table(
            pl.DataFrame(flights, schema_overrides=SCHEMA), pl.DataFrame(rows), AIRPORTS
        )

    return make
