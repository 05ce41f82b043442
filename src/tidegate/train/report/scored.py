"""Answers beside the truth, and the task's metrics of any part of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate import answers
from tidegate.spec import TaskSpec

__all__ = ["Scored", "events_of"]


@dataclass(frozen=True, eq=False)
class Scored:
    """Answers of some sessions, beside what they are measured against.

    Parameters
    ----------
    task : TaskSpec
        What the numbers mean.
    numbers : float32 array (events, answer_size)
        From the engine.
    truth : float64 array (events,) or (events, n)
        NaN where there is nothing to measure against.
    offsets : int64 array (sessions + 1,)
        Session i is events ``offsets[i]:offsets[i + 1]``.
    places : int64 array (events,), optional
        Where each event stood among all, once some are left out.
    """

    task: TaskSpec
    numbers: NDArray[np.float32]
    truth: NDArray[np.float64]
    offsets: NDArray[np.int64]
    places: NDArray[np.int64] | None = None

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which events are measured, (events,)."""
        missing = np.isnan(self.truth)
        return np.asarray(~(missing if missing.ndim == 1 else missing.all(axis=1)))

    @property
    def sessions(self) -> NDArray[np.int64]:
        """The number of each event's session, (events,)."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def metrics(self) -> dict[str, float]:
        """Return the task's metrics."""
        return answers.open(self.task).metrics(self.numbers, self.truth, self._stretches())

    def columns(self) -> dict[str, Any]:
        """Return the answers in the task's words, a column each; see `answers.Answers.columns`."""
        return answers.open(self.task).columns(self.numbers)

    def pick(self, events: NDArray[np.bool_]) -> Scored:
        """Return some of the events; sessions may become empty.

        Examples
        --------
        >>> some = Scored(TaskSpec("regress", "y"), np.zeros((3, 1), np.float32), np.arange(3.0),
        ...               np.array([0, 2, 3]))
        >>> some.pick(np.array([False, True, True])).offsets
        array([0, 1, 2])
        """
        before = np.concatenate([[0], np.cumsum(events)])
        return replace(
            self,
            numbers=self.numbers[events],
            truth=self.truth[events],
            offsets=before[self.offsets],
            places=self._places()[events],
        )

    def draw(self, sessions: NDArray[np.int64]) -> tuple[Scored, NDArray[np.int64]]:
        """Return some of the sessions, also twice, and which events these are."""
        events, offsets = events_of(self.offsets, sessions)
        drawn = replace(
            self,
            numbers=self.numbers[events],
            truth=self.truth[events],
            offsets=offsets,
            places=self._places()[events],
        )
        return drawn, events

    def _places(self) -> NDArray[np.int64]:
        return np.arange(len(self.numbers)) if self.places is None else self.places

    def _stretches(self) -> NDArray[np.int64]:
        """Return where sessions begin and end, and where events between two were left out.

        What follows a gap is no neighbour of what stands before it: no entity goes across.
        """
        if self.places is None:
            return self.offsets
        gaps = np.flatnonzero(np.diff(self.places) != 1) + 1
        return np.union1d(self.offsets, gaps)


def events_of(
    offsets: NDArray[np.int64], sessions: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the events of some sessions, and where each session begins among them.

    >>> events, new = events_of(np.array([0, 2, 3]), np.array([1, 0, 1]))
    >>> events.tolist(), new.tolist()
    ([2, 0, 1, 2], [0, 1, 3, 4])
    """
    lengths = np.diff(offsets)[sessions]
    new = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return np.repeat(offsets[sessions] - new[:-1], lengths) + np.arange(new[-1]), new
