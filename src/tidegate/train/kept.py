"""A table of events in a file, equal to the bit when it is read back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegate import files
from tidegate.tables import EventTable

__all__ = ["joined", "load_table", "save_table"]

_Column = bytes | list[str | None] | None


class _Kept(msgspec.Struct, frozen=True):
    sessions: list[str]
    lengths: list[int]
    times: bytes
    columns: dict[str, _Column]
    labels: _Column
    source_rows: bytes


def save_table(table: EventTable, path: Path) -> None:
    """Write a table, its notes left out."""
    kept = _Kept(
        table.sessions,
        table.lengths.tolist(),
        table.times.tobytes(),
        {name: _packed(column) for name, column in table.columns.items()},
        None if table.labels is None else _packed(table.labels),
        table.source_rows.tobytes(),
    )
    files.write_file(path, msgspec.msgpack.encode(kept))


def load_table(path: Path) -> EventTable:
    """Read what `save_table` wrote."""
    kept = msgspec.msgpack.decode(path.read_bytes(), type=_Kept)
    return EventTable(
        sessions=kept.sessions,
        offsets=np.concatenate([[0], np.cumsum(kept.lengths)]).astype(np.int64),
        times=np.frombuffer(kept.times, np.float64),
        columns={name: _unpacked(column) for name, column in kept.columns.items()},
        labels=None if kept.labels is None else _unpacked(kept.labels),
        source_rows=np.frombuffer(kept.source_rows, np.int64),
    )


def joined(tables: Sequence[EventTable]) -> EventTable:
    """Return tables of different sessions, one behind the other, as one.

    Examples
    --------
    >>> from tidegate.tables.table import group
    >>> one, other = (group(list(ids), np.arange(2.0), {}, None, []) for ids in ("aa", "bc"))
    >>> table = joined([one, other])
    >>> table.sessions, table.offsets.tolist(), table.times.tolist()
    (['a', 'b', 'c'], [0, 2, 3, 4], [0.0, 1.0, 0.0, 1.0])
    """
    labels = [table.labels for table in tables if table.labels is not None]
    return EventTable(
        sessions=[name for table in tables for name in table.sessions],
        offsets=np.concatenate([[0], np.cumsum(np.concatenate([t.lengths for t in tables]))]),
        times=np.concatenate([table.times for table in tables]),
        columns={
            name: np.concatenate([table.columns[name] for table in tables])
            for name in tables[0].columns
        },
        labels=np.concatenate(labels) if labels else None,
        source_rows=np.concatenate([table.source_rows for table in tables]),
    )


def _packed(column: NDArray[Any]) -> _Column:
    return column.tolist() if column.dtype == object else column.tobytes()


def _unpacked(column: _Column) -> NDArray[Any]:
    if isinstance(column, bytes):
        return np.frombuffer(column, np.float64)
    return np.array(column, dtype=object)
