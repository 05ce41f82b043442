"""Lanes: sessions side by side, cut into chunks; the state goes on from chunk to chunk.

Each lane takes one session after another; the lane that is free first takes the next session. A
chunk is `chunk` steps of all lanes, as a batch of stretches: a lane may end a session in it and
begin others. A session no longer than a chunk is never cut: one that does not fit in what its lane
has left of a chunk waits for the next. Longer ones are cut every `chunk` events, counted from
their own beginning. So where a gradient ends depends on `chunk` alone, not on how many lanes there
are or on what ran before in them. What is left free costs nothing: a batch computes no empty step.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tidegate.data.augment import Augmentation
from tidegate.data.batches import PLAIN, WHOLE, Batch, check_sessions, marks, pad, vary
from tidegate.data.targets import Targets
from tidegate.data.truncate import Spans, Windows
from tidegate.errors import InputError

__all__ = ["Lanes", "Timetable"]


@dataclass(frozen=True, eq=False)
class Timetable:
    """The segments of an epoch, in the order of chunks, lanes and steps.

    Parameters
    ----------
    bounds : int64 array (chunks + 1,)
        Chunk c is segments ``bounds[c]:bounds[c + 1]``; none is empty.
    lanes : int64 array (segments,)
        The lane of each.
    sessions, starts, lengths : int64 array (segments,)
        Its session, the row of its first event, and its events, as in `Spans`.
    carried : int64 array (segments,)
        The segment of the chunk before that it goes on from, counted within that chunk; -1 where a
        session begins.
    """

    bounds: NDArray[np.int64]
    lanes: NDArray[np.int64]
    sessions: NDArray[np.int64]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    carried: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Lanes:
    """Every session once an epoch, cut into chunks between which the state is carried.

    With ``chunk=1`` these are the session-parallel mini-batches of GRU4Rec.

    Parameters
    ----------
    rows : float32 array (events, width)
        From `Schema.encode`.
    offsets : int64 array (sessions + 1,)
        Session i is events ``offsets[i]:offsets[i + 1]``; at least one event each.
    labels : float array (events,) or (events, n), or Targets
        What is to be learned of each event; NaN: nothing.
    lanes : int
        Sessions that run side by side.
    chunk : int
        Steps of a lane in one batch.
    seed : int, optional
        Shuffles the sessions anew in each epoch: the same seed and epoch give the same order,
        whatever ran before. None: as they are given, in a table by the time of their first event.
    windows : Windows
        What an epoch takes of each session: all of it, unless told otherwise.
    augmentation : Augmentation
        What an epoch makes of that: nothing else, unless told otherwise.

    Raises
    ------
    InputError
        ``out_of_range``; ``empty_session``.

    References
    ----------
    B. Hidasi, A. Karatzoglou, L. Baltrunas, D. Tikk, "Session-based recommendations with recurrent
    neural networks", 2016 (section 3.1.1).

    Examples
    --------
    Three sessions of 5, 1 and 2 events in two lanes: the third takes the lane of the second.

    >>> rows, offsets = np.ones((8, 2), np.float32), np.array([0, 5, 6, 8])
    >>> for batch in Lanes(rows, offsets, np.zeros(8), lanes=2, chunk=4).epoch():
    ...     print(batch.session_indices, batch.lengths, batch.carried)
    [0 1 2] [4 1 2] [-1 -1 -1]
    [0] [1] [0]
    """

    rows: NDArray[np.float32]
    offsets: NDArray[np.int64]
    labels: NDArray[np.floating] | Targets
    lanes: int
    chunk: int
    seed: int | None = None
    windows: Windows = WHOLE
    augmentation: Augmentation = PLAIN

    def __post_init__(self) -> None:
        for name in ("lanes", "chunk"):
            if getattr(self, name) < 1:
                raise InputError(
                    "out_of_range",
                    f"{getattr(self, name)} is not allowed",
                    field=name,
                    hint="use 1 or more",
                )
        check_sessions(self.offsets)

    @cached_property
    def _marks(self) -> NDArray[np.float64]:
        return marks(self.labels, self.windows, self.augmentation)

    def plan(self, epoch: int = 0) -> Timetable:
        """Return which segments each chunk of an epoch has."""
        spans = self._spans(epoch)
        count = len(spans.lengths)
        rng = None if self.seed is None else np.random.default_rng([self.seed, epoch])
        order = np.arange(count) if rng is None else rng.permutation(count)
        spans = Spans(spans.sessions[order], spans.starts[order], spans.lengths[order])
        lanes, steps = self._seat(spans.lengths)

        pieces = -(-spans.lengths // self.chunk)
        of = np.repeat(np.arange(count), pieces)  # the session of each segment
        piece = np.arange(len(of)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        chunks = steps[of] // self.chunk + piece
        order = np.lexsort((steps[of] + piece * self.chunk, lanes[of], chunks))
        bounds = np.concatenate([[0], np.cumsum(np.bincount(chunks))]).astype(np.int64)
        places = np.empty(len(of), dtype=np.int64)  # of each segment within its chunk
        places[order] = np.arange(len(of)) - bounds[chunks[order]]
        before = np.where(piece > 0, np.roll(places, 1), -1)  # a session's segments are neighbours
        taken = piece * self.chunk
        return Timetable(
            bounds,
            lanes[of][order],
            spans.sessions[of][order],
            (spans.starts[of] + taken)[order],
            np.minimum(spans.lengths[of] - taken, self.chunk)[order],
            before[order],
        )

    def epoch(self, epoch: int = 0) -> Iterator[Batch]:
        """Yield the chunks of an epoch."""
        plan, count = self.plan(epoch), len(self.offsets) - 1
        spans = self._spans(epoch)
        rows, labels = vary(self.augmentation, self.rows, self.labels, spans, count, epoch)
        for begin, end in zip(plan.bounds[:-1].tolist(), plan.bounds[1:].tolist(), strict=True):
            yield pad(
                rows,
                labels,
                self.offsets,
                plan.sessions[begin:end],
                plan.starts[begin:end],
                plan.lengths[begin:end],
                plan.carried[begin:end],
            )

    def counts(self, epochs: int) -> list[int]:
        """Return how many chunks each of the epochs from 1 on has."""
        return [len(self.plan(epoch).bounds) - 1 for epoch in range(1, epochs + 1)]

    def _spans(self, epoch: int) -> Spans:
        spans = self.windows.of(self.offsets, epoch, self._marks)
        return self.augmentation.cut(spans, self._marks, len(self.offsets) - 1, epoch)

    def _seat(self, lengths: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the lane of each session and the step at which it begins there."""
        free = [(0, lane) for lane in range(min(self.lanes, len(lengths)))]  # a heap
        lanes, steps = np.empty_like(lengths), np.empty_like(lengths)
        for place, length in enumerate(lengths.tolist()):
            step, lane = free[0]
            used = step % self.chunk
            if used and used + length > self.chunk:
                step += self.chunk - used
            lanes[place], steps[place] = lane, step
            heapq.heapreplace(free, (step + length, lane))
        return lanes, steps
