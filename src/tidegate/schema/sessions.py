"""Looking back within sessions: the value before an event, the last value that was not missing.

Arrays are ``[k, n]``: k quantities at n events, the events of a session side by side. What was
known before the first of them comes as ``[k, sessions]``, NaN where nothing was.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["EventOfEach", "Sessions"]


class EventOfEach:
    """One event each of n sessions: `Sessions` with lengths of 1, at the speed of the hot path."""

    def previous(
        self, _values: NDArray[np.float64], known: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the value at the session's previous event."""
        return known

    def filled(
        self, values: NDArray[np.float64], known: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the values, each missing (NaN) one replaced by the session's last before it."""
        return np.where(np.isnan(values), known, values)

    def last(self, values: NDArray[np.float64], _known: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values at the last event of each session, ``[k, sessions]``."""
        return values


class Sessions:
    """Whole sessions: session i is the events ``offsets[i]:offsets[i + 1]``, perhaps none.

    Examples
    --------
    >>> sessions = Sessions(np.array([0, 3, 5]))
    >>> values, known = np.array([[1, np.nan, 2, np.nan, 3]]), np.array([[np.nan, 9]])
    >>> sessions.filled(values, known)
    array([[1., 1., 2., 9., 3.]])
    >>> sessions.previous(values, known)
    array([[nan,  1., nan,  9., nan]])
    >>> sessions.last(values, known)
    array([[2., 3.]])
    """

    def __init__(self, offsets: NDArray[np.int64]) -> None:
        self.count = len(offsets) - 1
        self.lengths = np.diff(offsets)
        self.occupied = np.flatnonzero(self.lengths)
        self.starts = offsets[:-1][self.occupied]
        self.ends = offsets[1:][self.occupied]
        self.events = int(offsets[-1])

    @cached_property
    def _session(self) -> NDArray[np.int64]:
        return np.repeat(np.arange(self.count), self.lengths)

    @cached_property
    def _start(self) -> NDArray[np.int64]:
        return np.repeat(self.starts, self.lengths[self.occupied])

    def previous(
        self, values: NDArray[np.float64], known: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the value at the session's previous event."""
        before = np.empty_like(values)
        before[:, 1:] = values[:, :-1]
        before[:, self.starts] = known[:, self.occupied]
        return before

    def filled(
        self, values: NDArray[np.float64], known: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the values, each missing (NaN) one replaced by the session's last before it."""
        missing = np.isnan(values)
        if not missing.any():
            return values
        source = np.where(missing, -1, np.arange(self.events))
        np.maximum.accumulate(source, axis=1, out=source)
        seen = source >= self._start
        earlier = np.take_along_axis(values, np.maximum(source, 0), axis=1)
        return np.where(seen, earlier, known[:, self._session])

    def last(self, values: NDArray[np.float64], known: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values at the last event of each session, ``[k, sessions]``."""
        after = known.copy()
        after[:, self.occupied] = values[:, self.ends - 1]
        return after
