"""A table of events through the server, a bounded request at a time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegate import tables
from tidegate.client import columns
from tidegate.client.answers import Answer, parse, parse_error
from tidegate.client.exchange import (
    Exchange,
    Reply,
    Request,
    Retries,
    expect,
    line_error,
    persist,
)
from tidegate.client.questions import describe
from tidegate.errors import TidegateError
from tidegate.tables import EventTable

if TYPE_CHECKING:
    import polars as pl

__all__ = ["score"]

_CHUNK_EVENTS = 4096
_CHUNK_BYTES = 512 * 1024
_KEPT_ANSWERS = 8
"""How many answers a server of an earlier version keeps of a session; others say how many."""

_encode = msgspec.json.Encoder().encode


def score(
    model: str, retries: Retries, source: Any, *, session: str, time: str | None, seq: str | None
) -> Exchange[pl.DataFrame]:
    """Send a table's events, and return a frame of answers; see `Client.score`."""
    described = yield from describe(model, retries)
    fields = {name: field["kind"] for name, field in described["fields"].items()}
    table = tables.read(source, session=session, fields=fields, time=time, seq=seq)
    lines = _Lines(table, fields, timed=time is not None)
    scored = _Scored(table, columns.of(described["task"]))
    path = f"/v1/models/{quote(model, safe='')}/events"
    kept = described.get("kept_answers", _KEPT_ANSWERS)
    for events in _chunks(table.seqs, kept):
        for part, body in lines.bodies(events):
            request = Request("POST", path, body, "application/x-ndjson")
            settled = partial(_unsettled, expected=len(part))
            reply = yield from persist(request, retries, f"{len(part)} events", settled)
            scored.take(part, expect(reply))
    return scored.frame()


def _chunks(seqs: NDArray[np.int64], kept: int) -> Iterator[NDArray[np.int64]]:
    """Yield events so that each session's stay in order, with at most `kept` of one in a chunk."""
    rounds = (seqs - 1) // kept
    order = np.argsort(rounds, kind="stable")
    for events in np.split(order, np.flatnonzero(np.diff(rounds[order])) + 1):
        for first in range(0, len(events), _CHUNK_EVENTS):
            yield events[first : first + _CHUNK_EVENTS]


def _unsettled(reply: Reply, *, expected: int) -> TidegateError | None:
    """Return why lines have to be sent again: all of them are, and those applied are repeats."""
    lines = reply.body.count(b"\n")
    if lines != expected:
        return TidegateError("bad_answer", f"{lines} of {expected} lines came back")
    return line_error(reply.body)


class _Lines:
    """Words events as lines of JSON."""

    def __init__(self, table: EventTable, kinds: dict[str, str], *, timed: bool) -> None:
        self._table, self._kinds, self._timed = table, kinds, timed
        self._owner = np.repeat(np.arange(len(table.sessions)), table.lengths)
        self._seqs = table.seqs

    def bodies(self, events: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], bytes]]:
        """Yield parts of some events with their bodies, of a bounded size."""
        lines = [_encode(line) for line in self._words(events)]
        begin, size = 0, 0
        for place, line in enumerate(lines):
            if size and size + len(line) >= _CHUNK_BYTES:
                yield events[begin:place], b"\n".join(lines[begin:place]) + b"\n"
                begin, size = place, 0
            size += len(line) + 1
        yield events[begin:], b"\n".join(lines[begin:]) + b"\n"

    def _words(self, events: NDArray[np.int64]) -> Iterator[dict[str, Any]]:
        columns = [self._column(name, events) for name in self._kinds]
        seqs = self._seqs[events].tolist()
        owners = self._owner[events].tolist()
        times = self._table.times[events].tolist()
        for place, values in enumerate(zip(*columns, strict=True) if columns else [()] * len(seqs)):
            line: dict[str, Any] = {
                "session": self._table.sessions[owners[place]],
                "seq": seqs[place],
                "event": dict(zip(self._kinds, values, strict=True)),
            }
            if self._timed:
                line["time"] = times[place]
            yield line

    def _column(self, name: str, events: NDArray[np.int64]) -> list[Any]:
        """Return a column's values; None where they are missing."""
        values = self._table.columns[name][events]
        if self._kinds[name] == "category":
            return list(values)
        boolean = self._kinds[name] == "boolean"
        return [
            None if value != value else bool(value) if boolean else value
            for value in values.tolist()
        ]


class _Scored:
    """Collects answers in arrays, one row an event."""

    def __init__(self, table: EventTable, answers: columns.Columns) -> None:
        self._table = table
        n = table.n_events
        self._times = np.full(n, np.nan)
        self._duplicates = np.zeros(n, dtype=bool)
        self._codes = np.full(n, None, dtype=object)
        self._messages = np.full(n, None, dtype=object)
        self._answers = answers
        names, texts = answers.names, answers.texts
        self._numbers = np.full((n, len(names) - len(texts)), np.nan)
        self._texts = np.full((n, len(texts)), None, dtype=object)
        self._is_text = [name in texts for name in names]

    def take(self, events: NDArray[np.int64], body: bytes) -> None:
        """Take the lines that answer some events, in their order."""
        for event, line in zip(events.tolist(), body.splitlines(), strict=True):
            error = parse_error(line)
            if error is not None:
                self._codes[event], self._messages[event] = error.code, str(error)
                continue
            answer: Answer = parse(line, Answer)
            self._times[event] = answer.time
            self._duplicates[event] = answer.duplicate
            cells = self._answers.cells(answer.answer)
            kinds = self._is_text
            self._texts[event] = [cell for cell, text in zip(cells, kinds, strict=True) if text]
            self._numbers[event] = [
                cell for cell, text in zip(cells, kinds, strict=True) if not text
            ]

    def frame(self) -> pl.DataFrame:
        """Return everything in the order of the input."""
        import polars as pl

        table = self._table
        order = np.argsort(table.source_rows)
        sessions = np.repeat(np.array(table.sessions, dtype=object), table.lengths)
        found: dict[str, Any] = {
            "session": pl.Series(sessions[order].tolist(), dtype=pl.String),
            "seq": table.seqs[order],
            "time": self._times[order],
        }
        texts, numbers = iter(self._texts.T), iter(self._numbers.T)
        for name, text in zip(self._answers.names, self._is_text, strict=True):
            if text:
                found[name] = pl.Series(next(texts)[order].tolist(), dtype=pl.String)
            else:
                found[name] = next(numbers)[order]
        found["duplicate"] = self._duplicates[order]
        for name, words in (("error_code", self._codes), ("error_message", self._messages)):
            found[name] = pl.Series(words[order].tolist(), dtype=pl.String)
        return pl.DataFrame(found, nan_to_null=True)
