"""Where the right item stands among all items, and what share of events that makes good.

Each event has one right item. A rank counts from 1; infinity is a miss: the item is unknown, or it
is not in the list. Ranks are always among ALL items: among a few drawn ones, which is quicker, weak
models look as good as strong ones (Krichene, Rendle, "On sampled metrics for item recommendation",
2020).
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tidegate.errors import InputError

__all__ = ["Ties", "mrr", "ndcg", "ranks", "ranks_in_list", "recall", "top"]

Ties = Literal["standard", "conservative", "median"]
"""How items of the right one's score count; see `ranks`."""

Floats = NDArray[np.float64]


def ranks(scores: NDArray[Any], truth: Floats, ties: Ties = "standard") -> Floats:
    """Return the rank of each event's right item among all items.

    Parameters
    ----------
    scores : float array (events, items)
        Higher is better. NaN ranks behind every number, and as the right item's score is a miss.
    truth : float64 array (events,)
        Index of the right item. NaN, or an index that is none of the items', is a miss.
    ties : {"standard", "conservative", "median"}
        Of the items with the right one's score, it comes first, last, or in the middle. Equal
        scores are common where a model saturates or is untrained: ``standard`` then calls it good,
        and a large difference between the modes says so.

    Returns
    -------
    float64 array (events,)
        From 1; infinity for a miss. ``median`` may give halves.

    Raises
    ------
    InputError
        ``unknown_ties``.

    References
    ----------
    The modes are those of GRU4Rec's evaluation (Hidasi, Karatzoglou 2018).

    Examples
    --------
    >>> scores = np.array([[0.1, 0.5, 0.5, 0.5], [0.9, 0.2, 0.1, 0.0]])
    >>> [ranks(scores, np.array([1.0, np.nan]), ties).tolist()
    ...  for ties in ("standard", "conservative", "median")]
    [[1.0, inf], [3.0, inf], [2.0, inf]]
    """
    if ties not in get_args(Ties):
        raise InputError(
            "unknown_ties",
            f"{ties!r} is no tie mode",
            field="ties",
            hint=f"use one of {', '.join(get_args(Ties))}",
        )
    known = (truth >= 0) & (truth < scores.shape[1])
    index = np.where(known, truth, 0).astype(np.int64)
    right = np.take_along_axis(scores, index[:, None], axis=1)
    above = (scores > right).sum(axis=1)
    equal = (scores == right).sum(axis=1)  # the right item itself is one of them
    share = {"standard": 0.0, "conservative": 1.0, "median": 0.5}[ties]
    found = 1.0 + above + share * (equal - 1.0)
    return np.where(known & ~np.isnan(right[:, 0]), found, np.inf)


def ranks_in_list(items: NDArray[Any], truth: Floats) -> Floats:
    """Return the place of each event's right item in its list, from 1; infinity where it is not.

    Parameters
    ----------
    items : array (events, k)
        Indices, the best first.
    truth : float64 array (events,)
        Index of the right item; NaN is a miss.

    Examples
    --------
    >>> ranks_in_list(np.array([[7, 3], [7, 3]]), np.array([3.0, 5.0])).tolist()
    [2.0, inf]
    """
    hit = items == truth[:, None]
    return np.where(hit.any(axis=1), hit.argmax(axis=1) + 1.0, np.inf)


def top(scores: NDArray[Any], k: int) -> NDArray[np.int64]:
    """Return the indices of the k best items of each event, the best first.

    Ties go to the lower index; NaN ranks behind every number.

    Parameters
    ----------
    scores : float array (events, items)
        Higher is better.
    k : int
        Items of a list; all of them, if there are fewer.

    Examples
    --------
    >>> top(np.array([[1.0, 3.0, 3.0, 2.0]]), 3).tolist()
    [[1, 2, 3]]
    """
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def recall(ranked: Floats, k: int) -> float:
    """Return the share of events whose right item is among the first k.

    Examples
    --------
    >>> recall(np.array([1.0, 4.0, 21.0, np.inf]), 20)
    0.5
    """
    return float((ranked <= k).mean())


def mrr(ranked: Floats, k: int) -> float:
    """Return the mean of one over the rank; 0 counts for an item that is not among the first k.

    Examples
    --------
    >>> mrr(np.array([1.0, 4.0, 21.0, np.inf]), 20)
    0.3125
    """
    return float(np.where(ranked <= k, 1.0 / ranked, 0.0).mean())


def ndcg(ranked: Floats, k: int) -> float:
    """Return the mean of one over log2(rank + 1); 0 for an item that is not among the first k.

    With one right item an event, the best possible gain is 1.

    Examples
    --------
    >>> ndcg(np.array([1.0, 3.0, 21.0, np.inf]), 20)
    0.375
    """
    return float(np.where(ranked <= k, 1.0 / np.log2(ranked + 1.0), 0.0).mean())
