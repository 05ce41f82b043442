"""Grouping by session what does not fit into memory: Parquet files, by way of a file on disk.

Two passes over the input. The first reads session and time alone: when each session begins and how
many events it has, and so where each is to lie among all. Neighbouring sessions make a block that
fits into memory. The second pass writes each event into its block's place of the file. A block that
is read back has all events of its sessions, and is ordered there. So it does not matter how the
input is sorted: all of it is written once and read back.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tidegate.errors import InputError
from tidegate.files import refusals
from tidegate.tables.pieces import Pieces
from tidegate.tables.reading import Events
from tidegate.tables.table import EventTable, order_notes, ties, zone_notes

__all__ = ["BYTES", "Regrouped", "changed", "regroup"]

BYTES = 16 << 20
"""Of a block, if none of its sessions has more."""

_Index = dict[str, int]


@dataclass(frozen=True, eq=False)
class Regrouped:
    """Sessions of a table on disk, in the order of `tables.read`, a block of them at a time.

    Parameters
    ----------
    sessions : list of str
        Session ids.
    offsets : int64 array (sessions + 1,)
        Session i is events ``offsets[i]:offsets[i + 1]`` of all blocks, one behind the other.
    first_times : float64 array (sessions,)
        Unix seconds of each session's first event.
    notes : list of str
        What reading decided, for a person to see.
    """

    sessions: list[str]
    offsets: NDArray[np.int64]
    first_times: NDArray[np.float64]
    notes: list[str]
    _records: _Records
    _bounds: NDArray[np.int64]

    def blocks(self) -> Iterator[tuple[int, EventTable]]:
        """Yield the place of the first session, and the table, of each block."""
        for first, last in zip(self._bounds[:-1].tolist(), self._bounds[1:].tolist(), strict=True):
            yield first, self._records.table(self.sessions, self.offsets, first, last)

    def close(self) -> None:
        """Let the file go."""
        self._records.file.close()


def regroup(pieces: Pieces, folder: Path) -> Regrouped:
    """Group events by session and order them by time, with little of them in memory.

    In memory are a piece and a block, and of each session its id and some numbers; every distinct
    category, too.

    Parameters
    ----------
    pieces : Pieces
        The input.
    folder : Path
        Where a file is made that has no name, of about the size that the input's columns have in
        memory: the system removes it when it is closed, or the process ends.

    Raises
    ------
    InputError
        As `Pieces.check` and `tables.read`; ``data_changed``: the second pass did not find what the
        first did; ``cannot_write``.
    """
    types = pieces.check()
    index: _Index = {}
    counts, begins, unzoned = _first_pass(pieces, index)
    order = np.argsort(begins, kind="stable")
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(order))
    offsets = np.concatenate([[0], np.cumsum(counts[order])]).astype(np.int64)
    names = list(index)
    sessions = [names[i] for i in order.tolist()]
    worded = pieces.label is not None and not types[pieces.label].is_numeric()
    with refusals(folder):
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - `Regrouped.close` closes it
    try:
        records = _Records(pieces, file, worded=worded)
        bounds = _bounds(offsets, BYTES // records.dtype.itemsize)
        with refusals(folder):
            _second_pass(pieces, records, index, ranks, offsets, bounds)
        made = Regrouped(sessions, offsets, begins[order], [], records, bounds)
        timed = pieces.time is not None
        count = sum(ties(table) for _, table in made.blocks()) if timed else 0
    except BaseException:
        file.close()
        raise
    notes = [*zone_notes(unzoned), *order_notes(count, timed=timed, numbered=False)]
    return replace(made, notes=notes)


class _Records:
    """Events on disk, each as long as any other: texts are numbers there, and names in memory."""

    def __init__(self, pieces: Pieces, file: IO[bytes], *, worded: bool) -> None:
        self.file = file
        self._fields = {name: str(number) for number, name in enumerate(pieces.fields)}
        self._label = None if pieces.label is None else "label"
        texts = [self._fields[name] for name, kind in pieces.fields.items() if kind == "category"]
        self._texts: dict[str, _Index] = {key: {} for key in [*texts, *["label"] * worded]}
        keys = [*self._fields.values(), *([] if self._label is None else [self._label])]
        kinds = [(key, "<i4" if key in self._texts else "<f8") for key in keys]
        self.dtype = np.dtype([("rank", "<i8"), ("row", "<i8"), ("time", "<f8"), *kinds])

    def of(self, first: int, events: Events, ranks: NDArray[np.int64]) -> NDArray[Any]:
        """Return the records of a piece."""
        made = np.empty(len(ranks), self.dtype)
        made["rank"], made["row"] = ranks, first + np.arange(len(ranks))
        made["time"] = 0.0 if events.times is None else events.times
        columns = {key: events.columns[name] for name, key in self._fields.items()}
        if self._label is not None:
            assert events.labels is not None
            columns[self._label] = events.labels
        for key, column in columns.items():
            index = self._texts.get(key)
            made[key] = column if index is None else _numbered(column, index)
        return made

    def write(self, records: NDArray[Any], place: int) -> None:
        """Write records from a place on."""
        self.file.seek(place * self.dtype.itemsize)
        self.file.write(records.tobytes())

    def table(
        self, sessions: list[str], offsets: NDArray[np.int64], first: int, last: int
    ) -> EventTable:
        """Return some neighbouring sessions."""
        size = self.dtype.itemsize
        self.file.seek(int(offsets[first]) * size)
        content = self.file.read(int(offsets[last] - offsets[first]) * size)
        found = np.frombuffer(content, self.dtype)
        # Stable, and records stand as the input has them: so equal times stay as they stood.
        found = found[np.lexsort((found["time"], found["rank"]))]
        return EventTable(
            sessions=sessions[first:last],
            offsets=offsets[first : last + 1] - offsets[first],
            times=found["time"].copy(),
            columns={name: self._values(found, key) for name, key in self._fields.items()},
            labels=None if self._label is None else self._values(found, self._label),
            source_rows=found["row"].copy(),
        )

    def _values(self, found: NDArray[Any], key: str) -> NDArray[Any]:
        index = self._texts.get(key)
        if index is None:
            return found[key].copy()
        if key == self._label and not index:  # as `tables.read` has a column without any
            return np.full(len(found), np.nan)
        names = np.array([*index, None], dtype=object)
        values: NDArray[Any] = names[found[key]]  # -1 is the last: None
        return values


def _numbered(texts: NDArray[Any], index: _Index) -> NDArray[np.int32]:
    """Return numbers of texts, in the order of their first appearance, -1 where there is none."""
    if texts.dtype != object:  # labels of a piece that has none
        return np.full(len(texts), -1, np.int32)
    listed = texts.tolist()
    for text in dict.fromkeys(listed):
        if text is not None:
            index.setdefault(text, len(index))
    known = {None: -1, **{text: index[text] for text in set(listed) if text is not None}}
    return np.fromiter(map(known.__getitem__, listed), np.int32, len(listed))


def _first_pass(
    pieces: Pieces, index: _Index
) -> tuple[NDArray[np.int64], NDArray[np.float64], int]:
    """Return events and first time of each session, in the order of the index, and times unzoned.

    The index is filled in the order of the sessions' first appearance.
    """
    counts, begins, unzoned = np.zeros(0, np.int64), np.zeros(0), 0
    for _, events in replace(pieces, fields={}, label=None):
        for name in dict.fromkeys(events.ids):
            index.setdefault(name, len(index))
        codes = np.fromiter(map(index.__getitem__, events.ids), np.int64, len(events.ids))
        new = len(index) - len(counts)
        if len(index) > len(counts):
            counts = np.concatenate([counts, np.zeros(new, np.int64)])
            begins = np.concatenate([begins, np.full(new, np.inf)])
        np.add.at(counts, codes, 1)
        np.minimum.at(begins, codes, 0.0 if events.times is None else events.times)
        unzoned += events.unzoned
    return counts, begins, unzoned


def _second_pass(
    pieces: Pieces,
    records: _Records,
    index: _Index,
    ranks: NDArray[np.int64],
    offsets: NDArray[np.int64],
    bounds: NDArray[np.int64],
) -> None:
    """Write every event into the place of its session's block."""
    blocks = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    places, ends = offsets[bounds[:-1]].copy(), offsets[bounds[1:]]
    for first, events in pieces:
        try:
            of = ranks[[index[name] for name in events.ids]]
        except KeyError:
            raise changed(pieces.path) from None
        made = records.of(first, events, of)
        order = np.argsort(blocks[of], kind="stable")
        held = blocks[of][order]
        starts = np.flatnonzero(np.diff(held, prepend=-1))
        for block, part in zip(
            held[starts].tolist(), np.split(made[order], starts[1:]), strict=True
        ):
            if places[block] + len(part) > ends[block]:
                raise changed(pieces.path)
            records.write(part, int(places[block]))
            places[block] += len(part)
    if (places != ends).any():
        raise changed(pieces.path)
    records.file.flush()


def _bounds(offsets: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Return the first session of each block, and the number of sessions."""
    bounds, last = [0], len(offsets) - 1
    while bounds[-1] < last:
        within = int(np.searchsorted(offsets, offsets[bounds[-1]] + size, side="right")) - 1
        bounds.append(max(within, bounds[-1] + 1))
    return np.array(bounds)


def changed(path: Path) -> InputError:
    """Return the error of events that changed while they were read."""
    return InputError(
        "data_changed",
        "the events changed while they were read",
        field=str(path),
        hint="wait until they are written, and begin again",
    )
