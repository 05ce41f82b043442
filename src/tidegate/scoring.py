"""A table of events to a table of answers: what a server would have said, offline."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate import answers, tables
from tidegate.answers import Answers, Column
from tidegate.answers.classify import Classify
from tidegate.bundle import Bundle
from tidegate.engine import offline
from tidegate.errors import InputError
from tidegate.tables import EventTable

__all__ = ["answer", "columns_of", "read"]


def read(
    bundle: Bundle,
    events: Any,
    session: str | None = None,
    time: str | None = None,
    seq: str | None = None,
    label: str | None = None,
) -> EventTable:
    """Read a table of a bundle's events, with the column names of its training unless given.

    Parameters
    ----------
    bundle : Bundle
        The model.
    events : str, Path or frame
        As `tables.read` takes them, and `session`, `time`, `seq` and `label`.

    Raises
    ------
    InputError
        ``missing_option``: the bundle does not say which column is the session; from
        `tables.read`.
    """
    trained = bundle.provenance.get("columns", {})
    session = session or trained.get("session")
    if session is None:
        raise InputError(
            "missing_option",
            "the bundle does not say which column holds the session id",
            field="--session",
            hint="give --session COLUMN",
        )
    return tables.read(
        events,
        session=session,
        fields={name: field.kind for name, field in bundle.schema.config.fields.items()},
        time=time or trained.get("time"),
        label=label,
        seq=seq or trained.get("seq"),
    )


def answer(bundle: Bundle, scorer: offline.Scorer, table: EventTable) -> dict[str, NDArray[Any]]:
    """Return one answer an event, in the order of the input, as the columns of a table.

    Parameters
    ----------
    bundle : Bundle
        The model.
    scorer : Engine or WholeSessions
        From `offline.open` of it.
    table : EventTable
        From `read`.

    Returns
    -------
    dict of str to array (events,)
        ``session``, ``seq``, ``time``, and what `columns_of` gives.

    Raises
    ------
    InputError
        From the schema, naming the field and the row of the input.
    """
    with tables.naming_rows(table.source_rows):
        outputs = offline.outputs(scorer, table.columns, table.times, table.offsets)
    order = np.empty_like(table.source_rows)
    order[table.source_rows] = np.arange(len(order))
    names = np.array(table.sessions, dtype=object)
    return {
        "session": names[np.repeat(np.arange(len(names)), table.lengths)[order]],
        "seq": table.seqs[order],
        "time": table.times[order],
        **columns_of(answers.open(bundle.task), outputs[order]),
    }


def columns_of(half: Answers, outputs: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """Return what answers hold, a column each.

    Of a classification every class: ``label``, ``probabilities.late`` and so on. Of other tasks
    what `Answers.columns` gives: of many labels or tokens the likeliest alone.
    """
    # Whoever words answers as a classification does may have very many classes.
    found = half.members(outputs) if type(half) is Classify else half.columns(outputs)
    return {name: _plain(column) for name, column in found.items()}


def _plain(column: Column) -> NDArray[Any]:
    if isinstance(column, np.ndarray):
        return column
    indices, texts = column
    return np.array(texts, dtype=object)[indices]
