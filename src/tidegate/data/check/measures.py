"""How much one column tells of another, without a model.

Each measure is 0 for a column that tells nothing beyond the most common answer and 1 for one that
tells all: for classes it is the lambda of Goodman and Kruskal ("Measures of association for cross
classifications", 1954), of the best rule of its kind.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.data.check import limits

__all__ = ["enough", "explained"]

Numbers = NDArray[np.float64]
Sessions = NDArray[np.int64]


def explained(
    target: Numbers, given: Numbers, sessions: Sessions, *, classes: bool, ordered: bool
) -> float:
    """Return which share of a target the best simple rule tells from a column.

    Parameters
    ----------
    target, given : float64 array (events,)
        Without NaN.
    sessions : int64 array (events,)
        The session of each event.
    classes : bool
        Whether the target's numbers are names of classes.
    ordered : bool
        Whether those of the column are more than names.

    Returns
    -------
    float
        0 to 1; 0 also where there is too little to say (`enough`).

    Examples
    --------
    >>> x = np.arange(60.0)
    >>> explained((x > 20) * 1.0, x, np.arange(60), classes=True, ordered=True)
    1.0
    >>> explained(x**3, -x, np.arange(60), classes=False, ordered=True)
    1.0
    """
    if not enough(target, sessions):
        return 0.0
    named = classes or len(np.unique(target)) <= limits.FEW_VALUES
    found = [_by_value(target, given, sessions)]
    if ordered and named:
        found.append(_by_range(target, given))
    elif ordered:
        found.append(_by_order(target, given))
    if ordered and not classes:  # a number that was made of the target, with less in it
        if len(np.unique(given)) > limits.FEW_VALUES:
            found.append(_by_order(given, target))
        elif enough(given, sessions):
            found.append(_by_range(given, target))
    return max(found)


def enough(target: Numbers, sessions: Sessions) -> bool:
    """Say whether so many events, of so many sessions, differ from the most common one.

    >>> enough(np.array([0.0, 1.0]), np.array([0, 1]))
    False
    """
    if len(target) == 0:
        return False
    values, counts = np.unique(target, return_counts=True)
    rare = target != values[counts.argmax()]
    return bool(rare.sum() >= limits.EVENTS and len(np.unique(sessions[rare])) >= limits.SESSIONS)


def _by_value(target: Numbers, given: Numbers, sessions: Sessions) -> float:
    """Guess the most common target of each value; values of few sessions tell nothing.

    >>> of = np.arange(8) % 4
    >>> _by_value(np.array([0.0, 0, 0, 0, 5, 5, 5, 5]), np.repeat([7.0, 8.0], 4), of)
    1.0
    """
    names, value, events = np.unique(given, return_inverse=True, return_counts=True)
    if events.max() < limits.VALUE_SESSIONS:
        return 0.0
    targets, target_code = np.unique(target, return_inverse=True)
    common = int(np.bincount(target_code).max())
    pairs, counts = np.unique(value * len(targets) + target_code, return_counts=True)
    best = np.zeros(len(names), dtype=np.int64)
    np.maximum.at(best, pairs // len(targets), counts)
    count = int(sessions.max()) + 1
    seen = np.bincount(np.unique(value * count + sessions) // count, minlength=len(names))
    right = int(best[seen >= limits.VALUE_SESSIONS].sum())
    return max(0.0, (right - common) / (len(target) - common))


def _by_range(target: Numbers, given: Numbers) -> float:
    """Guess each class but the most common one where the value is in its best range.

    >>> _by_range(np.array([0.0, 0, 0, 1, 1, 0]), np.array([1.0, 1, 2, 5, 6, 9]))
    1.0
    """
    order = np.argsort(given, kind="stable")
    begins = np.flatnonzero(np.append(True, np.diff(given[order]) > 0))
    sizes = np.diff(np.append(begins, len(given)))
    # Where the run of equal values begins and ends that each event stands in: a range takes all.
    begin, end = np.repeat(begins, sizes), np.repeat(begins + sizes, sizes)
    _, code, counts = np.unique(target[order], return_inverse=True, return_counts=True)
    of_classes = np.split(np.argsort(code, kind="stable"), np.cumsum(counts)[:-1])
    gained, common = 0, int(counts.argmax())
    for number, events in enumerate(of_classes):
        if number != common:
            # From its i-th event to its j-th there are j - i + 1 hits, and the others are misses.
            place = 2 * np.arange(len(events))
            opened = np.maximum.accumulate(begin[events] - place)
            gained += max(0, int((place + 2 - end[events] + opened).max()))
    return gained / (len(target) - int(counts[common]))


def _by_order(target: Numbers, given: Numbers) -> float:
    """Say how far the target only rises, or only falls, from a value to the next.

    Neighbours are as close as values come, so that mere correlation does not order them: only what
    is made of the other does.

    >>> _by_order(np.array([1.0, 4, 9]), np.array([-1.0, -2, -3])), _by_order(
    ...     np.array([1.0, 2]), np.array([3.0, 3]))
    (1.0, 0.0)
    """
    order = np.lexsort((target, given))
    steps = np.diff(target[order])
    apart = np.diff(given[order]) > 0
    rising, falling = ((steps > 0) & apart).sum(), ((steps < 0) & apart).sum()
    all_steps = int((steps != 0).sum())
    return float(abs(int(rising) - int(falling)) / all_steps) if all_steps else 0.0
