"""One event as the user has it, to one tuple of canonical values; and such tuples to columns.

This is the hot path of the server, so what depends on the schema alone is worked out once, in
`TypingPlan`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tidegate.core import Typing, type_columns, xxh64
from tidegate.errors import InputError
from tidegate.schema.faults import missing_field, not_finite, not_unicode, unknown_field, wrong_type

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from tidegate.schema.config import SchemaConfig

__all__ = ["TypedEvent", "TypingPlan", "payload_hash", "stack", "type_event", "type_events"]

TypedEvent = tuple[float | bool | str | None, ...]
"""One canonical value a field, in schema order; None where it is missing."""

_pack_number = struct.Struct("<d").pack
_pack_hash = struct.Struct("<Q").pack
_MISSING = _pack_hash(0x7FF8_0000_0000_0000)


@dataclass(frozen=True)
class TypingPlan:
    """What typing needs to know of each field: name, how to type it, whether it has to be there."""

    steps: tuple[tuple[str, Callable[[str, object], float | bool | str], bool], ...]
    names: frozenset[str]
    is_category: tuple[bool, ...]
    specs: Sequence[tuple[str, str, bool]]
    """Name, kind, and whether it has to be there: for those that type in C."""
    bulk: Typing
    """The same in C, for many events at a time."""

    @classmethod
    def of(cls, config: SchemaConfig) -> TypingPlan:
        """Work out the plan of a configuration."""
        specs = [
            (name, field.kind, field.missing == "refuse" and not field.constant)
            for name, field in config.fields.items()
        ]
        return cls(
            steps=tuple((name, _TYPERS[kind], required) for name, kind, required in specs),
            names=frozenset(config.fields),
            is_category=tuple(kind == "category" for _, kind, _ in specs),
            specs=specs,
            bulk=Typing(specs),
        )


def type_event(plan: TypingPlan, event: Mapping[str, object]) -> TypedEvent:
    """Return the event's canonical values; see `Schema.type_event`."""
    if not isinstance(event, Mapping):
        raise wrong_type("event", event, "event")
    if not plan.names.issuperset(event):
        strange = next(name for name in event if name not in plan.names)
        raise unknown_field(strange, [name for name, _, _ in plan.steps])
    typed: list[float | bool | str | None] = []
    for name, canonical, required in plan.steps:
        value = event.get(name)
        if value is not None:
            typed.append(canonical(name, value))
        elif required:
            raise missing_field(name)
        else:
            typed.append(None)
    return tuple(typed)


def stack(plan: TypingPlan, events: Sequence[TypedEvent]) -> dict[str, NDArray[Any]]:
    """Return columns of typed events; see `Schema.stack`."""
    by_field = zip(*events, strict=True) if events else [()] * len(plan.steps)
    return {
        # NumPy reads None as NaN and a boolean as 0 or 1 where float64 is asked for.
        name: np.array(values, dtype=object if category else np.float64)
        for (name, _, _), category, values in zip(
            plan.steps, plan.is_category, by_field, strict=True
        )
    }


def type_events(
    plan: TypingPlan, events: Sequence[Mapping[str, object]]
) -> tuple[dict[str, NDArray[Any]], dict[int, InputError]]:
    """Return columns of raw events and what is wrong with some; see `Schema.type_events`."""
    columns, rest = type_columns(plan.bulk, list(events))
    errors = {}
    for row in rest:
        try:
            typed = type_event(plan, events[row])
        except InputError as error:
            errors[row] = error
        else:  # right, though not plainly: a mapping that is no dict, a float64 of NumPy
            for column, value in zip(columns.values(), typed, strict=True):
                column[row] = value
    return columns, errors


def payload_hash(typed: TypedEvent, client_time: float | None) -> int:
    """Return the 64-bit hash of a typed event; see `Schema.payload_hash`."""
    words = b"".join([_word(value) for value in (*typed, client_time)])
    return xxh64(words)


def _word(value: float | bool | str | None) -> bytes:
    if isinstance(value, str):
        return _pack_hash(xxh64(value.encode()))
    return _MISSING if value is None else _pack_number(value + 0.0)  # -0.0 becomes 0.0


def _number(name: str, value: object) -> float:
    if isinstance(value, float):
        number = float(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            raise not_finite(name, value) from None
    else:
        raise wrong_type(name, value, "numeric")
    if not math.isfinite(number):
        raise not_finite(name, number)
    return number + 0.0  # -0.0 becomes 0.0: equal numbers have equal bytes


def _text(name: str, value: object) -> str:
    if isinstance(value, str):
        text = str(value)
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                raise not_unicode(name, value) from None
        return text
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return str(value)
        except ValueError:  # Python refuses to write an integer of more than 4,300 digits
            raise wrong_type(name, value, "category") from None
    raise wrong_type(name, value, "category")


def _boolean(name: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise wrong_type(name, value, "boolean")


_TYPERS: dict[str, Callable[[str, object], float | bool | str]] = {
    "numeric": _number,
    "category": _text,
    "boolean": _boolean,
}
