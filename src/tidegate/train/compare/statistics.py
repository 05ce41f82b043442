"""Whether a difference means anything."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np

__all__ = ["Difference", "paired"]


class Difference(msgspec.Struct, frozen=True):
    """What pairs of numbers differ by.

    Parameters
    ----------
    mean : float
        The first of each pair minus the second, on average.
    low, high : float
        95 % interval of that mean; NaN of fewer than two pairs.
    p : float
        How likely a mean so far from 0 would be if there were no difference; NaN of fewer than two
        pairs.
    n : int
        Pairs. Of none, the mean is NaN, too.
    """

    mean: float
    low: float
    high: float
    p: float
    n: int

    @property
    def told(self) -> bool:
        """Whether it is told from none, at 5 %."""
        return self.p < 0.05

    def __neg__(self) -> Difference:
        return Difference(-self.mean, -self.high, -self.low, self.p, self.n)


def paired(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Compare pairs with Student's t-test.

    Parameters
    ----------
    first, second : sequence of float
        As many, pair by pair: of the same seed, or of the same sessions.

    Examples
    --------
    >>> found = paired([0.80, 0.82, 0.81], [0.78, 0.81, 0.79])
    >>> round(found.mean, 4), round(found.p, 3), found.told
    (0.0167, 0.038, True)
    """
    from scipy import stats

    gaps = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    n, mean = len(gaps), float(gaps.mean()) if len(gaps) else math.nan
    if n < 2:
        return Difference(mean, math.nan, math.nan, math.nan, n)
    error = float(gaps.std(ddof=1)) / math.sqrt(n)
    if error == 0.0:
        return Difference(mean, mean, mean, 1.0 if mean == 0 else 0.0, n)
    reach = float(stats.t.ppf(0.975, n - 1)) * error
    p = 2 * float(stats.t.sf(abs(mean) / error, n - 1))
    return Difference(mean, mean - reach, mean + reach, p, n)
