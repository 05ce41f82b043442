"""Sentences of the Brown corpus, as events to tag.

    python examples/tagging/events.py          # fetches the corpus, once

Writes ``build/brown/tokens.parquet``: a session a sentence, a token an event, the part of speech
its label. Parts of speech that occur fewer than `FEW` times are left empty.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import polars as pl

from tidegate.data import brown, datasets

OUT = Path(__file__).parents[2] / "build" / "brown" / "tokens.parquet"
FEW = 40
"""The rarest of the 190 have a token or two each, and some would be in one part alone."""


def main() -> None:
    """Fetch the corpus and write the events."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    out = parser.parse_args().out
    events = brown.token_events(brown.read(datasets.fetch("brown", progress=print)))
    events = events.with_columns(
        tag=pl.when(pl.len().over("tag") >= FEW).then(pl.col("tag")).otherwise(None)
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    events.write_parquet(out)
    print(f"{out}: {events.height:,} tokens, {events['session'].n_unique():,} sentences")


if __name__ == "__main__":
    main()
