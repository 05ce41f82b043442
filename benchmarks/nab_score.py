"""The score of the Numenta Anomaly Benchmark, from its formula.

Lavin and Ahmad (2015), "Evaluating Real-time Anomaly Detection Algorithms: the Numenta Anomaly
Benchmark". A label is a window around an anomaly. Of the alarms in a window the earliest counts,
and the earlier, the more: at y, the place in the window from -1 (its first row) to 0 (behind its
last), it is worth ``sigmoid(y) = 2 / (1 + exp(5 y)) - 1``, divided by ``sigmoid(-1)`` so that 1 is
the most. A window without an alarm costs 1. An alarm outside costs up to 0.11 (the standard
profile), less if it comes soon behind a window. Alarms of the probationary period, the first 15 %
of a file (of at most 5,000 rows), count for nothing. The sum over all files is put on a scale
where no alarm at all has 0, and one at the first row of every window, and no other, 100. The
threshold is the one that is best over all files together: NAB chooses it on the files that it
scores.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Labels", "Score", "best", "probation", "score", "sigmoid"]

FALSE_ALARM = 0.11
"""What a false alarm costs in the standard profile, whose hits and misses weigh 1."""
_PROBATION, _PROBATION_ROWS = 0.15, 5000
_FORGOTTEN = 3.0
"""Window lengths behind a window from which on an alarm costs all of it."""


@dataclass(frozen=True)
class Labels:
    """What is known of a file.

    Parameters
    ----------
    rows : int
        Of the file.
    windows : sequence of (int, int)
        First and last row of each anomaly's window, in order, apart from each other.
    """

    rows: int
    windows: Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Score:
    """How a detector did.

    Parameters
    ----------
    normalised : float
        0: no alarms at all; 100: perfect.
    threshold : float
        Scores from here on are alarms.
    found, windows : int
        Windows with an alarm, and all.
    false_alarms : int
        Alarms outside of windows.
    """

    normalised: float
    threshold: float
    found: int
    windows: int
    false_alarms: int


def probation(rows: int) -> int:
    """Return how many rows at a file's beginning are not scored.

    Examples
    --------
    >>> probation(1000), probation(22695)
    (150, 750)
    """
    return int(_PROBATION * min(rows, _PROBATION_ROWS))


def sigmoid(place: float) -> float:
    """Return what an alarm is worth at a place relative to a window.

    Examples
    --------
    >>> round(sigmoid(-1.0), 4), sigmoid(0.0), round(sigmoid(1.0), 4), sigmoid(4.0)
    (0.9866, 0.0, -0.9866, -1.0)
    """
    return 2.0 / (1.0 + math.exp(5.0 * place)) - 1.0 if place <= _FORGOTTEN else -1.0


def worth(labels: Labels) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return what an alarm at each row is worth, and the window that the row is in (-1: none)."""
    values = np.full(labels.rows, -FALSE_ALARM)
    inside = np.full(labels.rows, -1, dtype=np.int64)
    for number, (first, last) in enumerate(labels.windows):
        later = labels.windows[number + 1 :]
        end = later[0][0] if later else labels.rows
        width = last - first + 1
        inside[first : last + 1] = number
        for row in range(first, last + 1):
            values[row] = sigmoid((row - last - 1) / width) / sigmoid(-1.0)
        for row in range(last + 1, end):
            values[row] = FALSE_ALARM * sigmoid((row - last) / max(width - 1, 1))
    return values, inside


def score(
    scores: Sequence[NDArray[np.float64]], labels: Sequence[Labels], threshold: float
) -> Score:
    """Score a detector's files at a threshold.

    Parameters
    ----------
    scores : sequence of float64 array (rows,)
        The higher, the stranger: one array a file.
    labels : sequence of Labels
        Of the same files.
    threshold : float
        Scores from here on are alarms.
    """
    total, found, false_alarms = 0.0, 0, 0
    for each, known in zip(scores, labels, strict=True):
        values, inside = worth(known)
        alarms = each >= threshold
        alarms[: probation(known.rows)] = False
        outside = alarms & (inside < 0)
        total += float(values[outside].sum())
        false_alarms += int(outside.sum())
        for number in range(len(known.windows)):
            hits = values[alarms & (inside == number)]
            total += float(hits.max()) if hits.size else -1.0
            found += hits.size > 0
    windows = sum(len(known.windows) for known in labels)
    normalised = 100.0 * (total + windows) / (2.0 * windows)
    return Score(normalised, threshold, found, windows, false_alarms)


def best(scores: Sequence[NDArray[np.float64]], labels: Sequence[Labels]) -> Score:
    """Score a detector at the threshold that is best for all files together, as NAB does.

    Parameters
    ----------
    scores, labels
        As in `score`.
    """
    ranked, gains = [], []
    for each, known in zip(scores, labels, strict=True):
        values, inside = worth(known)
        order = np.argsort(-each, kind="stable")
        order = order[order >= probation(known.rows)]
        gain = values[order]
        for number in range(len(known.windows)):
            members = inside[order] == number
            reached = np.maximum.accumulate(gain[members])
            gain[members] = np.diff(reached, prepend=-1.0)
        ranked.append(each[order])
        gains.append(gain)
    falling = np.concatenate(ranked)
    order = np.argsort(-falling, kind="stable")
    falling, totals = falling[order], np.cumsum(np.concatenate(gains)[order])
    last_of_equals = np.append(falling[1:] != falling[:-1], True)
    at = int(np.argmax(np.where(last_of_equals, totals, -np.inf)))
    threshold = float(falling[at]) if totals[at] > 0.0 else math.inf
    return score(scores, labels, threshold)
