"""Reading: from a file or a frame to an `EventTable`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tidegate.errors import InputError
from tidegate.tables.table import EventTable, group, zone_notes

if TYPE_CHECKING:
    from tidegate.tables.sources import Source, Want

__all__ = ["Events", "check_columns", "check_request", "convert", "read"]

NAMES_SHOWN = 20


def read(
    source: Any,
    *,
    session: str,
    fields: Mapping[str, str],
    time: str | None = None,
    label: str | None = None,
    seq: str | None = None,
) -> EventTable:
    """Read events, group them by session and order them by time, or by their numbers.

    Parameters
    ----------
    source : str, Path or frame
        A .csv or .parquet file, a folder of .parquet files, or a pandas, polars or Arrow frame.
        Columns that are not named here are left alone. A CSV file is RFC 4180, UTF-8, with commas
        and one line of names.
    session : str
        Column of the session id: text or integers.
    fields : mapping of str to {"numeric", "category", "boolean"}
        Column and kind of each field.

        - numeric: numbers.
        - category: text, a categorical column, or integers (their decimal text). In CSV, text as it
          stands: ``007`` stays ``007``.
        - boolean: booleans, the text true and false (in any case), or 0 and 1.

        A missing value is a null, an empty cell, or what pandas counts as missing, its NaN
        included. NaN elsewhere, and infinity, is an error. An empty text in quotes (``""``) of a
        CSV file is a category, and missing for the other kinds.
    time : str, optional
        Column of the event time: datetimes, RFC 3339 text, or unix seconds; kept to the
        microsecond. Where no zone is named, UTC is meant. Without the column, events keep the order
        of the input, and every time is 0.
    label : str, optional
        Column of the label, missing where there is none: numbers, or text. Of a CSV file: numbers
        if every cell is one (``007`` is not), else text.
    seq : str, optional
        Column of the event's number in its session: whole numbers from 1, one more with each event,
        as the server counts them. With it, a session's times may go backwards, as they may live.

    Returns
    -------
    EventTable
        Sessions by the time of their first event. Their events by `seq` where it is given, else by
        time, and in the order of the input where times are equal, which `notes` then says.

    Raises
    ------
    InputError
        The file: ``file_not_found``, ``cannot_read``, ``unsupported_source``, ``empty_file``,
        ``bad_csv``, ``ragged_row``, ``bad_quotes``, ``bad_parquet``, ``no_events``. Columns:
        ``missing_column``, ``duplicate_column``, ``label_is_field``, ``bad_kind``. A cell, with
        its row (from 1) and, in CSV, its line: ``wrong_type``, ``not_finite``, ``bad_session_id``,
        ``bad_time``, ``bad_seq``.

    Examples
    --------
    >>> import polars as pl
    >>> events = pl.DataFrame({
    ...     "user": ["b", "a", "b"], "at": [30.0, 20.0, 10.0], "spent": [3.5, None, 1.0]
    ... })
    >>> table = read(events, session="user", time="at", fields={"spent": "numeric"})
    >>> table.sessions, table.offsets.tolist(), table.columns["spent"].tolist()
    (['b', 'a'], [0, 2, 3], [1.0, 3.5, nan])
    """
    check_request(fields, label)
    try:
        from tidegate.tables.sources import open_source
    except ImportError as error:
        raise InputError(
            "missing_extra",
            f"{error.name} is not installed",
            hint="pip install 'tidegate[tables]'",
        ) from error

    needed = {session, *fields} | {name for name in (time, label, seq) if name is not None}
    opened = open_source(source, needed)
    check_columns(opened, needed)
    found = convert(opened, session=session, fields=fields, time=time, label=label, seq=seq)
    notes = zone_notes(found.unzoned)
    return group(found.ids, found.times, found.columns, found.labels, notes, found.seqs)


@dataclass(frozen=True, eq=False)
class Events:
    """Events as they stand in the input, of the types of an `EventTable`.

    Parameters
    ----------
    ids : list of str
        Session of each.
    times : float64 array (events,), optional
        Unix seconds.
    columns, labels
        As in `EventTable`.
    unzoned : int
        Times that named no zone.
    seqs : float64 array (events,), optional
        Place of each in its session.
    """

    ids: list[str]
    times: NDArray[np.float64] | None
    columns: dict[str, NDArray[Any]]
    labels: NDArray[Any] | None
    unzoned: int = 0
    seqs: NDArray[np.float64] | None = None


def convert(
    source: Source,
    *,
    session: str,
    fields: Mapping[str, str],
    time: str | None = None,
    label: str | None = None,
    seq: str | None = None,
) -> Events:
    """Convert the columns of a source that has them; see `read`."""
    from tidegate.tables import convert as to
    from tidegate.tables.cells import Cells

    def cells(name: str, want: Want) -> Cells:
        return Cells.of(source.series(name, want), source.where)

    ids = to.sessions(cells(session, "text"))
    times, unzoned = (None, 0) if time is None else to.times(cells(time, "guess"))
    columns: dict[str, NDArray[Any]] = {}
    for name, kind in fields.items():
        if kind == "numeric":
            columns[name] = to.numbers(cells(name, "numeric"))
        elif kind == "boolean":
            columns[name] = to.booleans(cells(name, "other"))
        else:
            columns[name] = to.categories(cells(name, "text"))
    labels = None if label is None else to.labels(cells(label, "guess"))
    seqs = None if seq is None else to.seqs(cells(seq, "numeric"), ids)
    return Events(ids, times, columns, labels, unzoned, seqs)


def check_request(fields: Mapping[str, str], label: str | None) -> None:
    """Refuse what `read` cannot be asked for: ``bad_kind``, ``label_is_field``."""
    for name, kind in fields.items():
        if kind not in ("numeric", "category", "boolean"):
            raise InputError(
                "bad_kind",
                f"{kind!r} is not a kind of field",
                field=name,
                hint="use numeric, category or boolean",
            )
    if label in fields:
        raise InputError(
            "label_is_field",
            "the label is also a field: the model would read its answer",
            field=label,
            hint="leave it out of the fields",
        )


def check_columns(source: Source, needed: Iterable[str]) -> None:
    """Refuse a source without rows, or without a column: ``no_events``, ``missing_column``."""
    for name in sorted(needed):
        if name not in source.names:
            close = difflib.get_close_matches(name, source.names, n=3)
            guess = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
            more = ", ..." if len(source.names) > NAMES_SHOWN else ""
            raise InputError(
                "missing_column",
                "the table has no such column",
                field=name,
                hint=f"{guess}columns: {', '.join(source.names[:NAMES_SHOWN])}{more}",
            )
    if source.rows == 0:
        raise InputError(
            "no_events", "the table has no rows", field="source", hint="give at least one event"
        )
