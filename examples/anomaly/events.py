"""Readings of four sensor motes, as events.

    python examples/anomaly/events.py

fetches them (once; it needs npm) and writes build/anomaly/events.parquet. Each mote tells humidity
(%) and temperature (deg C) every five seconds for six hours; hot water was brought near two of
them, and those 149 readings are labelled (Suthaharan et al., "Labelled Data Collection for Anomaly
Detection in Wireless Sensor Networks", 2010). A session is a quarter of an hour of one mote.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from tidegate.data.datasets import fetch

OUT = Path(__file__).parents[2] / "build" / "anomaly" / "events.parquet"
FIELDS = ("humidity", "temperature")
SECONDS = 5
SESSION = 180
"""Readings of a session."""


def events(readings: pl.DataFrame) -> pl.DataFrame:
    """Return the events of a table of readings, with times from 1970-01-01 on.

    Beside each value stands its change since the reading before: levels drift through the hours,
    and what is ordinary in the first of them is not what is ordinary in the last.

    Parameters
    ----------
    readings : DataFrame
        With columns ``reading`` (from 1, of each mote), ``mote_id``, ``humidity``, ``temperature``
        and ``label``.
    """
    before = pl.col("reading") - 1
    part = (before // SESSION).cast(pl.String)
    changes = {
        f"{field}_change": pl.col(field).diff().over("mote_id").fill_null(0.0) for field in FIELDS
    }
    return readings.select(
        *FIELDS,
        session=pl.col("mote_id").cast(pl.String) + "-" + part,
        time=(before * SECONDS).cast(pl.Float64),
        anomaly="label",
        **changes,
    )


if __name__ == "__main__":
    OUT.parent.mkdir(parents=True, exist_ok=True)
    table = events(pl.read_csv(fetch("motes", progress=print) / "motes.csv"))
    table.write_parquet(OUT)
    print(f"{OUT}: {len(table):,} readings, {table['anomaly'].sum()} of them labelled anomalies")
