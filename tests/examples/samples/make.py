"""Make the samples anew, from what the examples' own scripts have written to build/.

    .venv/bin/python tests/examples/samples/make.py

What each is of, and on what terms, is in README.md beside this file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl

HERE = Path(__file__).parent
BUILD = HERE.parents[2] / "build"
HOURS = 1_100
TAGS_OF = 40


def flights() -> pl.DataFrame:
    """JetBlue at LaGuardia and Newark, around the days at which the example splits."""
    days = pl.Series(["2013-09-2", "2013-10-1", "2013-11-0"])
    events = pl.read_parquet(BUILD / "demo" / "events.parquet")
    parts = events["session"].str.split("/")
    origin, carrier, day = (parts.list.get(place) for place in range(3))
    chosen = (carrier == "B6") & origin.is_in(["LGA", "EWR"])
    return events.filter(chosen & day.str.head(9).is_in(days.implode())).drop("day", "flight")


def vowels() -> pl.DataFrame:
    """Five utterances of each speaker."""
    events = pl.read_parquet(BUILD / "vowels" / "train.parquet")
    first = events.unique("utterance", keep="first", maintain_order=True)
    few = first.filter(pl.int_range(pl.len()).over("speaker") < 5)["utterance"]
    return events.filter(pl.col("utterance").is_in(few.implode()))


def motes() -> pl.DataFrame:
    """Every third quarter of an hour of each mote, and all that have an anomaly."""
    events = pl.read_parquet(BUILD / "anomaly" / "events.parquet")
    part = events["session"].str.split("-").list.get(1).cast(pl.Int64)
    odd = events.filter(pl.col("anomaly") == 1)["session"].unique()
    return events.filter((part % 3 == 0) | pl.col("session").is_in(odd.implode()))


def hours(name: str, begin: str) -> pl.DataFrame:
    """Some six weeks of a series."""
    events = pl.read_parquet(BUILD / "forecast" / f"{name}.parquet")
    return events.filter(pl.col("ds") >= pl.lit(begin).str.to_datetime()).head(HOURS)


def tokens() -> pl.DataFrame:
    """Three sentences of each text; of them, the tags that occur often."""
    events = pl.read_parquet(BUILD / "brown" / "tokens.parquet")
    text = pl.col("session").str.split("-").list.first()
    first = events.select("session", text=text).unique("session", keep="first", maintain_order=True)
    few = first.filter(pl.int_range(pl.len()).over("text") < 3).head(300)["session"]
    some = events.filter(pl.col("session").is_in(few.implode()))
    often = pl.len().over("tag") >= TAGS_OF
    return some.with_columns(tag=pl.when(often).then(pl.col("tag")).otherwise(None))


def characters() -> pl.DataFrame:
    """The first 120 characters of each text."""
    events = pl.read_parquet(BUILD / "brown" / "characters.parquet")
    return events.filter(pl.int_range(pl.len()).over("session") < 120)


def notes() -> pl.DataFrame:
    """The first eight bars or so of every fourth chorale."""
    events = pl.read_parquet(BUILD / "chorales" / "notes.parquet")
    piece = pl.col("session").rle_id()
    return events.filter((piece % 4 == 0) & (pl.int_range(pl.len()).over("session") < 256))


def main() -> None:
    """Write them all."""
    made = {
        "flights": flights(),
        "vowels": vowels(),
        "motes": motes(),
        "electricity": hours("electricity", "2013-06-01"),
        "pollution": hours("pollution", "2012-12-01"),
        "traffic": hours("traffic", "2016-09-01"),
        "tokens": tokens(),
        "characters": characters(),
        "notes": notes(),
    }
    for name, events in made.items():
        path = HERE / f"{name}.parquet"
        events.write_parquet(path, compression_level=19)
        sys.stdout.write(f"{name}: {events.height:,} events, {path.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
