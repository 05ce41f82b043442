"""Events of many sessions, grouped by session and in the order of time, or of their numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tidegate.errors import InputError
from tidegate.schema import Columns

__all__ = ["EventTable", "group", "naming_rows", "order_notes", "ties", "zone_notes"]


@dataclass(frozen=True, eq=False)
class EventTable:
    """Events of many sessions; those of session i are ``offsets[i]:offsets[i + 1]`` of every array.

    Parameters
    ----------
    sessions : list of str
        Session ids, in the order of their first event's time, then of their first appearance.
    offsets : int64 array (sessions + 1,)
        Where each session begins and ends.
    times : float64 array (events,)
        Unix seconds; all 0 in a table without times. They never fall within a session, unless it
        was read in the order of its events' numbers.
    columns : dict of str to array (events,)
        One a field: numeric float64 (NaN: missing), boolean float64 of 0 and 1 (NaN: missing),
        category object array of str (None: missing).
    labels : array (events,), optional
        float64 (NaN: no label) or objects of str (None: no label); None without a label column.
    source_rows : int64 array (events,)
        Row of the input that each event stood in, from 0.
    notes : list of str
        What reading decided, for a person to see.
    counts_from : float, optional
        Unix seconds, of a part that was cut out of longer sessions (`data.splits.by_cut`): earlier
        events are there for the memory alone, and forecasts of them do not count.
    """

    sessions: list[str]
    offsets: NDArray[np.int64]
    times: NDArray[np.float64]
    columns: Columns
    labels: NDArray[Any] | None
    source_rows: NDArray[np.int64]
    notes: list[str] = field(default_factory=list)
    counts_from: float | None = None

    @property
    def n_events(self) -> int:
        """Events of all sessions."""
        return len(self.times)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Events of each session, (sessions,)."""
        return np.diff(self.offsets)

    @property
    def seqs(self) -> NDArray[np.int64]:
        """Place of each event in its session, from 1, (events,): its number where it had one."""
        return np.arange(1, self.n_events + 1) - np.repeat(self.offsets[:-1], self.lengths)

    def take(self, session_indices: ArrayLike) -> EventTable:
        """Return a table of some sessions, in the order given.

        Parameters
        ----------
        session_indices : array of int
            Places in `sessions`.
        """
        chosen = np.asarray(session_indices, dtype=np.int64)
        lengths = self.lengths[chosen]
        offsets = _offsets(lengths)
        events = np.repeat(self.offsets[chosen] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return replace(
            self,
            sessions=[self.sessions[i] for i in chosen.tolist()],
            offsets=offsets,
            times=self.times[events],
            columns={name: column[events] for name, column in self.columns.items()},
            labels=None if self.labels is None else self.labels[events],
            source_rows=self.source_rows[events],
        )

    def before(self, end: float, *, beyond: float = -np.inf) -> EventTable:
        """Return a table of what happened before a time, of the sessions that go beyond another.

        Parameters
        ----------
        end : float
            Unix seconds: events from then on are left out.
        beyond : float
            Unix seconds: a session without an event from then on, before `end`, is left out.
        """
        there = self.times < end
        counts = np.add.reduceat(there, self.offsets[:-1]).astype(np.int64)
        late = np.add.reduceat(there & (self.times >= beyond), self.offsets[:-1]) > 0
        kept = np.flatnonzero(there & np.repeat(late, self.lengths))
        return replace(
            self,
            sessions=[
                name for name, keep in zip(self.sessions, late.tolist(), strict=True) if keep
            ],
            offsets=_offsets(counts[late]),
            times=self.times[kept],
            columns={name: column[kept] for name, column in self.columns.items()},
            labels=None if self.labels is None else self.labels[kept],
            source_rows=self.source_rows[kept],
        )


@contextmanager
def naming_rows(source_rows: NDArray[np.int64]) -> Iterator[None]:
    """Let the errors raised inside name rows of the input, where they name rows of a table.

    Parameters
    ----------
    source_rows : int64 array (events,)
        `EventTable.source_rows`, or those of the events that are looked at.

    Examples
    --------
    >>> with naming_rows(np.array([4, 8])):
    ...     raise InputError("missing_field", "is missing", field="speed", row=1)
    Traceback (most recent call last):
    tidegate.errors.InputError: speed: row 9: is missing (missing_field)
    """
    try:
        yield
    except InputError as error:
        if error.row is None:
            raise
        raise error.at_row(int(source_rows[error.row])) from error


def group(
    ids: Sequence[str],
    times: NDArray[np.float64] | None,
    columns: Columns,
    labels: NDArray[Any] | None,
    notes: list[str],
    seqs: NDArray[np.float64] | None = None,
) -> EventTable:
    """Bring events into the order of an `EventTable`; equal times keep the order of the input.

    Parameters
    ----------
    ids : sequence of str
        Session of each event, in the order of the input, as `columns` and `labels`.
    times : float64 array (events,), optional
        Finite unix seconds. Without them every time is 0, and the input's order is kept.
    columns, labels, notes
        As in `EventTable`; what is decided here is added to the notes.
    seqs : float64 array (events,), optional
        Place of each event in its session. With them, they order a session and not its times.

    Examples
    --------
    >>> table = group(["b", "a", "b"], np.array([7.0, 5.0, 6.0]), {}, None, [])
    >>> table.sessions, table.source_rows.tolist()
    (['a', 'b'], [1, 2, 0])
    """
    index: dict[str, int] = {}
    codes = np.array([index.setdefault(name, len(index)) for name in ids], dtype=np.int64)
    timed = np.zeros(len(codes)) if times is None else times
    # Stable: equal times stay as they stood.
    by_session = np.lexsort((timed if seqs is None else seqs, codes))
    lengths = np.bincount(codes, minlength=len(index))
    first_times = timed[by_session[_offsets(lengths)[:-1]]]
    by_first_time = np.argsort(first_times, kind="stable")
    ranks = np.empty_like(by_first_time)
    ranks[by_first_time] = np.arange(len(index))
    order = by_session[np.argsort(ranks[codes[by_session]], kind="stable")]
    names = list(index)
    table = EventTable(
        sessions=[names[i] for i in by_first_time.tolist()],
        offsets=_offsets(lengths[by_first_time]),
        times=timed[order],
        columns={name: column[order] for name, column in columns.items()},
        labels=None if labels is None else labels[order],
        source_rows=order,
    )
    numbered = seqs is not None
    said = order_notes(ties(table, numbered=numbered), timed=times is not None, numbered=numbered)
    return replace(table, notes=[*notes, *said])


def zone_notes(unzoned: int) -> list[str]:
    """Say how many times named no zone."""
    return [f"times that name no zone, read as UTC: {unzoned:,}"] if unzoned else []


def order_notes(count: int, *, timed: bool, numbered: bool) -> list[str]:
    """Say what orders events, and how many `ties` of times there are."""
    if not timed:
        order = "are ordered by their numbers" if numbered else "keep the order of the input"
        return [f"no time column: events {order}, and every time is 0"]
    if count == 0:
        return []
    if numbered:
        return [f"events at a time before their session's previous one: {count:,}"]
    return [f"events at the time of their session's previous one, kept in input order: {count:,}"]


def ties(table: EventTable, *, numbered: bool = False) -> int:
    """Count the events at their session's previous time; of numbered ones, those before it."""
    steps = np.diff(table.times)
    told = steps < 0 if numbered else steps == 0
    told[table.offsets[1:-1] - 1] = False  # from one session to the next
    return int(told.sum())


def _offsets(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
