"""What a model of the next item must beat: rules that need no training worth the name.

Each is fitted on the training part's sessions, and scores all items for the event that follows a
given one, from that event and those before it in its session alone.

Sessions are two arrays: the items of their events, as indices, and their offsets. Index 0 is an
item that training does not know: it counts for nothing, and scores minus infinity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tidegate.answers import ranking

__all__ = [
    "Baseline",
    "ItemKNN",
    "Markov",
    "Popularity",
    "SessionPopularity",
    "named",
    "without_seen",
]

Items = NDArray[np.int64]
Floats = NDArray[np.float64]

_LEAST = 1e-9
"""What popularity adds to a score: enough to order items that are equal but for it."""


class Baseline(Protocol):
    """A rule that scores items."""

    def scores(self, items: Items, offsets: Items, events: Items) -> Floats:
        """Score all items as the successor of some events.

        Parameters
        ----------
        items : int64 array (n,)
            Of all events of the sessions.
        offsets : int64 array (sessions + 1,)
            Session i is events ``offsets[i]:offsets[i + 1]``.
        events : int64 array (m,)
            After which of them.

        Returns
        -------
        float64 array (m, size)
            Higher is better; minus infinity for index 0.
        """


@dataclass(frozen=True, eq=False)
class Popularity:
    """The items that are the most frequent in training.

    Parameters
    ----------
    shares : float64 array (size,)
        Of the training part's events, by item.

    Examples
    --------
    >>> rule = Popularity.fit(np.array([2, 1, 2, 2]), np.array([0, 2, 4]), size=4)
    >>> rule.scores(np.array([1]), np.array([0, 1]), np.array([0])).tolist()
    [[-inf, 0.25, 0.75, 0.0]]
    """

    shares: Floats

    @classmethod
    def fit(cls, items: Items, offsets: Items, size: int) -> Popularity:
        """Count the items of sessions; `size` is the number of indices, 0 included."""
        del offsets
        counts = np.bincount(items, minlength=size).astype(np.float64)
        counts[0] = 0.0
        return cls(counts / max(counts.sum(), 1.0))

    def scores(self, items: Items, offsets: Items, events: Items) -> Floats:
        """Return every item's share, whatever came before."""
        del items, offsets
        return _known(np.tile(self.shares, (len(events), 1)))


@dataclass(frozen=True, eq=False)
class SessionPopularity:
    """The items that are the most frequent in the session so far; then those of all training.

    Parameters
    ----------
    popularity : Popularity
        Orders what the session had equally often, or not at all.
    """

    popularity: Popularity

    @classmethod
    def fit(cls, items: Items, offsets: Items, size: int) -> SessionPopularity:
        """Count the items of sessions; `size` is the number of indices, 0 included."""
        return cls(Popularity.fit(items, offsets, size))

    def scores(self, items: Items, offsets: Items, events: Items) -> Floats:
        """Return how often each item was in the session, plus a share below one."""
        found = self.popularity.scores(items, offsets, events)
        for row, past in zip(found, _pasts(items, offsets, events), strict=True):
            np.add.at(row, past, 1.0)
        return _known(found)


@dataclass(frozen=True, eq=False)
class ItemKNN:
    """The items whose sessions are most like those of the session's last items.

    The similarity of two items is ``c_ij / sqrt((n_i + shrink) * (n_j + shrink))``: c counts pairs
    of their events in the same session, n their events. Items that are no neighbours follow by
    popularity.

    Parameters
    ----------
    similarity : sparse array (size, size)
        Row i holds the neighbours of item i.
    popularity : Popularity
        Orders equals.
    last : int
        Events of the session, the latest, whose neighbours count; their similarities are added.

    References
    ----------
    The baseline of GRU4Rec's evaluation (Hidasi et al., "Session-based recommendations with
    recurrent neural networks", 2016), which has ``last = 1``, 100 neighbours, and a shrinkage of
    20.
    """

    similarity: sparse.csr_array
    popularity: Popularity
    last: int = 1

    @classmethod
    def fit(
        cls,
        items: Items,
        offsets: Items,
        size: int,
        *,
        neighbours: int = 100,
        shrink: float = 20.0,
        last: int = 1,
    ) -> ItemKNN:
        """Count pairs in sessions; `size` is the number of indices, 0 included."""
        sessions = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        known = items > 0
        shape = (len(offsets) - 1, size)
        ones = np.ones(int(known.sum()))
        held = sparse.coo_array((ones, (sessions[known], items[known])), shape=shape).tocsr()
        pairs = (held.T @ held).tocsr()
        weight = 1.0 / np.sqrt(np.bincount(items, minlength=size) + shrink)
        rows = []
        for item in range(size):
            start, end = pairs.indptr[item : item + 2]
            others, counts = pairs.indices[start:end], pairs.data[start:end]
            likeness = counts * weight[item] * weight[others]
            likeness[others == item] = 0.0
            # By likeness, and the lower index of equals.
            best = np.lexsort((others, -likeness))[:neighbours]
            best = best[likeness[best] > 0]
            rows.append((others[best], likeness[best]))
        indptr = np.concatenate([[0], np.cumsum([len(others) for others, _ in rows])])
        indices = np.concatenate([others for others, _ in rows])
        values = np.concatenate([likeness for _, likeness in rows])
        similarity = sparse.csr_array((values, indices, indptr), shape=(size, size))
        return cls(similarity, Popularity.fit(items, offsets, size), last)

    def scores(self, items: Items, offsets: Items, events: Items) -> Floats:
        """Return each item's similarity to the session's last ones."""
        pasts = [past[-self.last :] for past in _pasts(items, offsets, events)]
        lengths = [len(past) for past in pasts]
        rows = np.repeat(np.arange(len(events)), lengths)
        columns = np.concatenate([*pasts, np.zeros(0, np.int64)])
        size = self.similarity.shape[0]
        chosen = sparse.coo_array((np.ones(len(rows)), (rows, columns)), shape=(len(events), size))
        found = (chosen.tocsr() @ self.similarity).toarray()
        return _known(found + _LEAST * self.popularity.shares)


@dataclass(frozen=True, eq=False)
class Markov:
    """The items that most often follow the session's last one, smoothed by popularity.

    ``P(j | i) = (n_ij + backoff * share_j) / (n_i + backoff)``, where n counts the training part's
    successions: after an item that is unknown, or was never followed, popularity alone decides.

    Parameters
    ----------
    successions : sparse array (size, size)
        How often item j came right after item i.
    popularity : Popularity
        What is backed off to.
    backoff : float
        Its weight, in events (a Dirichlet prior).
    """

    successions: sparse.csr_array
    popularity: Popularity
    backoff: float = 10.0

    @classmethod
    def fit(cls, items: Items, offsets: Items, size: int, *, backoff: float = 10.0) -> Markov:
        """Count successions in sessions; `size` is the number of indices, 0 included."""
        follows = np.ones(len(items), dtype=bool)
        follows[offsets[:-1]] = False
        after = np.flatnonzero(follows)
        after = after[(items[after] > 0) & (items[after - 1] > 0)]
        pairs = (items[after - 1], items[after])
        counts = sparse.coo_array((np.ones(len(after)), pairs), shape=(size, size)).tocsr()
        return cls(counts, Popularity.fit(items, offsets, size), backoff)

    def scores(self, items: Items, offsets: Items, events: Items) -> Floats:
        """Return each item's probability."""
        del offsets
        counts = self.successions[items[events]].toarray()
        prior = self.backoff * self.popularity.shares
        return _known((counts + prior) / (counts.sum(axis=1, keepdims=True) + self.backoff))


def named(
    rule: Baseline, items: Items, offsets: Items, k: int, *, part: int = 1000
) -> NDArray[np.float32]:
    """Return what a rule answers after each event, as a model's ``top`` readout gives it.

    Parameters
    ----------
    rule : Baseline
        Fitted.
    items, offsets
        As `Baseline.scores` has them.
    k : int
        Items of an answer.
    part : int
        Events that are scored at a time.

    Returns
    -------
    float32 array (events, 2 * k)
        Scores, falling, then the indices of their items; of equals the lower index first.

    Examples
    --------
    >>> rule = Popularity.fit(np.array([2, 1, 2, 2]), np.array([0, 2, 4]), size=4)
    >>> named(rule, np.array([1]), np.array([0, 1]), k=2).tolist()
    [[0.75, 0.25, 2.0, 1.0]]
    """
    found = np.empty((len(items), 2 * k), dtype=np.float32)
    for events in np.split(np.arange(len(items)), range(part, len(items), part)):
        scores = rule.scores(items, offsets, events)
        best = ranking.top(scores, k)
        found[events, :k] = np.take_along_axis(scores, best, axis=1)
        found[events, k:] = best
    return found


def without_seen(scores: Floats, items: Items, offsets: Items, events: Items) -> Floats:
    """Return scores that leave out what the session already had: minus infinity.

    For data in which nothing comes twice, such as ratings.

    Parameters
    ----------
    scores : float array (m, size)
        Of all items, after some events.
    items, offsets, events
        As `Baseline.scores` has them.

    Examples
    --------
    >>> events, offsets = np.array([1]), np.array([0, 2])
    >>> without_seen(np.array([[-np.inf, 0.9, 0.5, 0.1]]), np.array([3, 1]), offsets, events)
    array([[-inf, -inf,  0.5, -inf]])
    """
    left = scores.copy()
    for row, past in zip(left, _pasts(items, offsets, events), strict=True):
        row[past] = -np.inf
    return left


def _pasts(items: Items, offsets: Items, events: Items) -> list[Items]:
    """Return the items of each event's session, up to that event."""
    starts = offsets[np.searchsorted(offsets, events, side="right") - 1]
    return [items[start : event + 1] for start, event in zip(starts, events, strict=True)]


def _known(scores: Floats) -> Floats:
    scores[:, 0] = -np.inf
    return scores
