"""What a report measures of answers and fields: calibration, confusion, drift."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Reliability", "confusion", "psi", "reliability"]

_Z = 1.959963984540054  # of 95 %


@dataclass(frozen=True, eq=False)
class Reliability:
    """How often what was said happened, in bins of about equal counts.

    Parameters
    ----------
    said, happened : float64 arrays (bins,)
        Mean probability, and share that happened.
    low, high : float64 arrays (bins,)
        95 % interval of the share, as if events were independent (E. Wilson, 1927).
    events : int64 array (bins,)
        How many.
    """

    said: NDArray[np.float64]
    happened: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    events: NDArray[np.int64]

    @property
    def error(self) -> float:
        """The expected calibration error: the mean distance of both, weighed by events."""
        return float(np.average(np.abs(self.said - self.happened), weights=self.events))


def reliability(
    probability: NDArray[np.float64], happened: NDArray[np.bool_], bins: int = 10
) -> Reliability:
    """Measure whether probabilities are kept.

    Parameters
    ----------
    probability : float64 array (events,)
        What was said.
    happened : bool array (events,)
        What came.
    bins : int
        At most this many, cut at the quantiles of the probability; equal ones stay together.

    References
    ----------
    A. Niculescu-Mizil, R. Caruana, "Predicting good probabilities with supervised learning", 2005;
    M. Naeini et al., "Obtaining well calibrated probabilities using Bayesian binning", 2015.

    Examples
    --------
    >>> found = reliability(np.array([0.1, 0.1, 0.9, 0.9]), np.array([0, 0, 1, 0], bool), bins=2)
    >>> found.said, found.happened, round(found.error, 3)
    (array([0.1, 0.9]), array([0. , 0.5]), 0.25)
    """
    edges = np.quantile(probability, np.linspace(0, 1, bins + 1))
    places = np.searchsorted(edges[1:-1], probability)
    events = np.bincount(places, minlength=bins)
    filled = events > 0
    n = events[filled]
    said = np.bincount(places, probability, bins)[filled] / n
    share = np.bincount(places, happened, bins)[filled] / n
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
    low, high = (np.clip(end, 0.0, 1.0) for end in (centre - half, centre + half))
    return Reliability(said, share, low, high, n)


def confusion(
    truth: NDArray[np.int64], answered: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    """Count what was answered (columns) to what was true (rows), (classes, classes).

    >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    return np.bincount(truth * classes + answered, minlength=classes**2).reshape(classes, classes)


def psi(baseline: Mapping[str, Any], column: NDArray[Any]) -> float | None:
    """Return how far a field has moved from the histogram of training: the stability index.

    Parameters
    ----------
    baseline : mapping
        Of the field, from `tidegate.bundle.baseline.measure`.
    column : array (events,)
        What it is now. Missing values are a bin of their own.

    Returns
    -------
    float or None
        ``sum((p - q) log(p / q))`` over the bins, each with half an event more, so that none is
        empty; 0 is the same. None where there is nothing to compare.

    References
    ----------
    N. Siddiqi, "Credit Risk Scorecards", 2006: below 0.1 steady, above 0.25 shifted.

    Examples
    --------
    >>> training = {"kind": "numeric", "edges": [0.0, 1.0, 2.0], "counts": [5, 5], "missing": 0}
    >>> round(psi(training, np.array([0.5, 1.5] * 5)), 3)
    0.0
    >>> psi(training, np.array([9.0] * 10)) > 0.25
    True
    """
    measure: Callable[..., tuple[list[int], list[int]]]
    measure = _category_counts if baseline["kind"] == "category" else _number_counts
    before, now = (np.array(counts, dtype=np.float64) for counts in measure(baseline, column))
    if before.sum() == 0 or now.sum() == 0:
        return None
    p, q = ((counts + 0.5) / (counts + 0.5).sum() for counts in (now, before))
    return float(((p - q) * np.log(p / q)).sum())


def _category_counts(
    baseline: Mapping[str, Any], column: NDArray[Any]
) -> tuple[list[int], list[int]]:
    # The rare ones are one bin: each alone would weigh as if its absence said something.
    total = max(1, sum(baseline["counts"].values()))
    common = {name: n for name, n in baseline["counts"].items() if n >= 0.01 * total}
    rest = baseline["other"] + sum(baseline["counts"].values()) - sum(common.values())
    values = column.tolist()
    of = dict.fromkeys(common, 0)
    missing = 0
    for value in values:
        if value is None:
            missing += 1
        elif value in of:
            of[value] += 1
    others = len(values) - missing - sum(of.values())
    return [*common.values(), rest, baseline["missing"]], [*of.values(), others, missing]


def _number_counts(
    baseline: Mapping[str, Any], column: NDArray[np.float64]
) -> tuple[list[int], list[int]]:
    missing = int(np.isnan(column).sum())
    given = column[~np.isnan(column)]
    if baseline["kind"] == "boolean":
        true = int(given.sum())
        now = [len(given) - true, true]
    else:
        places = np.searchsorted(np.array(baseline["edges"])[1:-1], given, side="right")
        now = np.bincount(places, minlength=len(baseline["counts"])).tolist()
    return [*baseline["counts"], baseline["missing"]], [*now, missing]
