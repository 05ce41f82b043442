"""From the utterances of JapaneseVowels to tables of events.

    .venv/bin/python examples/vowels/events.py
    tidegate train examples/vowels/train.toml
    tidegate evaluate build/vowels/bundle build/vowels/test.parquet --early

An utterance is a session, a frame an event: 12 coefficients of what was heard, and who spoke.
"""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl

from tidegate.data import datasets, ts

OUT = Path(__file__).parents[2] / "build" / "vowels"


def main(folder: Path | None = None, out: Path = OUT) -> None:
    """Write ``train.parquet`` and ``test.parquet``, fetching the data set if no folder has it."""
    folder = folder or datasets.fetch("vowels", progress=print)
    out.mkdir(parents=True, exist_ok=True)
    for part in ("train", "test"):
        events = table(folder / f"{part}.ts", part)
        events.write_parquet(out / f"{part}.parquet")
        count = events["utterance"].n_unique()
        print(f"{out / part}.parquet: {count} utterances, {len(events)} frames")


def table(path: Path, part: str) -> pl.DataFrame:
    """Return the frames of a file's utterances."""
    series, speakers = ts.read(path)
    return pl.concat(
        pl.DataFrame(frames, schema=[f"c{k}" for k in range(1, frames.shape[1] + 1)]).select(
            pl.lit(f"{part}-{place}").alias("utterance"),
            pl.all(),
            pl.lit(str(speaker)).alias("speaker"),
        )
        for place, (frames, speaker) in enumerate(zip(series, speakers, strict=True))
    )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
