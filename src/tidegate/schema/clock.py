"""What the times of events say: how long since the last one, which hour, which day of the week.

Times are unix seconds, float64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tidegate.core import cos_turn, log1p, sin_turn

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["log_delta", "on_circle"]

DAY = 86_400.0
EPOCH_WEEKDAY = 3.0
"""1 January 1970 was a Thursday, and Monday is 0."""


def log_delta(times: NDArray[np.float64], before: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``log1p(seconds since before)``; 0 where before is NaN (no event yet) or later.

    Examples
    --------
    >>> log_delta(np.array([5.0, 5.0, 5.0]), np.array([np.nan, 9.0, 5.0]))
    array([0., 0., 0.])
    """
    return log1p(np.fmax(times - before, 0.0))


def on_circle(
    times: NDArray[np.float64], feature: str, utc_offset_hours: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sine and cosine of the hour of day or of the day of week.

    Examples
    --------
    >>> noon_of_a_monday = np.array([4.5 * 86_400])
    >>> [int(x) for pair in on_circle(noon_of_a_monday, "hour", 0.0) for x in pair.round()]
    [0, -1]
    >>> [float(x[0]) for x in on_circle(noon_of_a_monday, "weekday", 0.0)]
    [0.0, 1.0]
    """
    local = times + utc_offset_hours * 3600.0
    if feature == "hour":
        share = np.mod(local, DAY) / DAY
    else:
        share = np.mod(np.floor(local / DAY) + EPOCH_WEEKDAY, 7.0) / 7.0
    return sin_turn(share), cos_turn(share)
