"""Values some events ahead, and what costs nothing to say of them: the naive forecasts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["following", "naive_error", "seasonal", "shifted"]

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


def following(offsets: Counts) -> Counts:
    """Return how many events follow each in its session.

    Examples
    --------
    >>> following(np.array([0, 3, 5])).tolist()
    [2, 1, 0, 1, 0]
    """
    ends = np.repeat(offsets[1:], np.diff(offsets))
    return np.asarray(ends - 1 - np.arange(len(ends)), dtype=np.int64)


def shifted(values: Floats, left: Counts, steps: int) -> Floats:
    """Return each event's value some steps ahead, NaN where its session has ended.

    Parameters
    ----------
    values : float64 array (events,)
        Of each event.
    left : int64 array (events,)
        From `following`.
    steps : int
        0 or more.

    Examples
    --------
    >>> shifted(np.array([1.0, 2.0, 3.0, 4.0]), following(np.array([0, 3, 4])), 1)
    array([ 2.,  3., nan, nan])
    """
    found = np.full(len(values), np.nan)
    at = np.flatnonzero(left >= steps)
    found[at] = values[at + steps]
    return found


def seasonal(values: Floats, offsets: Counts, steps: int, season: int) -> Floats:
    """Return the seasonal naive forecast: the last known value of the same place in the season.

    Parameters
    ----------
    values : float64 array (events,)
        Of each event; NaN: missing.
    offsets : int64 array (sessions + 1,)
        Session i is events ``offsets[i]:offsets[i + 1]``.
    steps : int
        Events ahead.
    season : int
        Events of a season; 1 is the last value.

    Returns
    -------
    float64 array (events,)
        NaN where the session is not old enough.

    Examples
    --------
    >>> seasonal(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0, 4]), 1, 2)
    array([nan,  1.,  2.,  3.])
    """
    back = -(-steps // season) * season - steps
    first = np.repeat(offsets[:-1], np.diff(offsets))
    at = np.arange(len(values)) - back
    return np.where(at >= first, values[np.maximum(at, 0)], np.nan)


def naive_error(values: Floats, offsets: Counts, season: int) -> float:
    """Return the mean absolute difference between values a season apart; 0 if there is none.

    References
    ----------
    R. Hyndman, A. Koehler, "Another look at measures of forecast accuracy", 2006: the mean absolute
    scaled error divides by it.
    """
    later = shifted(values, following(offsets), season)
    errors = np.abs(later - values)
    known = ~np.isnan(errors)
    return float(errors[known].mean()) if known.any() else 0.0
