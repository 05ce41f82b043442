"""MovieLens-100K as a table of events: who rated which film when."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

__all__ = ["events"]


def events(folder: str | Path) -> pl.DataFrame:
    """Read the ratings.

    Parameters
    ----------
    folder : str or Path
        From ``datasets.fetch("movielens-100k")``.

    Returns
    -------
    polars.DataFrame
        A row a rating: ``user``, ``film``, ``stars`` and ``time`` (unix seconds), in the order of
        the file. That order is random: where one user rated several films in the same second, which
        is so for half of all ratings, their order in a table tells nothing of what comes next.
        Sorted by film it would.

    References
    ----------
    F. Harper, J. Konstan, "The MovieLens datasets: history and context", 2015.
    """
    import polars as pl

    return pl.read_csv(
        Path(folder, "ml-100k.inter"),
        separator="\t",
        new_columns=["user", "film", "stars", "time"],
        schema_overrides=[pl.String, pl.String, pl.Float64, pl.Float64],
    )
