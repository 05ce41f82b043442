"""Batches of whole sessions of similar length, padded, under a budget of tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.errors import InputError

__all__ = ["Batch", "Batches"]


@dataclass(frozen=True, eq=False)
class Batch:
    """Sessions, padded behind their last event.

    Parameters
    ----------
    rows : float32 array (B, T, width)
        Encoded rows; 0 in the padding.
    lengths : int64 array (B,)
        Events of each session.
    labels : float64 array (B, T)
        NaN where there is no label, and in the padding.
    session_indices : int64 array (B,)
        Which sessions these are.
    """

    rows: NDArray[np.float32]
    lengths: NDArray[np.int64]
    labels: NDArray[np.float64]
    session_indices: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Batches:
    """Every session once an epoch, bucketed by length.

    A batch holds as many sessions as fit: sessions times the longest of them, padding included,
    stays within the budget. A session that is longer than the budget is a batch of its own.

    Parameters
    ----------
    rows : float32 array (events, width)
        From `Schema.encode`.
    offsets : int64 array (sessions + 1,)
        Session i is events ``offsets[i]:offsets[i + 1]``; at least one event each.
    labels : float64 array (events,)
        From `answers.encode_labels`.
    budget : int
        Events and padding of one batch.
    seed : int, optional
        Shuffles sessions of equal length and the order of batches, anew in each epoch: the same
        seed and epoch give the same batches, whatever ran before. None: from short to long.

    Raises
    ------
    InputError
        ``bad_budget``; ``empty_session``.

    Examples
    --------
    >>> batches = Batches(np.ones((7, 2), np.float32), np.array([0, 3, 4, 7]), np.zeros(7), 6)
    >>> [(batch.session_indices.tolist(), batch.rows.shape) for batch in batches.epoch()]
    [([1, 0], (2, 3, 2)), ([2], (1, 3, 2))]
    """

    rows: NDArray[np.float32]
    offsets: NDArray[np.int64]
    labels: NDArray[np.float64]
    budget: int
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.budget < 1:
            raise InputError(
                "bad_budget", f"{self.budget} is no budget", field="budget", hint="use 1 or more"
            )
        empty = np.flatnonzero(np.diff(self.offsets) < 1)
        if len(empty):
            raise InputError(
                "empty_session",
                f"session {empty[0]} has no event",
                field="offsets",
                hint="leave such sessions out",
            )

    def plan(self, epoch: int = 0) -> list[NDArray[np.int64]]:
        """Return the sessions of each batch of an epoch (counted from 0)."""
        lengths = np.diff(self.offsets)
        if len(lengths) == 0:
            return []
        rng = None if self.seed is None else np.random.default_rng([self.seed, epoch])
        order = np.arange(len(lengths)) if rng is None else rng.permutation(len(lengths))
        order = order[np.argsort(lengths[order], kind="stable")]
        # Lengths rise, so the session that is being added is the longest of its batch.
        starts = [0]
        for place, length in enumerate(lengths[order].tolist()):
            if place > starts[-1] and (place - starts[-1] + 1) * length > self.budget:
                starts.append(place)
        batches = np.split(order, starts[1:])
        return batches if rng is None else [batches[i] for i in rng.permutation(len(batches))]

    def epoch(self, epoch: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch."""
        return map(self.pad, self.plan(epoch))

    def pad(self, session_indices: NDArray[np.int64]) -> Batch:
        """Return one batch of the sessions given."""
        lengths = np.diff(self.offsets)[session_indices]
        places = np.arange(lengths.max())
        real = places < lengths[:, None]
        events = (self.offsets[session_indices][:, None] + places)[real]
        rows = np.zeros((*real.shape, self.rows.shape[1]), dtype=np.float32)
        rows[real] = self.rows[events]
        labels = np.full(real.shape, np.nan)
        labels[real] = self.labels[events]
        return Batch(rows, lengths, labels, session_indices)
