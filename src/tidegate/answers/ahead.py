"""Values some events ahead, and what costs nothing to say of them: the naive forecasts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

__all__ = ["Track", "placed_behind"]

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Track:
    """Values of events, each of which knows its place: any of them can be taken out.

    Parameters
    ----------
    values : float64 array (events,)
        NaN: missing.
    rows : int64 array (events,)
        Row of each in its table, none twice.
    sessions : int64 array (events,)
        Its session there.
    past : float64 array (events,)
        The values that a forecast may look back at: also those that are no truths, because they
        came before what is measured.

    Examples
    --------
    >>> track = Track.of(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0, 3, 4]))
    >>> track.ahead(1)
    array([ 2.,  3., nan, nan])
    """

    values: Floats
    rows: Counts
    sessions: Counts
    past: Floats

    @classmethod
    def of(cls, values: Floats, offsets: Counts, past: Floats | None = None) -> Track:
        """Return that of a table; session i is events ``offsets[i]:offsets[i + 1]``."""
        sessions = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        return cls(values, np.arange(len(values)), sessions, values if past is None else past)

    @classmethod
    def from_truth(cls, truth: Floats) -> Track:
        """Read what `truth` returned, or some of its rows."""
        values, rows, sessions, past = truth.T
        return cls(values, rows.astype(np.int64), sessions.astype(np.int64), past)

    def truth(self) -> Floats:
        """Return values, rows, sessions and the past side by side, (events, 4)."""
        return np.stack([self.values, self.rows, self.sessions, self.past], axis=1)

    @cached_property
    def left(self) -> Counts:
        """Events that follow each in its session, of a whole table."""
        ends = np.searchsorted(self.sessions, self.sessions, side="right")
        return np.asarray(ends - 1 - np.arange(len(ends)), dtype=np.int64)

    @cached_property
    def _order(self) -> Counts:
        return np.argsort(self.rows)

    def ahead(self, steps: int) -> Floats:
        """Return each event's value some events ahead in its session.

        NaN where there is none, or where it is not among these events.
        """
        return self._moved(self.values, steps)

    def _moved(self, values: Floats, steps: int) -> Floats:
        if not len(self.rows):
            return np.empty(0)
        wanted = self.rows + steps
        places = np.searchsorted(self.rows, wanted, sorter=self._order)
        found = self._order[np.minimum(places, len(wanted) - 1)]
        there = (self.rows[found] == wanted) & (self.sessions[found] == self.sessions)
        return np.where(there, values[found], np.nan)

    def seasonal(self, steps: int, season: int) -> Floats:
        """Return the seasonal naive forecast: the newest value of the same place in the season.

        Parameters
        ----------
        steps : int
            Events ahead.
        season : int
            Events of a season; 1 is the last value.

        Examples
        --------
        >>> track = Track.of(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0, 4]))
        >>> track.seasonal(1, season=2)
        array([nan,  1.,  2.,  3.])
        """
        return self._moved(self.past, steps - -(-steps // season) * season)

    def naive_error(self, season: int) -> float:
        """Return the mean absolute difference between values a season apart; 0 if there is none.

        References
        ----------
        R. Hyndman, A. Koehler, "Another look at measures of forecast accuracy", 2006: the mean
        absolute scaled error divides by it.
        """
        errors = np.abs(self.ahead(season) - self.values)
        known = ~np.isnan(errors)
        return float(errors[known].mean()) if known.any() else 0.0


def placed_behind(truth: Floats, rows: int, sessions: int) -> Floats:
    """Return the truth of a block of a table, as it is behind the blocks before it.

    Parameters
    ----------
    truth : float64 array (events,) or (events, n)
        From `Answers.truth` of the block alone. That of a forecast knows its places, which begin at
        0; no other does.
    rows, sessions : int
        Of the blocks before it.

    Examples
    --------
    >>> blocks = [Track.of(np.array([1.0, 2.0]), np.array([0, 2])).truth() for _ in range(2)]
    >>> Track.from_truth(np.concatenate([blocks[0], placed_behind(blocks[1], 2, 1)])).ahead(1)
    array([ 2., nan,  2., nan])
    """
    return truth if truth.ndim == 1 else truth + np.array([0.0, rows, sessions, 0.0])
