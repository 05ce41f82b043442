"""Splits into parts for training, validation and test.

A session is never cut in two: half of it in training and half in test would let the model remember
instead of predict. Only a forecast, whose sessions are series that go on, is asked about the later
half of what it learned from: `by_cut`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from tidegate.errors import InputError
from tidegate.tables import EventTable, seconds

__all__ = [
    "by_cut",
    "by_session",
    "by_time",
    "check_fractions",
    "parts_by_session",
    "parts_by_time",
]


def by_time(table: EventTable, until: Sequence[float | str | date]) -> tuple[EventTable, ...]:
    """Split by the time of each session's first event.

    Parameters
    ----------
    table : EventTable
        With times.
    until : sequence of float, str, date or datetime
        Rising cut points, of the forms that `tables.seconds` takes: with two of them, a session
        goes to the first part before the first, to the second from there on but before the second,
        and else to the third. A session that begins before a cut belongs whole to the earlier
        part, also where it goes on behind the cut.

    Returns
    -------
    tuple of EventTable
        One more than cut points.

    Raises
    ------
    InputError
        ``bad_split``: the cut points do not rise; ``bad_time``: one is none; ``empty_part``.

    Examples
    --------
    >>> from tidegate import tables
    >>> import polars as pl
    >>> events = pl.DataFrame({"id": ["a", "b", "a"], "at": [1.0, 2.0, 9.0]})
    >>> table = tables.read(events, session="id", time="at", fields={})
    >>> [part.sessions for part in by_time(table, [2.0])]
    [['a'], ['b']]
    """
    return _take(table, parts_by_time(table.times[table.offsets[:-1]], until))


def parts_by_time(
    first_times: NDArray[np.float64], until: Sequence[float | str | date]
) -> NDArray[np.int64]:
    """Return the part of each session, from 0; see `by_time`.

    Parameters
    ----------
    first_times : float64 array (sessions,)
        Time of each session's first event.
    until : sequence of float, str, date or datetime
        As in `by_time`.
    """
    cuts = _cuts(until)
    parts = np.searchsorted(cuts, first_times, side="right")
    between = f"{_day(first_times.min())} to {_day(first_times.max())}"
    _check_parts(parts, len(cuts) + 1, "until", f"sessions begin from {between}")
    return parts


def by_cut(table: EventTable, until: Sequence[float | str | date]) -> tuple[EventTable, ...]:
    """Cut series in time: each part has the events before its end.

    What lies before a part's beginning is in it for the memory alone: `EventTable.counts_from` says
    from when on a truth counts. A series that ends before a part's beginning is not in it.

    Parameters
    ----------
    table : EventTable
        With times, in their order.
    until : sequence of float, str, date or datetime
        Rising cut points, as in `by_time`.

    Returns
    -------
    tuple of EventTable
        One more than cut points.

    Raises
    ------
    InputError
        As `by_time`.

    Examples
    --------
    >>> from tidegate import tables
    >>> import polars as pl
    >>> events = pl.DataFrame({"id": ["a", "b", "a"], "at": [1.0, 1.0, 9.0]})
    >>> table = tables.read(events, session="id", time="at", fields={})
    >>> [(part.sessions, part.times.tolist(), part.counts_from) for part in by_cut(table, [2.0])]
    [(['a', 'b'], [1.0, 1.0], None), (['a'], [1.0, 9.0], 2.0)]
    """
    cuts = _cuts(until)
    parts = []
    for number, end in enumerate([*cuts.tolist(), np.inf], start=1):
        begin = -np.inf if number == 1 else float(cuts[number - 2])
        part = table.before(end, beyond=begin)
        if not part.sessions:
            between = f"{_day(table.times.min())} to {_day(table.times.max())}"
            raise InputError(
                "empty_part",
                f"no event falls into part {number} of {len(cuts) + 1}",
                field="until",
                hint=f"move the cuts: there are events from {between}",
            )
        parts.append(part if number == 1 else replace(part, counts_from=begin))
    return tuple(parts)


def by_session(
    table: EventTable, fractions: Sequence[float], seed: int = 0
) -> tuple[EventTable, ...]:
    """Split whole sessions at random.

    Parameters
    ----------
    table : EventTable
        Of at least as many sessions as parts.
    fractions : sequence of float
        Share of the sessions in each part: above 0, 1 in sum.
    seed : int
        The same seed and table give the same split.

    Returns
    -------
    tuple of EventTable
        One a fraction; within a part, sessions keep the order of the table.

    Raises
    ------
    InputError
        ``bad_split``: the fractions are not above 0, or not 1 in sum; ``empty_part``.
    """
    return _take(table, parts_by_session(len(table.sessions), fractions, seed))


def parts_by_session(
    n_sessions: int, fractions: Sequence[float], seed: int = 0
) -> NDArray[np.int64]:
    """Return the part of each of so many sessions, from 0; see `by_session`."""
    check_fractions(fractions)
    shares = np.asarray(fractions, dtype=np.float64)
    bounds = np.rint(np.cumsum(shares[:-1]) * n_sessions).astype(np.int64)
    parts = np.empty(n_sessions, dtype=np.int64)
    places = np.random.default_rng(seed).permutation(n_sessions)
    parts[places] = np.searchsorted(bounds, np.arange(n_sessions), side="right")
    _check_parts(parts, len(shares), "fractions", f"there are {n_sessions} sessions")
    return parts


def check_fractions(fractions: Sequence[float]) -> None:
    """Refuse fractions that do not share sessions out.

    Raises
    ------
    InputError
        ``bad_split``: they are not above 0, or not 1 in sum.
    """
    shares = np.asarray(fractions, dtype=np.float64)
    if len(shares) == 0 or not (shares > 0).all() or abs(shares.sum() - 1) > 1e-9:
        raise InputError(
            "bad_split",
            f"{list(fractions)} do not share out 1",
            field="fractions",
            hint="give each part a share above 0, in all 1, such as 0.8, 0.1, 0.1",
        )


def _cuts(until: Sequence[float | str | date]) -> NDArray[np.float64]:
    cuts = np.array([seconds(cut) for cut in until])
    if len(cuts) == 0 or not (np.diff(cuts) > 0).all():
        raise InputError(
            "bad_split",
            f"{list(map(str, until))} do not rise",
            field="until",
            hint="give the ends of all parts but the last, each later than the one before",
        )
    return cuts


def _take(table: EventTable, parts: NDArray[np.int64]) -> tuple[EventTable, ...]:
    return tuple(table.take(np.flatnonzero(parts == part)) for part in range(parts.max() + 1))


def _check_parts(parts: NDArray[np.int64], n_parts: int, field: str, facts: str) -> None:
    counts = np.bincount(parts, minlength=n_parts)
    if (counts == 0).any():
        raise InputError(
            "empty_part",
            f"no session falls into part {int(counts.argmin()) + 1} of {n_parts}",
            field=field,
            hint=f"move the cuts: {facts}",
        )


def _day(time: float) -> str:
    # Not datetime.fromtimestamp, which ends where the platform's time_t does.
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=float(time))).isoformat()
