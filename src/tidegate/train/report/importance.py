"""What each field is worth to a trained model: what is lost when its values are mixed up.

A field's values change places among the events (one that is constant in a session: among the
sessions), everything else stays, and the model answers again (L. Breiman, "Random forests", 2001;
A. Fisher, C. Rudin, F. Dominici, "All models are wrong, but many are useful", 2019). Of two fields
that say the same, each looks as if it were worth little.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tidegate import answers
from tidegate.bundle import Bundle
from tidegate.engine import offline
from tidegate.tables import EventTable
from tidegate.train.report.scored import Scored

__all__ = ["TIME", "Importance", "Worth", "measure", "permuted", "sample"]

TIME = "(time)"
"""What the event time is called among the fields."""


@dataclass(frozen=True, eq=False)
class Worth:
    """What one field is worth.

    Parameters
    ----------
    field : str
        Its name; `TIME` for the hour, the weekday and the time since the event before.
    losses : float64 array (repeats,)
        By how much the metric is worse without it; more than 0 is worse, of any metric.
    """

    field: str
    losses: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Importance:
    """What all fields are worth.

    Parameters
    ----------
    metric : str
        Which was measured.
    value : float
        As it is.
    worths : list of Worth
        That which is worth most first.
    events, sessions : int
        That were looked at, and in how many sessions.
    """

    metric: str
    value: float
    worths: list[Worth]
    events: int
    sessions: int


def measure(
    bundle: Bundle,
    table: EventTable,
    truth: NDArray[np.float64],
    metric: str,
    *,
    seed: int = 0,
    repeats: int = 5,
) -> Importance:
    """Mix up each field in turn.

    Parameters
    ----------
    bundle : Bundle
        Whose model.
    table : EventTable
        Sessions to look at, all of them: see `sample`.
    truth : float64 array (events,) or (events, n)
        What answers are measured against.
    metric : str
        Which of the task's metrics; it must exist for these events.
    seed : int
        Of the permutations.
    repeats : int
        Permutations of each field.
    """
    scorer = offline.open(bundle, replay=False)

    def score(changed: EventTable) -> float:
        numbers = offline.outputs(scorer, changed.columns, changed.times, changed.offsets)
        return Scored(bundle.task, numbers, truth, table.offsets).metrics()[metric]

    value = score(table)
    sign = 1.0 if metric in answers.HIGHER_IS_BETTER else -1.0
    names = [*bundle.schema.names, *([TIME] if bundle.schema.config.time else [])]
    worths = []
    for place, name in enumerate(names):
        tables = permuted(bundle, table, name, np.random.default_rng([seed, place]), repeats)
        worths.append(Worth(name, np.array([sign * (value - score(one)) for one in tables])))
    worths.sort(key=lambda worth: -float(worth.losses.mean()))
    return Importance(metric, value, worths, table.n_events, len(table.sessions))


def permuted(
    bundle: Bundle, table: EventTable, name: str, rng: np.random.Generator, repeats: int
) -> Iterator[EventTable]:
    """Give the table with the values of one field mixed up, so many times."""
    fields = bundle.schema.config.fields
    for _ in range(repeats):
        if name == TIME:
            yield replace(table, times=_times(table, rng))
            continue
        column = table.columns[name]
        if fields[name].constant:
            first = column[table.offsets[:-1]]
            mixed = np.repeat(first[rng.permutation(len(first))], table.lengths)
        else:
            mixed = column[rng.permutation(len(column))]
        yield replace(table, columns={**table.columns, name: mixed})


def sample(
    table: EventTable, labelled: NDArray[np.bool_], max_events: int, seed: int
) -> NDArray[np.int64]:
    """Choose sessions with labels at random, up to so many events; at least one session.

    Returns
    -------
    int64 array
        Places in `table.sessions`, in their order.
    """
    before = np.concatenate([[0], np.cumsum(labelled)])
    useful = np.flatnonzero(before[table.offsets[1:]] > before[table.offsets[:-1]])
    order = np.random.default_rng(seed).permutation(useful)
    fits = np.cumsum(table.lengths[order]) <= max_events
    return np.sort(order[: max(1, int(fits.sum()))])


def _times(table: EventTable, rng: np.random.Generator) -> NDArray[np.float64]:
    """Mix up when sessions begin, and the gaps between their events."""
    first = table.offsets[:-1]
    starts = table.times[first][rng.permutation(len(first))]
    gaps = np.diff(table.times, prepend=0.0)
    inside = np.ones(len(gaps), dtype=bool)
    inside[first] = False
    gaps[inside] = gaps[inside][rng.permutation(int(inside.sum()))]
    gaps[first] = 0.0
    passed = np.cumsum(gaps)
    return np.asarray(passed - np.repeat(passed[first] - starts, table.lengths))
