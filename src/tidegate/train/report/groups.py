"""A metric in groups of events, with intervals that know how few sessions a group has.

Events of a session resemble each other, so whole sessions are drawn again (B. Efron, "Bootstrap
methods: another look at the jackknife", 1979): an interval from events would be far too narrow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.train.report.scored import Scored

__all__ = ["MIN_SESSIONS", "Compared", "Group", "Interval", "compare", "groups_of", "intervals"]

Interval = tuple[float, float]

MIN_SESSIONS = 10
"""With fewer there is no interval: drawing so few again says little of others like them."""

MAX_GROUPS = 12
"""Categories, by their number of events; the others are one group together."""

BINS = 4
"""Of a field with many numbers: each with about as many events."""

_DRAWS, _FEWEST = 200, 50
_BUDGET = 20_000_000  # numbers of all draws: of more than 100,000 there are fewer draws
_DEFINED = 0.9
"""Share of the draws in which a metric must exist: a group's AUC needs both classes."""


@dataclass(frozen=True)
class Group:
    """One group of events.

    Parameters
    ----------
    name : str
        Of the group.
    events, sessions : int
        With a label.
    value : float, optional
        The metric; None where the labels do not define it.
    interval : (float, float), optional
        Of the value, 95 %.
    difference : float, optional
        From that of all events.
    difference_interval : (float, float), optional
        95 %, from the same draws.
    """

    name: str
    events: int
    sessions: int
    value: float | None
    interval: Interval | None
    difference: float | None
    difference_interval: Interval | None

    @property
    def apart(self) -> bool:
        """Whether the difference is more than chance explains."""
        found = self.difference_interval
        return found is not None and (found[0] > 0 or found[1] < 0)


@dataclass(frozen=True)
class Compared:
    """A metric of all events, and of each group.

    Parameters
    ----------
    metric : str
        Which.
    value : float
        Of all events that are in a group.
    groups : sequence of Group
        Those with labelled events.
    draws : int
        How often sessions were drawn again.
    """

    metric: str
    value: float
    groups: Sequence[Group]
    draws: int


def compare(
    scored: Scored,
    codes: NDArray[np.int64],
    names: Sequence[str],
    metric: str,
    *,
    seed: int = 0,
    draws: int | None = None,
) -> Compared:
    """Measure each group.

    Parameters
    ----------
    scored : Scored
        Answers and truth.
    codes : int64 array (events,)
        The group of each event, as a place in `names`; -1: none.
    names : sequence of str
        Of the groups.
    metric : str
        Which of the task's metrics.
    seed : int
        Of the draws.
    draws : int, optional
        How often sessions are drawn again: 200 times, of very many events fewer.
    """
    counted = scored.known & (codes >= 0)
    scored, codes = scored.pick(counted), codes[counted]
    # With fewer sessions no group has an interval.
    few = (np.diff(scored.offsets) > 0).sum() < MIN_SESSIONS
    draws = 0 if few else draws or _draws(scored)
    occurring = [int(code) for code in np.unique(codes)]
    value, values = _values(scored, codes, occurring, metric)
    drawn = [
        _values(again, codes[events], occurring, metric)
        for again, events in _drawn(scored, seed, draws)
    ]
    whole = np.array([_number(of_all) for of_all, _ in drawn])
    sessions = scored.sessions
    groups = []
    for place, code in enumerate(occurring):
        mine = codes == code
        many = len(np.unique(sessions[mine]))
        one = values[place]
        enough = many >= MIN_SESSIONS and one is not None
        again = np.array([_number(of_groups[place]) for _, of_groups in drawn])
        groups.append(
            Group(
                names[code],
                int(mine.sum()),
                many,
                one,
                _interval(again) if enough else None,
                None if one is None or value is None else one - value,
                _interval(again - whole) if enough else None,
            )
        )
    return Compared(metric, _number(value), groups, draws)


def intervals(scored: Scored, *, seed: int = 0, draws: int | None = None) -> dict[str, Interval]:
    """Return 95 % intervals of all metrics; none with too few sessions."""
    scored = scored.pick(scored.known)
    if (np.diff(scored.offsets) > 0).sum() < MIN_SESSIONS:
        return {}
    draws = draws or _draws(scored)
    drawn = [again.metrics() for again, _ in _drawn(scored, seed, draws)]
    found = {
        name: _interval(np.array([_number(one.get(name)) for one in drawn]))
        for name in scored.metrics()
        if name != "n"
    }
    return {name: interval for name, interval in found.items() if interval is not None}


def groups_of(column: NDArray[Any]) -> tuple[NDArray[np.int64], list[str]]:
    """Sort events into groups by a field.

    Parameters
    ----------
    column : array (events,)
        Objects of str (None: missing): a group a category, those with most events; float64 (NaN:
        missing): a group a number, or, of many, bins of about equal counts.

    Returns
    -------
    codes : int64 array (events,)
        The group of each event.
    names : list of str
        Of the groups, in order; missing values are the last.

    Examples
    --------
    >>> codes, names = groups_of(np.array(["b", None, "a", "b"], dtype=object))
    >>> codes.tolist(), names
    ([0, 2, 1, 0], ['b', 'a', '(missing)'])
    >>> codes, names = groups_of(np.arange(8.0))
    >>> names
    ['0 to 1.75', '1.75 to 3.5', '3.5 to 5.25', '5.25 to 7']
    """
    if column.dtype == object:
        codes, names = _categories(column)
    else:
        codes, names = _numbers(column)
    if (codes < 0).any():
        codes = np.where(codes < 0, len(names), codes)
        names = [*names, "(missing)"]
    return codes, names


def _categories(column: NDArray[Any]) -> tuple[NDArray[np.int64], list[str]]:
    values = column.tolist()
    given = [value for value in values if value is not None]
    found, counts = np.unique(np.array(given, dtype=object), return_counts=True)
    ranked = [str(found[i]) for i in np.argsort(-counts, kind="stable")]
    kept = ranked if len(ranked) <= MAX_GROUPS else ranked[: MAX_GROUPS - 1]
    code = {name: min(i, len(kept)) for i, name in enumerate(ranked)}
    names = kept if kept == ranked else [*kept, f"({len(ranked) - len(kept):,} others)"]
    return np.array([-1 if v is None else code[v] for v in values], dtype=np.int64), names


def _numbers(column: NDArray[np.float64]) -> tuple[NDArray[np.int64], list[str]]:
    missing = np.isnan(column)
    given = column[~missing]
    found = np.unique(given)
    if len(found) <= BINS + 2:
        codes, names = np.searchsorted(found, column), [f"{value:.4g}" for value in found]
    else:
        edges = np.unique(np.quantile(given, np.linspace(0, 1, BINS + 1)))
        codes = np.searchsorted(edges[1:-1], column, side="right")
        words = [f"{edge:.4g}" for edge in edges]
        names = [f"{low} to {high}" for low, high in pairwise(words)]
    return np.where(missing, -1, codes).astype(np.int64), names


def _draws(scored: Scored) -> int:
    """Return how often to draw, within a bounded cost.

    >>> from tidegate.spec import TaskSpec
    >>> task = TaskSpec("regress", "y")
    >>> def of(events: int) -> Scored:
    ...     numbers = np.zeros((events, 1), np.float32)
    ...     return Scored(task, numbers, numbers[:, 0], np.array([0, events]))
    >>> _draws(of(1000)), _draws(of(200_000)), _draws(of(1_000_000))
    (200, 100, 50)
    """
    return max(_FEWEST, min(_DRAWS, _BUDGET // max(1, scored.numbers.size)))


def _drawn(scored: Scored, seed: int, draws: int) -> Iterator[tuple[Scored, NDArray[np.int64]]]:
    """Draw as many sessions as there are, of those with events, again and again."""
    rng = np.random.default_rng(seed)
    filled = np.flatnonzero(np.diff(scored.offsets) > 0)
    for _ in range(draws):
        yield scored.draw(rng.choice(filled, len(filled)))


def _values(
    scored: Scored, codes: NDArray[np.int64], groups: Sequence[int], metric: str
) -> tuple[float | None, list[float | None]]:
    parts = (scored.pick(codes == group).metrics() for group in groups)
    return scored.metrics().get(metric), [part.get(metric) for part in parts]


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)


def _interval(values: NDArray[np.float64]) -> Interval | None:
    defined = values[~np.isnan(values)]
    if len(defined) < max(1.0, _DEFINED * len(values)):
        return None
    low, high = np.quantile(defined, [0.025, 0.975])
    return float(low), float(high)
