"""From hourly records to series in step, one file each under ``build/forecast``.

    .venv/bin/python examples/forecast/events.py

============= ============================== =================================================
file          value, ``y``                   beside it
============= ============================== =================================================
electricity   electricity use                nothing
pollution     fine dust in Beijing, ug/m3    the weather of the hour
traffic       cars an hour, westbound I-94   the weather of the hour; whether the day 24 hours
                                             on is a holiday, which a calendar knows
============= ============================== =================================================

A row of traffic stands there for each kind of weather of its hour; the last is kept. Hours without
a row get an empty one: 7,600 of traffic, ten months of them in a row.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from tidegate.data.datasets import fetch
from tidegate.data.series import prepare

ROOT = Path(__file__).parents[2]
OUT = ROOT / "build" / "forecast"


def electricity(rows: pl.DataFrame) -> pl.DataFrame:
    """Make the series of electricity use."""
    return prepare(rows.select(pl.lit("electricity").alias("unique_id"), ds="ts", y="y"))


def pollution(rows: pl.DataFrame) -> pl.DataFrame:
    """Make the series of fine dust."""
    return prepare(
        rows.select(
            pl.lit("beijing").alias("unique_id"),
            pl.datetime("year", "month", "day", "hour").alias("ds"),
            pl.col("pm2.5").cast(pl.Float64).alias("y"),
            temperature=pl.col("TEMP").cast(pl.Float64),
            dew_point=pl.col("DEWP").cast(pl.Float64),
            pressure=pl.col("PRES").cast(pl.Float64),
            wind=pl.col("Iws").cast(pl.Float64),
            direction="cbwd",
        )
    )


def traffic(rows: pl.DataFrame) -> pl.DataFrame:
    """Make the series of traffic."""
    # The record names a holiday at the day's first hour alone.
    holiday = (pl.col("holiday") != "None").any().over(pl.col("ds").dt.date())
    hours = (
        rows.with_columns(pl.col("date_time").str.to_datetime(time_unit="us").alias("ds"))
        .with_columns(holiday.alias("holiday"))
        .unique("ds", keep="last", maintain_order=True)
    )
    return prepare(
        hours.select(
            pl.lit("i94").alias("unique_id"),
            "ds",
            "holiday",
            # 0 K stands for a sensor that is silent.
            pl.when(pl.col("temp") > 0).then("temp").alias("temperature"),
            y=pl.col("traffic_volume").cast(pl.Float64),
            clouds=pl.col("clouds_all").cast(pl.Float64),
            weather="weather_main",
        ),
        known={"holiday": [24]},
    ).drop("holiday")


MAKERS = {"electricity": electricity, "pollution": pollution, "traffic": traffic}


def main() -> None:
    """Make all three."""
    folder = fetch("hourly", progress=print)
    OUT.mkdir(parents=True, exist_ok=True)
    for name, make in MAKERS.items():
        found = make(
            pl.read_csv(folder / f"{name}.csv", null_values="NA", infer_schema_length=None)
        )
        found.write_parquet(OUT / f"{name}.parquet")
        print(f"{name}: {len(found):,} hours, {found['y'].null_count():,} without a value")


if __name__ == "__main__":
    main()
