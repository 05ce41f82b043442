"""Columns of raw values to rows of numbers, with what each session remembers.

Tables, micro-batches and single events give equal bits, on every processor: addition, subtraction
and division are IEEE 754's, one element at a time, and the other functions (log1p, sine, cosine)
are the core's own, because NumPy's differ between processors. The arithmetic is float64; the row is
rounded to float32 at the very end.

Tables are encoded here. One event each of many sessions, the server's case, is encoded by
native/encode.c; tests hold it to the bits of `encode_each`, which words its errors.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from tidegate.errors import InputError, shown
from tidegate.schema.clock import log_delta, on_circle
from tidegate.schema.faults import missing_field, not_finite
from tidegate.schema.fit import signed_log
from tidegate.schema.sessions import EventOfEach, Sessions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tidegate.schema.columns import Columns
    from tidegate.schema.fitted import FittedField
    from tidegate.schema.layout import Layout

__all__ = ["LIMIT", "Encoded", "encode_each", "encode_events", "encode_table"]

LIMIT = 1e6
"""Scaled numbers are cut off at plus and minus this, so that no sum of float32 overflows."""

CHUNK = 2048
"""Rows of a table that are encoded together: few enough to stay in the processor's cache."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """Encoded events.

    Parameters
    ----------
    rows : float32 array, ``[n, width]``
        0 in rows that have an error.
    states : float64 array, ``[sessions, state_size]``
        The encoder's state after the events; unchanged where there was an error.
    errors : dict of int to InputError
        By row. Always empty for a table: there an error is raised.
    """

    rows: NDArray[np.float32]
    states: NDArray[np.float64]
    errors: dict[int, InputError] = field(default_factory=dict)


def encode_events(
    layout: Layout,
    columns: Columns,
    times: NDArray[np.float64],
    states: NDArray[np.float64],
    sessions: EventOfEach | Sessions,
) -> Encoded:
    """Encode the events of some sessions, each of which begins with its state."""
    raw = _gather(layout, columns, len(times))
    missing = np.isnan(raw)
    known = states.T
    remembered = len(layout.remembered)
    held = sessions.filled(raw[layout.remembered], known[:remembered])
    errors = _errors(layout, columns, raw, held, known[:remembered], times, sessions)
    raw[layout.remembered] = held
    values = np.where(np.isnan(raw), layout.fill, raw)

    table = np.empty((len(layout.columns), len(times)))
    # An infinite value has its error by now, and a huge one is cut off at LIMIT.
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = values[: layout.numbers]
        if layout.clipped.size:
            numbers[layout.clipped] = _cut(numbers[layout.clipped], *layout.bounds)
        if layout.logged.size:
            numbers[layout.logged] = signed_log(numbers[layout.logged])
        values[: layout.numbers] = _scaled(numbers, layout.center, layout.spread)
        table[layout.value_columns] = values
        table[layout.indicator_columns] = missing[layout.indicated]
        for feature, column in layout.time_columns:
            if feature == "delta":
                before = sessions.previous(times[None], known[remembered:])[0]
                delta = log_delta(times, before)
                table[column] = _scaled(delta, layout.delta.center, layout.delta.spread)
            else:
                table[column : column + 2] = on_circle(times, feature, layout.utc_offset_hours)

    rows = np.ascontiguousarray(table.T, dtype=np.float32)
    memory = np.concatenate([held, times[None]])[: layout.state_size]
    after = np.ascontiguousarray(sessions.last(memory, known).T)
    return Encoded(rows, after, errors)


def encode_each(
    layout: Layout,
    columns: Columns,
    times: NDArray[np.float64],
    states: NDArray[np.float64],
) -> Encoded:
    """Encode one event each of n sessions; an event with an error changes nothing."""
    encoded = encode_events(layout, columns, times, states, EventOfEach())
    if encoded.errors:
        failed = list(encoded.errors)
        encoded.rows[failed] = 0.0
        encoded.states[failed] = states[failed]
    return encoded


def encode_table(
    layout: Layout,
    columns: Columns,
    times: NDArray[np.float64],
    offsets: NDArray[np.int64],
    states: NDArray[np.float64],
) -> Encoded:
    """Encode whole sessions, some of them at a time; raise for the first row with an error."""
    rows = np.empty((len(times), len(layout.columns)), dtype=np.float32)
    after = np.empty_like(states)
    first = 0
    while first < len(states):
        fitting = int(np.searchsorted(offsets, offsets[first] + CHUNK, side="right")) - 1
        last = max(fitting, first + 1)
        begin, end = offsets[first], offsets[last]
        part = encode_events(
            layout,
            {name: column[begin:end] for name, column in columns.items()},
            times[begin:end],
            states[first:last],
            Sessions(offsets[first : last + 1] - begin),
        )
        if part.errors:
            row = min(part.errors)
            raise part.errors[row].at_row(int(begin) + row)
        rows[begin:end], after[first:last] = part.rows, part.states
        first = last
    return Encoded(rows, after)


def _gather(layout: Layout, columns: Columns, length: int) -> NDArray[np.float64]:
    """Return all columns as ``[fields, n]``, categories as indices, NaN where one is missing."""
    raw = np.empty((len(layout.fields), length))
    numbers = raw[: layout.numbers]
    for index, field_ in enumerate(layout.fields[: layout.numbers]):
        numbers[index] = columns[field_.name]
    numbers += 0.0  # -0.0 becomes 0.0, as in a typed event
    for index, lookup in enumerate(layout.lookups, start=layout.numbers):
        texts = columns[layout.fields[index].name].tolist()
        raw[index] = np.fromiter(map(lookup.get, texts, repeat(0.0)), np.float64, length)
    return raw


def _cut(
    numbers: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> NDArray[np.float64]:
    # Not np.clip: which of two zeros it takes depends on the processor.
    return np.where(numbers < low, low, np.where(numbers > high, high, numbers))


def _scaled(
    numbers: NDArray[np.float64],
    center: float | NDArray[np.float64],
    spread: float | NDArray[np.float64],
) -> NDArray[np.float64]:
    scaled: NDArray[np.float64] = np.clip((numbers - center) / spread, -LIMIT, LIMIT)
    return scaled


def _errors(
    layout: Layout,
    columns: Columns,
    raw: NDArray[np.float64],
    held: NDArray[np.float64],
    known: NDArray[np.float64],
    times: NDArray[np.float64],
    sessions: EventOfEach | Sessions,
) -> dict[int, InputError]:
    """Return the first error of each row that has one."""
    errors: dict[int, InputError] = {}
    for row in np.flatnonzero(~np.isfinite(times)):
        errors[int(row)] = not_finite("time", float(times[row]))
    for index, row in np.argwhere(np.isinf(raw)):
        errors.setdefault(int(row), not_finite(layout.fields[index].name, float(raw[index, row])))
    for index, row in np.argwhere(np.isnan(raw[layout.required])):
        errors.setdefault(int(row), missing_field(layout.fields[layout.required[index]].name))
    if layout.constants.size:
        given, first = raw[layout.constants], len(held) - len(layout.constants)
        before = sessions.previous(held[first:], known[first:])
        changed = (given != before) & ~np.isnan(given) & ~np.isnan(before)
        for index, row in np.argwhere(changed):
            field_ = layout.fields[layout.constants[index]]
            error = _constant_changed(field_, columns[field_.name][row], before[index, row])
            errors.setdefault(int(row), error)
        for index, row in np.argwhere(np.isnan(held[first:])):
            name = layout.fields[layout.constants[index]].name
            errors.setdefault(int(row), missing_field(name, constant=True))
    return errors


def _constant_changed(field_: FittedField, given: Any, before: float) -> InputError:
    if field_.config.kind == "category":
        # Of a text that training did not have, no more than that is remembered.
        known = field_.statistics.values
        began = shown(known[int(before) - 1]) if before else "one that training did not have"
    else:
        as_sent = bool if field_.config.kind == "boolean" else float
        given, began = as_sent(given), shown(as_sent(before))
    return InputError(
        "constant_changed",
        f"{shown(given)} is not the value that the session began with, {began}, "
        "and the field is constant",
        field=field_.name,
        hint="send the same value, leave the field out, or begin another session",
    )
