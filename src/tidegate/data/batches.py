"""Batches of whole sessions of similar length, padded, under a budget of tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tidegate.data import targets
from tidegate.data.augment import Augmentation
from tidegate.data.mapped import taken
from tidegate.data.targets import Targets
from tidegate.data.truncate import Spans, Windows
from tidegate.errors import InputError

__all__ = ["Batch", "Batches", "check_sessions", "marks", "pad", "vary"]

WHOLE = Windows()
PLAIN = Augmentation()


@dataclass(frozen=True, eq=False)
class Batch:
    """Stretches of sessions, padded behind their last event.

    Parameters
    ----------
    rows : float32 array (B, T, width)
        Encoded rows; 0 in the padding.
    lengths : int64 array (B,)
        Events of each stretch.
    labels : float array (B, T) or (B, T, n)
        What is to be learned of each event; NaN where nothing is, and in the padding.
    session_indices : int64 array (B,)
        Which sessions these are.
    starts : int64 array (B,)
        Row of each stretch's first event, among those of all sessions.
    before : int64 array (B,)
        Events of its session before that one.
    carried : int64 array (B,)
        The stretch of the batch before whose state this one goes on from; -1 where a session
        begins.
    """

    rows: NDArray[np.float32]
    lengths: NDArray[np.int64]
    labels: NDArray[np.floating]
    session_indices: NDArray[np.int64]
    starts: NDArray[np.int64]
    before: NDArray[np.int64]
    carried: NDArray[np.int64]

    @property
    def real(self) -> NDArray[np.bool_]:
        """Which places (B, T) hold an event."""
        return np.arange(self.rows.shape[1]) < self.lengths[:, None]

    @property
    def learned(self) -> int:
        """How many events have something to learn."""
        return int(targets.known(self.labels.reshape(-1, *self.labels.shape[2:])).sum())

    @property
    def events(self) -> NDArray[np.int64]:
        """Row of each event among those of all sessions, in the order of the real places."""
        return (self.starts[:, None] + np.arange(self.rows.shape[1]))[self.real]


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
    labels : float array (events,) or (events, n), or Targets
        What is to be learned of each event; NaN: nothing.
    budget : int
        Events and padding of one batch.
    seed : int, optional
        Shuffles sessions of equal length and the order of batches, anew in each epoch: the same
        seed and epoch give the same batches, whatever ran before. None: from short to long.
    windows : Windows
        What an epoch takes of each session: all of it, unless told otherwise.
    augmentation : Augmentation
        What an epoch makes of that: nothing else, unless told otherwise.

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
    labels: NDArray[np.floating] | Targets
    budget: int
    seed: int | None = None
    windows: Windows = WHOLE
    augmentation: Augmentation = PLAIN

    def __post_init__(self) -> None:
        if self.budget < 1:
            raise InputError(
                "bad_budget", f"{self.budget} is no budget", field="budget", hint="use 1 or more"
            )
        check_sessions(self.offsets)

    @cached_property
    def _marks(self) -> NDArray[np.float64]:
        return marks(self.labels, self.windows, self.augmentation)

    def plan(self, epoch: int = 0) -> list[NDArray[np.int64]]:
        """Return the sessions of each batch of an epoch."""
        spans = self._spans(epoch)
        return [spans.sessions[chosen] for chosen in self._plan(spans, epoch)]

    def epoch(self, epoch: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch."""
        spans = self._spans(epoch)
        count = len(self.offsets) - 1
        rows, labels = vary(self.augmentation, self.rows, self.labels, spans, count, epoch)
        for chosen in self._plan(spans, epoch):
            yield pad(
                rows,
                labels,
                self.offsets,
                spans.sessions[chosen],
                spans.starts[chosen],
                spans.lengths[chosen],
                np.full(len(chosen), -1),
            )

    def counts(self, epochs: int) -> list[int]:
        """Return how many batches each of the epochs from 1 on has."""
        # Lengths alone decide it, and they stay once the curriculum is over, unless they are cut.
        cut = self.augmentation.augment.slice < 1
        varying = epochs if cut else min(self.windows.curriculum, epochs)
        counts = [len(self.plan(epoch)) for epoch in range(1, varying + 1)]
        rest = epochs - varying
        return counts + [len(self.plan(epochs))] * rest if rest else counts

    def _spans(self, epoch: int) -> Spans:
        spans = self.windows.of(self.offsets, epoch, self._marks)
        return self.augmentation.cut(spans, self._marks, len(self.offsets) - 1, epoch)

    def _plan(self, spans: Spans, epoch: int) -> list[NDArray[np.int64]]:
        """Return which stretches each batch has."""
        lengths = spans.lengths
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


def vary(
    augmentation: Augmentation,
    rows: NDArray[np.float32],
    labels: NDArray[np.floating] | Targets,
    spans: Spans,
    count: int,
    epoch: int,
) -> tuple[NDArray[np.float32], NDArray[np.floating] | Targets]:
    """Return `Augmentation.vary` of an epoch; only labels of one number move with their events.

    Raises
    ------
    InputError
        ``unused_key``: others would have to move.
    """
    if not (augmentation.augment.warp or augmentation.augment.of_numbers):
        return rows, labels
    if isinstance(labels, np.ndarray) and labels.ndim == 1:
        return augmentation.vary(rows, labels.astype(np.float64, copy=False), spans, count, epoch)
    if augmentation.augment.warp:
        raise InputError(
            "unused_key",
            "is given, and what this task learns of an event does not move with it",
            field="augment.warp",
            hint="leave it out",
        )
    varied, _ = augmentation.vary(rows, np.empty(0), spans, count, epoch)
    return varied, labels


def marks(
    labels: NDArray[np.floating] | Targets, windows: Windows, augmentation: Augmentation
) -> NDArray[np.float64]:
    """Return `targets.marks` where stretches depend on them, else nothing: they take memory."""
    needed = windows.curriculum or augmentation.augment.slice < 1
    return targets.marks(labels) if needed else np.empty(0)


def pad(
    rows: NDArray[np.float32],
    labels: NDArray[np.floating] | Targets,
    offsets: NDArray[np.int64],
    sessions: NDArray[np.int64],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    carried: NDArray[np.int64],
) -> Batch:
    """Return a batch of the stretches given; see `Batch`."""
    padded = np.zeros((len(starts), lengths.max(), rows.shape[1]), dtype=np.float32)
    kind = np.float64 if labels.shape[1:] == () else np.float32
    nothing = np.full((*padded.shape[:2], *labels.shape[1:]), np.nan, dtype=kind)
    before = starts - offsets[sessions]
    batch = Batch(padded, lengths, nothing, sessions, starts, before, carried)
    real, events = batch.real, batch.events
    batch.rows[real] = taken(rows, events)
    batch.labels[real] = taken(labels, events) if isinstance(labels, np.ndarray) else labels[events]
    return batch


def check_sessions(offsets: NDArray[np.int64]) -> None:
    """Refuse sessions without events: ``empty_session``."""
    empty = np.flatnonzero(np.diff(offsets) < 1)
    if len(empty):
        raise InputError(
            "empty_session",
            f"session {empty[0]} has no event",
            field="offsets",
            hint="leave such sessions out",
        )
