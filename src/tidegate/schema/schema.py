"""The schema: the one way from raw fields to numbers, in training and in serving."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tidegate.schema import columns as columns_
from tidegate.schema import typed
from tidegate.schema.config import TIME_COLUMNS
from tidegate.schema.encode import Encoded, encode_each, encode_table
from tidegate.schema.faults import wrong_shape
from tidegate.schema.fit import fit
from tidegate.schema.fitted import Fitted, FittedField
from tidegate.schema.layout import Layout
from tidegate.schema.native import encoder_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from tidegate.errors import InputError
    from tidegate.schema.columns import Columns
    from tidegate.schema.config import SchemaConfig
    from tidegate.spec import CategoryInput

__all__ = ["Schema"]


class Schema:
    """How the raw fields of an event become a row of numbers. Immutable.

    Raw values come as columns: a dict of one array a field. Numeric: float64, NaN = missing.
    Boolean: float64 0 and 1, NaN = missing. Category: object array of str, None = missing. Times
    are unix seconds, float64.

    Numbers are encoded as ``(x - center) / spread`` and cut off at +-1e6, whatever their scale, so
    that a huge value cannot become an infinity in float32.

    Parameters
    ----------
    fitted : Fitted
        What `fit` found. Use `Schema.fit` or `Schema.from_dict`.

    Attributes
    ----------
    config : SchemaConfig
        What was asked for.
    names : tuple of str
        The fields, in order.
    columns : tuple of str
        The columns of a row: numbers (with indicators and time features) first, then one index
        column a category.
    fields : dict of str to FittedField
        By name, what was asked for and what training said.
    width, state_size : int
        Floats of a row, and of the encoder's state of one session.
    categories : tuple of CategoryInput
        Which columns are indices, and how large the vocabularies are.
    encoder : core.Encoder
        The same schema in C.

    Examples
    --------
    >>> from tidegate.schema import Field, SchemaConfig, Time
    >>> config = SchemaConfig(
    ...     {"speed": Field("numeric", missing="carry", indicator=True), "lane": Field("category")},
    ...     Time(("delta",)),
    ... )
    >>> columns = {"speed": np.array([1.0, 3.0, np.nan]), "lane": np.array(["a", "b", "a"], object)}
    >>> schema = Schema.fit(config, columns, np.array([0.0, 9.0, 9.0]), np.array([0, 3]))
    >>> schema.columns
    ('speed', 'speed missing', 'time delta', 'lane')
    >>> event = schema.type_event({"speed": 3, "lane": "c"})
    >>> event
    (3.0, 'c')
    >>> now = np.array([7.0])
    >>> encoded = schema.encode_rows(schema.stack([event]), now, schema.initial_state(1))
    >>> encoded.rows.round(3).tolist(), encoded.states.tolist()
    ([[1.0, 0.0, -0.707..., 0.0]], [[3.0, 7.0]])
    >>> event = schema.type_event({"speed": None, "lane": "b"})
    >>> schema.encode_rows(schema.stack([event]), now, encoded.states).rows[0, :2].tolist()
    [1.0, 1.0]
    """

    def __init__(self, fitted: Fitted) -> None:
        self._fitted = fitted
        self._layout = Layout.of(fitted)
        self.config: SchemaConfig = fitted.config
        self.encoder = encoder_of(self._layout)
        self._typing = typed.TypingPlan.of(self.config)
        self.names: tuple[str, ...] = tuple(self.config.fields)
        self.fields: dict[str, FittedField] = {field.name: field for field in fitted.fields}
        self.columns: tuple[str, ...] = self._layout.columns
        self.width: int = len(self.columns)
        self.state_size: int = self._layout.state_size
        self.categories: tuple[CategoryInput, ...] = self._layout.categories

    def __reduce__(self) -> tuple[type[Schema], tuple[Fitted]]:
        """Pickle what was fitted; the encoder in C is built again."""
        return Schema, (self._fitted,)

    @classmethod
    def fit(
        cls,
        config: SchemaConfig,
        columns: Columns,
        times: NDArray[np.float64],
        offsets: NDArray[np.int64],
    ) -> Schema:
        """Fit scales, means and vocabularies to training rows.

        Statistics are of the values that are given; a missing one counts for nothing. A field
        without any value gets mean 0, center 0, spread 1 and an empty vocabulary. A spread of 0
        (one value only) becomes 1. Where the interquartile range is 0, the standard deviation
        stands in. Values beyond +-1e150 count as +-1e150. With `clip`, the quantiles come first,
        and the statistics are of values that were cut to them.

        Parameters
        ----------
        config : SchemaConfig
            The fields and their options.
        columns : dict of str to array
            Training rows only: what stands here is what the model may know.
        times : float64 array, ``[n]``
            Unix seconds.
        offsets : int64 array, ``[sessions + 1]``
            Session i is the rows ``offsets[i]:offsets[i + 1]``.

        Raises
        ------
        InputError
            As `check_columns`; ``wrong_shape`` for times and offsets that do not fit.
        """
        return cls(fit(config, columns, times, offsets))

    def to_dict(self) -> dict[str, Any]:
        """Return the schema as JSON-able data that `from_dict` reads back exactly."""
        return self._fitted.to_dict()

    @classmethod
    def from_dict(cls, members: object) -> Schema:
        """Read a schema that `to_dict` wrote.

        Raises
        ------
        InputError
            ``bad_schema`` for unknown, missing or damaged members; ``bad_config`` for options that
            do not go together.
        """
        return cls(Fitted.from_dict(members))

    def initial_state(self, n: int) -> NDArray[np.float64]:
        """Return the encoder's state of n new sessions, ``[n, state_size]``.

        A state is the last value of each field that carries, then the value of each constant
        (categories as their index), then the time of the last event; NaN = nothing yet.
        """
        return np.full((n, self.state_size), np.nan)

    def type_event(self, event: Mapping[str, object]) -> typed.TypedEvent:
        """Return one canonical value a field, in schema order; None where it is missing.

        Null and absent are both missing. Numbers become float, integers in categories text. A
        constant may be missing here: `encode_rows` knows whether the session has had it.

        Raises
        ------
        InputError
            ``unknown_field``, ``missing_field``, ``wrong_type`` or ``not_finite``, with the field.
        """
        return typed.type_event(self._typing, event)

    @property
    def measured(self) -> tuple[int, ...]:
        """Columns of numeric fields and of the time since the event before, in row order.

        The others say which of a few things is so: booleans, indicators, hour and weekday on their
        circles, categories.
        """
        names = {name for name, field in self.config.fields.items() if field.kind == "numeric"}
        if self.config.time is not None and "delta" in self.config.time.features:
            names.update(TIME_COLUMNS["delta"])
        return tuple(index for index, name in enumerate(self.columns) if name in names)

    def vocabulary(self, name: str) -> tuple[str, ...]:
        """Return the values of a category that have an index, from 1 on; 0 stands for all others.

        Empty for a field of another kind.
        """
        (found,) = (field for field in self._fitted.fields if field.name == name)
        return found.statistics.values

    @property
    def field_specs(self) -> Sequence[tuple[str, str, bool]]:
        """Name and kind of each field, and whether every event has to have it."""
        return self._typing.specs

    def type_events(
        self, events: Sequence[Mapping[str, object]]
    ) -> tuple[dict[str, NDArray[Any]], dict[int, InputError]]:
        """Return the columns of some raw events: `stack` of what `type_event` gives for each.

        Parameters
        ----------
        events : sequence of mapping
            Raw fields by name.

        Returns
        -------
        columns : dict of str to array
            Events that are not right have missing values.
        errors : dict of int to InputError
            What `type_event` raises for those, by their position.
        """
        return typed.type_events(self._typing, events)

    def payload_hash(self, typed_event: typed.TypedEvent, client_time: float | None) -> int:
        """Return the 64-bit hash of an event that tells a retry from another event.

        XXH64 (seed 0) over little-endian words of 8 bytes: one for each field in schema order, then
        one for the client's time. Numbers and booleans are float64, -0.0 as 0.0; a category is the
        XXH64 (seed 0) of its UTF-8 text; a missing value, and a time that the client did not send,
        are 0x7ff8000000000000, which no number is.
        """
        return typed.payload_hash(typed_event, client_time)

    def stack(self, typed_events: Sequence[typed.TypedEvent]) -> dict[str, NDArray[Any]]:
        """Return the columns of some typed events."""
        return typed.stack(self._typing, typed_events)

    def check_columns(self, columns: Columns) -> None:
        """Check the columns of a table.

        Raises
        ------
        InputError
            ``unknown_field``, ``missing_field``, ``wrong_shape``, ``wrong_type`` or ``not_finite``,
            naming the field and, for a value, its first row (the error's `row` counts from 0, its
            message from 1).
        """
        columns_.check_columns(self.config, columns)

    def encode_rows(
        self, columns: Columns, times: NDArray[np.float64], states: NDArray[np.float64]
    ) -> Encoded:
        """Encode one event each of n sessions.

        Parameters
        ----------
        columns : dict of str to array
            From `stack`, or passed by `check_columns`.
        times : float64 array, ``[n]``
            Unix seconds.
        states : float64 array, ``[n, state_size]``
            The state of each session before its event. Not written to.

        Returns
        -------
        Encoded
            A row in ``errors`` (``missing_field``, ``constant_changed``, ``not_finite``) is 0 and
            leaves its state as it was; the others are not touched by it.

        Raises
        ------
        InputError
            For columns that are not the schema's, or states of another shape.
        """
        self._check_states(states, len(times))
        rows = np.empty((len(times), self.width), np.float32)
        after = np.array(states, np.float64, order="C")
        try:
            failures = self.encoder.encode(dict(columns), times, after, rows)
        except (TypeError, ValueError):
            self.check_columns(columns)
            for name in self.names:
                if columns[name].shape != times.shape:
                    raise wrong_shape("time", times.shape, columns[name].shape) from None
            raise
        return Encoded(rows, after, self._errors(failures, columns, times, states))

    def encode(
        self,
        columns: Columns,
        times: NDArray[np.float64],
        offsets: NDArray[np.int64],
        states: NDArray[np.float64] | None = None,
    ) -> Encoded:
        """Encode a table of whole sessions, equal to the bit to `encode_rows` event by event.

        Parameters
        ----------
        columns : dict of str to array
            Raw values, the events of a session side by side and in order.
        times : float64 array, ``[n]``
            Unix seconds.
        offsets : int64 array, ``[sessions + 1]``
            Session i is the rows ``offsets[i]:offsets[i + 1]``.
        states : float64 array, ``[sessions, state_size]``, optional
            The state of each session before its first row; new sessions without it.

        Raises
        ------
        InputError
            As `check_columns` and `encode_rows`, naming field and row.
        """
        columns_.check_columns(self.config, columns)
        columns_.check_sessions(columns, times, offsets)
        if states is None:
            states = self.initial_state(len(offsets) - 1)
        self._check_states(states, len(offsets) - 1)
        return encode_table(self._layout, columns, times, offsets, states)

    def _errors(
        self,
        failures: list[tuple[int, int, int]],
        columns: Columns,
        times: NDArray[np.float64],
        states: NDArray[np.float64],
    ) -> dict[int, InputError]:
        """Return the errors of the events that the core refused, in the words of `encode_each`."""
        if not failures:
            return {}
        failed = [row for row, _fault, _field in failures]
        again = {name: columns[name][failed] for name in self.names}
        errors = encode_each(self._layout, again, times[failed], states[failed]).errors
        return {row: errors[index] for index, row in enumerate(failed)}

    def _check_states(self, states: NDArray[np.float64], count: int) -> None:
        if states.shape != (count, self.state_size):
            raise wrong_shape("states", states.shape, (count, self.state_size))
