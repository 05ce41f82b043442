"""The errors of a value, worded once for events and tables."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from tidegate.errors import InputError, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "missing_field",
    "not_finite",
    "not_unicode",
    "unknown_field",
    "wrong_shape",
    "wrong_type",
]

NAMES_SHOWN = 20


def unknown_field(name: object, known: Iterable[str]) -> InputError:
    """Return the error of a name that the schema does not have."""
    names = list(known)
    close = difflib.get_close_matches(str(name)[:100], names, n=3)
    guess = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
    more = ", ..." if len(names) > NAMES_SHOWN else ""
    return InputError(
        "unknown_field",
        "the schema has no such field",
        field=str(name)[:100],
        hint=f"{guess}known fields: {', '.join(names[:NAMES_SHOWN])}{more}",
    )


def missing_field(name: str, *, constant: bool = False, row: int | None = None) -> InputError:
    """Return the error of a value that has to be there."""
    if constant:
        message = "is missing, and the session has had no value of it"
        hint = "send it with the session's first event"
    else:
        message = "is missing"
        hint = "send a value, or set the field's `missing` to carry, mean or zero and train again"
    return InputError("missing_field", message, field=name, hint=hint, row=row)


def wrong_type(name: str, value: object, kind: str, *, row: int | None = None) -> InputError:
    """Return the error of a value that is not of the field's kind."""
    noun, hint = _KINDS[kind]
    return InputError(
        "wrong_type", f"{shown(value)} is not {noun}", field=name, hint=f"send {hint}", row=row
    )


def not_finite(name: str, value: object, *, row: int | None = None) -> InputError:
    """Return the error of a NaN, an infinity or an integer too large for a float."""
    return InputError(
        "not_finite",
        f"{shown(value)} is not a finite number",
        field=name,
        hint="send a number within +-1.8e308, or null where it is missing",
        row=row,
    )


def wrong_shape(name: str, shape: tuple[int, ...], wanted: tuple[int, ...]) -> InputError:
    """Return the error of an array that does not fit the others."""
    return InputError(
        "wrong_shape",
        f"the shape is {shape}, not {wanted}",
        field=name,
        hint="give every field and the time one value an event, and every session one state",
    )


def not_unicode(name: str, value: str, *, row: int | None = None) -> InputError:
    """Return the error of a text with half of a surrogate pair, which UTF-8 cannot write."""
    return InputError(
        "wrong_type",
        f"{shown(value)} is not valid Unicode",
        field=name,
        hint="send text that UTF-8 can write",
        row=row,
    )


_KINDS = {
    "numeric": ("a number", "a number such as 12.5"),
    "category": ("text", 'text such as "AA", or an integer'),
    "boolean": ("true or false", "true or false"),
    "event": ("an object", 'an object of fields such as {"speed": 12.5}'),
}
