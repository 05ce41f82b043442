"""The contract between raw events and rows of numbers.

Fitted in training, stored in the bundle, run unchanged in serving. A table, one event each of many
sessions, and one event alone go through the same float64 arithmetic and give the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegate.errors import InputError
from tidegate.schema import typed
from tidegate.schema.config import Field, SchemaConfig, Time
from tidegate.schema.fitted import (
    Category,
    Columns,
    Number,
    fit_category,
    fit_delta,
    fit_number,
    signed_log1p,
)
from tidegate.spec import CategoryInput

__all__ = ["Encoded", "Schema"]

Vector = NDArray[np.float64]

LIMIT = 1e6
"""Scaled values are clipped to this, so that no finite number overflows further on."""

_DAY = 86400.0
_THURSDAY = 3.0  # 1970-01-01, with Monday as 0


@dataclass(frozen=True)
class Encoded:
    """Rows, and what the encoder remembers after them.

    Parameters
    ----------
    rows : float32 array (events, schema.width)
        Numbers first, then one index a category. Without meaning where there is an error.
    states : float64 array (events or sessions, schema.state_size)
        NaN where there is nothing yet.
    errors : dict of int to InputError
        Events that were refused, by position; their states are as before.
    """

    rows: NDArray[np.float32]
    states: Vector
    errors: dict[int, InputError]


class Schema:
    """Turns raw fields into rows, with a memory per session.

    The memory (encoder state) is one float64 vector a session: the last value of each field that is
    carried or constant (a category's index), then the last time. NaN stands for nothing yet.

    Parameters
    ----------
    config : SchemaConfig
        The fields.
    numbers : mapping of str to Number
        Scaling of each numeric and boolean field.
    categories : mapping of str to Category
        Vocabulary of each category.
    delta : Number
        Scaling of the time since the previous event.

    Attributes
    ----------
    names : tuple of str
        The fields, in order.
    columns : tuple of str
        Names of the row's columns.
    width, state_size : int
        Columns of a row; doubles of an encoder state.
    categories : tuple of CategoryInput
        The columns that are indices, for `ModelSpec`.

    Examples
    --------
    >>> config = SchemaConfig({"speed": Field("numeric", missing="carry"), "road": Field("category")})
    >>> columns = {"speed": np.array([10.0, 30.0]), "road": np.array(["A1", "A2"], dtype=object)}
    >>> schema = Schema.fit(config, columns, np.array([0.0, 60.0]), np.array([0, 2]))
    >>> event = schema.type_event({"speed": 40, "road": "B7"})
    >>> schema.encode_rows(schema.stack([event]), np.zeros(1), schema.initial_state(1)).rows
    array([[2., 0.]], dtype=float32)
    """

    def __init__(
        self,
        config: SchemaConfig,
        numbers: Mapping[str, Number],
        categories: Mapping[str, Category],
        delta: Number,
    ) -> None:
        self.config = config
        self._numbers = dict(numbers)
        self._vocabularies = dict(categories)
        self._delta = delta
        self._indices = {
            name: {value: float(index) for index, value in enumerate(category.vocabulary, 1)}
            for name, category in categories.items()
        }
        self.names = tuple(config.fields)
        self._remembered = {
            name: k
            for k, name in enumerate(name for name, f in config.fields.items() if f.remembers)
        }
        self._uses_delta = config.time is not None and "delta" in config.time.features
        self.state_size = len(self._remembered) + self._uses_delta
        numbers_first = self._number_columns()
        index_columns = [name for name, f in config.fields.items() if f.kind == "category"]
        self.columns = (*numbers_first, *index_columns)
        self.width = len(self.columns)
        self.categories = tuple(
            self._category_input(name, column)
            for column, name in enumerate(index_columns, len(numbers_first))
        )

    @classmethod
    def fit(
        cls, config: SchemaConfig, columns: Columns, times: Vector, offsets: NDArray[np.int64]
    ) -> Schema:
        """Learn means, ranges and vocabularies from training data.

        Parameters
        ----------
        config : SchemaConfig
            The fields.
        columns : mapping of str to array (events,)
            Typed raw fields of the training part, and of nothing else.
        times : float64 array (events,)
            Unix seconds.
        offsets : int64 array (sessions + 1,)
            Session i is events ``offsets[i]:offsets[i + 1]``.

        Raises
        ------
        InputError
            The columns do not fit the configuration, or there are no events.
        """
        if len(times) == 0:
            raise InputError(
                "no_events", "there are no events to learn from", field="columns", hint="give some"
            )
        typed.check_columns(config, columns, len(times))
        deltas = _elapsed(times, _previous_times(times, offsets, np.full(len(offsets) - 1, np.nan)))
        return cls(
            config,
            {
                name: fit_number(field, columns[name])
                for name, field in config.fields.items()
                if field.kind != "category"
            },
            {
                name: fit_category(field, columns[name])
                for name, field in config.fields.items()
                if field.kind == "category"
            },
            fit_delta(deltas),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the schema as JSON-able members; `from_dict` gives it back exactly."""
        members: dict[str, Any] = msgspec.to_builtins(self.config)
        members["numbers"] = msgspec.to_builtins(self._numbers)
        members["categories"] = msgspec.to_builtins(self._vocabularies)
        members["delta"] = msgspec.to_builtins(self._delta)
        return members

    @classmethod
    def from_dict(cls, members: Mapping[str, Any]) -> Schema:
        """Build a schema from `to_dict`.

        Raises
        ------
        InputError
            ``bad_schema``: members are unknown, missing or of the wrong type.
        """
        try:
            stored = msgspec.convert(members, _Stored)
        except msgspec.ValidationError as error:
            raise InputError(
                "bad_schema", str(error), field="schema", hint="give what Schema.to_dict returned"
            ) from error
        config = SchemaConfig(stored.fields, stored.time)
        for name, field in config.fields.items():
            learned = stored.categories if field.kind == "category" else stored.numbers
            if name not in learned:
                raise InputError(
                    "bad_schema", "was never fitted", field=name, hint="fit the schema again"
                )
        return cls(config, stored.numbers, stored.categories, stored.delta)

    def initial_state(self, n: int) -> Vector:
        """Return the encoder states of `n` sessions without events."""
        return np.full((n, self.state_size), np.nan)

    def type_event(self, event: Mapping[str, object]) -> typed.TypedEvent:
        """Check one raw event: see `tidegate.schema.typed.type_event`."""
        return typed.type_event(self.config, event)

    def stack(self, events: Sequence[typed.TypedEvent]) -> Columns:
        """Turn typed events into columns, one event a row."""
        return typed.stack(self.config, events)

    payload_hash = staticmethod(typed.payload_hash)

    def encode_rows(self, columns: Columns, times: Vector, states: Vector) -> Encoded:
        """Encode one event each of many sessions.

        Parameters
        ----------
        columns : mapping of str to array (events,)
            From `stack`.
        times : float64 array (events,)
            Effective times, unix seconds.
        states : float64 array (events, state_size)
            Each session's encoder state; not written to.

        Returns
        -------
        Encoded
            Rows, the states after them, and the events that break a constant.
        """
        after = states.copy()
        errors: dict[int, InputError] = {}
        codes = self._codes(columns)
        last = {name: states[:, k] for name, k in self._remembered.items()}
        last_times = states[:, -1] if self._uses_delta else np.full(len(times), np.nan)
        rows = self._rows(codes, last, times, last_times)
        for name, k in self._remembered.items():
            after[:, k] = _latest(codes[name], last[name])
            if self.config.fields[name].constant:
                self._check_constant(name, codes[name], last[name], errors)
        if self._uses_delta:
            after[:, -1] = times
        if errors:
            refused = list(errors)
            after[refused] = states[refused]
        return Encoded(rows, after, errors)

    def encode(
        self,
        columns: Columns,
        times: Vector,
        offsets: NDArray[np.int64],
        states: Vector | None = None,
    ) -> Encoded:
        """Encode a whole table.

        Parameters
        ----------
        columns : mapping of str to array (events,)
            Typed raw fields.
        times : float64 array (events,)
            Unix seconds.
        offsets : int64 array (sessions + 1,)
            Session i is events ``offsets[i]:offsets[i + 1]``, in order.
        states : float64 array (sessions, state_size), optional
            Encoder states to begin with.

        Returns
        -------
        Encoded
            Rows equal to the bit to `encode_rows` event by event, and each session's last state.

        Raises
        ------
        InputError
            A column does not fit, or an event breaks a constant (naming its row).
        """
        typed.check_columns(self.config, columns, len(times))
        before = self.initial_state(len(offsets) - 1) if states is None else states
        after = before.copy()
        errors: dict[int, InputError] = {}
        codes = self._codes(columns)
        last: dict[str, Vector] = {}
        for name, k in self._remembered.items():
            last[name], after[:, k] = _carry(codes[name], offsets, before[:, k])
            if self.config.fields[name].constant:
                self._check_constant(name, codes[name], last[name], errors)
        if errors:
            raise errors[min(errors)]
        begin = before[:, -1] if self._uses_delta else np.full(len(offsets) - 1, np.nan)
        last_times = _previous_times(times, offsets, begin)
        if self._uses_delta:
            full = np.diff(offsets) > 0
            after[full, -1] = times[offsets[1:][full] - 1]
        return Encoded(self._rows(codes, last, times, last_times), after, {})

    def _codes(self, columns: Columns) -> dict[str, Vector]:
        """Every field as float64: categories as their index, NaN where missing."""
        codes: dict[str, Vector] = {}
        for name, field in self.config.fields.items():
            column = columns[name]
            if field.kind == "category":
                index = {**self._indices[name], None: np.nan}
                found = (index.get(value, 0.0) for value in column.tolist())
                codes[name] = np.fromiter(found, dtype=np.float64, count=len(column))
            else:
                codes[name] = np.ascontiguousarray(column)
        return codes

    def _rows(
        self, codes: Mapping[str, Vector], last: Mapping[str, Vector], times: Vector, before: Vector
    ) -> NDArray[np.float32]:
        numbers: list[Vector] = []
        indices: list[Vector] = []
        for name, field in self.config.fields.items():
            value = self._filled(name, field, codes[name], last.get(name))
            if field.kind == "category":
                indices.append(value)
            else:
                numbers.append(self._scaled(name, field, value))
            if field.indicator:
                numbers.append(np.isnan(codes[name]).astype(np.float64))
        if self.config.time is not None:
            numbers += self._time_columns(self.config.time, times, before)
        rows = np.empty((len(times), self.width), dtype=np.float32)
        for k, column in enumerate(numbers + indices):
            rows[:, k] = column
        return rows

    def _filled(self, name: str, field: Field, value: Vector, last: Vector | None) -> Vector:
        """Replace missing values by the field's policy."""
        if last is not None:
            value = _latest(value, last)
        if field.kind == "category":
            # The most frequent value has index 1; a vocabulary may be empty.
            most_frequent = float(min(1, len(self._vocabularies[name].vocabulary)))
            fill = most_frequent if field.missing == "mean" else 0.0
        else:
            fill = 0.0 if field.missing == "zero" else self._numbers[name].fill
        return np.where(np.isnan(value), fill, value)

    def _scaled(self, name: str, field: Field, value: Vector) -> Vector:
        if field.scale == "log1p":
            value = signed_log1p(value)
        return _standardised(value, self._numbers[name])

    def _time_columns(self, time: Time, times: Vector, before: Vector) -> list[Vector]:
        local = times + time.utc_offset_hours * 3600.0
        columns: list[Vector] = []
        for feature in time.features:
            if feature == "delta":
                columns.append(_standardised(np.log1p(_elapsed(times, before)), self._delta))
                continue
            if feature == "hour":
                turn = np.mod(local, _DAY) / _DAY
            else:
                turn = np.mod(np.floor(local / _DAY) + _THURSDAY, 7.0) / 7.0
            columns += [np.sin(2 * np.pi * turn), np.cos(2 * np.pi * turn)]
        return columns

    def _check_constant(
        self, name: str, value: Vector, last: Vector, errors: dict[int, InputError]
    ) -> None:
        absent, begun = np.isnan(value), ~np.isnan(last)
        for row in np.flatnonzero(absent & ~begun).tolist():
            errors.setdefault(row, _no_constant(name))
        for row in np.flatnonzero(~absent & begun & (value != last)).tolist():
            errors.setdefault(row, _changed_constant(name))

    def _number_columns(self) -> list[str]:
        names: list[str] = []
        for name, field in self.config.fields.items():
            if field.kind != "category":
                names.append(name)
            if field.indicator:
                names.append(f"{name} missing")
        for feature in self.config.time.features if self.config.time else ():
            waves = ("",) if feature == "delta" else (" sin", " cos")
            names += [f"time {feature}{wave}" for wave in waves]
        return names

    def _category_input(self, name: str, column: int) -> CategoryInput:
        size = len(self._vocabularies[name].vocabulary) + 1
        width = self.config.fields[name].embedding_size or min(16, (size + 1) // 2)
        return CategoryInput(column, size, width)


class _Stored(msgspec.Struct, forbid_unknown_fields=True):
    fields: dict[str, Field]
    time: Time | None
    numbers: dict[str, Number]
    categories: dict[str, Category]
    delta: Number


def _standardised(value: Vector, number: Number) -> Vector:
    return np.clip((value - number.center) / number.spread, -LIMIT, LIMIT)


def _latest(value: Vector, last: Vector) -> Vector:
    return np.where(np.isnan(value), last, value)


def _elapsed(times: Vector, before: Vector) -> Vector:
    """Seconds since the previous event: 0 where there is none, or where time went backwards."""
    return np.where(np.isnan(before), 0.0, np.maximum(times - before, 0.0))


def _previous_times(times: Vector, offsets: NDArray[np.int64], begin: Vector) -> Vector:
    previous = np.empty_like(times)
    previous[1:] = times[:-1]
    full = np.diff(offsets) > 0
    previous[offsets[:-1][full]] = begin[full]
    return previous


def _carry(
    value: Vector, offsets: NDArray[np.int64], begin: Vector
) -> tuple[Vector, NDArray[np.float64]]:
    """Return each event's last known value before it, and each session's after its last event."""
    n = len(value)
    session = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    # Position of the latest known value up to and with each event; -1 before the first.
    known = np.maximum.accumulate(np.where(np.isnan(value), -1, np.arange(n)))
    inside = known >= offsets[:-1][session]
    latest = np.where(inside, value[known], begin[session])
    last = np.empty_like(value)
    last[1:] = latest[:-1]
    full = np.diff(offsets) > 0
    last[offsets[:-1][full]] = begin[full]
    after = begin.copy()
    after[full] = latest[offsets[1:][full] - 1]
    return last, after


def _no_constant(name: str) -> InputError:
    return InputError(
        "missing_field",
        "is constant for a session and missing in its first event",
        field=name,
        hint="send it with the first event",
    )


def _changed_constant(name: str) -> InputError:
    return InputError(
        "constant_changed",
        "is constant for a session, and this is another value",
        field=name,
        hint='send the same value, leave it out, or begin the session anew with "start": true',
    )
