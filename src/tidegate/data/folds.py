"""Folds for cross-validation: pairs of a training and a test part, both of whole sessions.

Sessions overlap in time. By time, a session therefore is not an instant but a span, from its
earliest event to its latest: what trains must not have gone on while what is tested went on.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tidegate.data.batches import check_sessions
from tidegate.errors import InputError, shown
from tidegate.tables import EventTable

__all__ = ["Fold", "grouped", "purged", "time_ordered"]

Fold = tuple[EventTable, EventTable]
"""What trains, and what tests."""

_Places = NDArray[np.int64]


def grouped(
    table: EventTable,
    folds: int,
    groups: str | Mapping[str, str | int | float] | None = None,
    seed: int = 0,
) -> Iterator[Fold]:
    """Test on each session once, in folds at random that hold all of a group or none of it.

    Groups are dealt out by falling number of events, each to the fold that has fewest so far:
    folds differ by no more events than the largest group has.

    Parameters
    ----------
    table : EventTable
        The sessions, of at least as many groups as folds.
    folds : int
        How many pairs; 2 or more.
    groups : str or mapping, optional
        A column whose value stays the same within a session (it may be missing after the first
        event), or the group of each session id. None: each session is a group of its own.
    seed : int
        Of the order of groups of one size: the same seed and table give the same folds.

    Yields
    ------
    tuple of EventTable
        What trains, and what tests. In both, sessions keep the order of the table.

    Raises
    ------
    InputError
        ``bad_split``: fewer than two folds; ``empty_part``: fewer groups than folds;
        ``missing_column``; ``missing_group``: a session has none; ``group_changed``: a session has
        two; ``empty_session``. All at the call, before the first pair is asked for.

    Examples
    --------
    >>> from tidegate import tables
    >>> import polars as pl
    >>> events = pl.DataFrame({"id": ["a", "b", "c", "d"], "at": [1.0, 2.0, 3.0, 4.0]})
    >>> table = tables.read(events, session="id", time="at", fields={})
    >>> site = {"a": "north", "b": "south", "c": "north", "d": "south"}
    >>> for train, test in grouped(table, 2, site):
    ...     print(train.sessions, test.sessions)
    ['b', 'd'] ['a', 'c']
    ['a', 'c'] ['b', 'd']
    """
    _check_folds(folds, least=2)
    check_sessions(table.offsets)
    of = _groups(table, groups)
    sizes = np.bincount(of, weights=table.lengths).astype(np.int64)
    if len(sizes) < folds:
        what = "sessions" if groups is None else "groups"
        raise InputError(
            "empty_part",
            f"{folds} folds of {len(sizes)} {what}",
            field="folds",
            hint=f"use no more folds than there are {what}",
        )
    order = np.random.default_rng(seed).permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    fold_of = np.empty(len(sizes), dtype=np.int64)
    filled = [(0, fold) for fold in range(folds)]  # a heap
    for one in order.tolist():
        events, fold = filled[0]
        fold_of[one] = fold
        heapq.heapreplace(filled, (events + int(sizes[one]), fold))
    part = fold_of[of]
    return _pairs(
        table, [(np.flatnonzero(part != k), np.flatnonzero(part == k)) for k in range(folds)]
    )


def time_ordered(table: EventTable, folds: int, gap: float = 0.0) -> Iterator[Fold]:
    """Train on what was over before a cut, and test on what begins from it on: a growing window.

    The cuts lie where sessions begin, so that the stretches between them hold about the same number
    of events; as many events lie before the first. A session that runs across a cut is in no pair
    of that cut, and one that begins before the first is never tested.

    Parameters
    ----------
    table : EventTable
        With times.
    folds : int
        How many cuts, and pairs.
    gap : float
        Seconds before the cut in which sessions that train must have ended already: as long as it
        takes until a label is known.

    Yields
    ------
    tuple of EventTable
        What trains: sessions whose last event is earlier than the cut less the gap. What tests:
        sessions that begin from the cut on, but before the next. Both keep the table's order.

    Raises
    ------
    InputError
        ``bad_split``: no fold, or a gap below 0; ``no_times``; ``empty_part``: sessions begin at
        too few times, or none ends early enough; ``empty_session``. All at the call.

    Examples
    --------
    The cut lies at 3.0, where ``c`` begins; ``b`` runs across it.

    >>> from tidegate import tables
    >>> import polars as pl
    >>> events = pl.DataFrame({"id": ["a", "b", "c", "b"], "at": [1.0, 2.0, 3.0, 4.0]})
    >>> table = tables.read(events, session="id", time="at", fields={})
    >>> [(train.sessions, test.sessions) for train, test in time_ordered(table, 1)]
    [(['a'], ['c'])]
    """
    _check_folds(folds, least=1)
    _check_seconds("gap", gap)
    begins, ends = _spans(table)
    cuts = [*_cuts(begins, table.lengths, folds + 1), np.inf]
    chosen = []
    for cut, until in pairwise(cuts):
        tested = (begins >= cut) & (begins < until)
        chosen.append((np.flatnonzero(ends < cut - gap), np.flatnonzero(tested)))
    _check_parts(chosen, "gap", gap)
    return _pairs(table, chosen)


def purged(table: EventTable, folds: int, embargo: float = 0.0) -> Iterator[Fold]:
    """Test on each session once, in blocks of time, and train on all that does not touch the block.

    Blocks hold sessions that begin one after the other, and about the same number of events. Of the
    other sessions those are left out that went on at some time between the block's earliest event
    and its latest (purging), and those that begin soon behind it (the embargo).

    Parameters
    ----------
    table : EventTable
        With times.
    folds : int
        How many blocks, and pairs; 2 or more.
    embargo : float
        Seconds behind the block's latest event in which no session that trains begins.

    Yields
    ------
    tuple of EventTable
        What trains, and what tests. In both, sessions keep the order of the table.

    Raises
    ------
    InputError
        ``bad_split``: fewer than two folds, or an embargo below 0; ``no_times``; ``empty_part``:
        sessions begin at too few times, or nothing is left to train on; ``empty_session``. All at
        the call.

    References
    ----------
    M. Lopez de Prado, "Advances in Financial Machine Learning", 2018 (section 7.4).

    Examples
    --------
    The first block goes on until 4.0, so that ``c``, which begins before, is purged.

    >>> from tidegate import tables
    >>> import polars as pl
    >>> ids, at = ["a", "b", "c", "d", "b"], [1.0, 2.0, 3.0, 5.0, 4.0]
    >>> events = pl.DataFrame({"id": ids, "at": at})
    >>> table = tables.read(events, session="id", time="at", fields={})
    >>> [(train.sessions, test.sessions) for train, test in purged(table, 2)]
    [(['d'], ['a', 'b']), (['a'], ['c', 'd'])]
    """
    _check_folds(folds, least=2)
    _check_seconds("embargo", embargo)
    begins, ends = _spans(table)
    cuts = [-np.inf, *_cuts(begins, table.lengths, folds), np.inf]
    chosen = []
    for cut, until in pairwise(cuts):
        tested = (begins >= cut) & (begins < until)
        first, last = begins[tested].min(), ends[tested].max()
        clear = (ends < first) | (begins > last + embargo)
        chosen.append((np.flatnonzero(clear), np.flatnonzero(tested)))
    _check_parts(chosen, "embargo", embargo)
    return _pairs(table, chosen)


def _pairs(table: EventTable, chosen: list[tuple[_Places, _Places]]) -> Iterator[Fold]:
    """Yield the parts of each fold, one pair in memory at a time."""
    for train, test in chosen:
        yield table.take(train), table.take(test)


def _groups(table: EventTable, groups: str | Mapping[str, str | int | float] | None) -> _Places:
    """Return the number of each session's group, counted by first appearance."""
    if groups is None:
        return np.arange(len(table.sessions))
    if isinstance(groups, str):
        found = _constants(table, groups)
        where = groups
    else:
        found = [groups.get(name) for name in table.sessions]
        where = "groups"
    for name, value in zip(table.sessions, found, strict=True):
        if value is None or value != value:
            raise InputError(
                "missing_group",
                f"session {shown(name)} has none",
                field=where,
                hint="name a group for every session, or leave the session out",
            )
    index: dict[object, int] = {}
    return np.array([index.setdefault(value, len(index)) for value in found], dtype=np.int64)


def _constants(table: EventTable, column: str) -> list[object]:
    """Return a column's value of each session; refuse one that changes within a session."""
    if column not in table.columns:
        raise InputError(
            "missing_column",
            "there is no such column",
            field=column,
            hint="read it as a field, or give a mapping from session ids to groups",
        )
    values = table.columns[column]
    firsts = values[table.offsets[:-1]]
    before = np.repeat(firsts, table.lengths)
    # As in a schema, a constant is needed in the first event alone.
    given = [value is not None and value == value for value in values.tolist()]
    changed = np.array(given, dtype=np.bool_) & (values != before)
    if changed.any():
        row = int(changed.argmax())
        name = table.sessions[int(np.searchsorted(table.offsets, row, side="right")) - 1]
        raise InputError(
            "group_changed",
            f"is {shown(before[row])} and {shown(values[row])} in session {shown(name)}",
            field=column,
            hint="use a column that stays the same within a session, or a mapping",
        )
    constants: list[object] = firsts.tolist()
    return constants


def _spans(table: EventTable) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the earliest and the latest time of each session."""
    check_sessions(table.offsets)
    if not table.times.any():
        raise InputError(
            "no_times",
            "every event is at time 0",
            field="time",
            hint="read the table with time=COLUMN, or use grouped folds",
        )
    starts = table.offsets[:-1]  # not the first and last event: a clock may have gone backwards
    return np.minimum.reduceat(table.times, starts), np.maximum.reduceat(table.times, starts)


def _cuts(begins: NDArray[np.float64], lengths: _Places, parts: int) -> list[float]:
    """Return times that share sessions out by when they begin, into parts of similar size."""
    times, of = np.unique(begins, return_inverse=True)
    if len(times) < parts:
        raise InputError(
            "empty_part",
            f"sessions begin at {len(times)} different times, which make no {parts} parts",
            field="folds",
            hint="use fewer folds",
        )
    events = np.cumsum(np.bincount(of, weights=lengths))
    wanted = events[-1] * np.arange(1, parts) / parts
    at = np.searchsorted(events, wanted) + 1
    # Each part has at least one of the times, where a session is longer than a part should be.
    number = np.arange(parts - 1)
    at = np.maximum.accumulate(at - number) + number
    cuts: list[float] = times[np.minimum(at, len(times) - parts + 1 + number)].tolist()
    return cuts


def _check_folds(folds: int, least: int) -> None:
    if folds < least:
        raise InputError("bad_split", f"{folds} folds", field="folds", hint=f"use {least} or more")


def _check_seconds(field: str, value: float) -> None:
    if not 0 <= value < float("inf"):
        raise InputError(
            "bad_split",
            f"{value!r} is no time to wait",
            field=field,
            hint="give seconds, 0 or more",
        )


def _check_parts(chosen: list[tuple[_Places, _Places]], field: str, value: float) -> None:
    for number, (train, _) in enumerate(chosen, start=1):
        if len(train) == 0:
            shorter = f"a smaller {field}, " if value else ""
            raise InputError(
                "empty_part",
                f"nothing is left to train on in fold {number} of {len(chosen)}",
                field=field if value else "folds",
                hint=f"use {shorter}fewer folds, or cut sessions that run through the whole table",
            )
