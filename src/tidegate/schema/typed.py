"""Raw events with their types checked, before anything is scaled.

A typed event is a tuple of canonical values, one a field in schema order: ``float``, ``bool``, ``str``
or ``None`` for missing. The payload hash is taken over it, so it is the same on every transport.
"""

from __future__ import annotations

import difflib
import hashlib
import math
import struct
from collections.abc import Mapping, Sequence

import numpy as np

from tidegate.errors import InputError
from tidegate.schema.config import Field, SchemaConfig
from tidegate.schema.fitted import Columns

__all__ = ["TypedEvent", "check_columns", "payload_hash", "stack", "type_event"]

TypedEvent = tuple[float | bool | str | None, ...]

_DOUBLE = struct.Struct("<cd")
_LENGTH = struct.Struct("<cI")
_MISSING = b"-"


def type_event(config: SchemaConfig, event: Mapping[str, object]) -> TypedEvent:
    """Check one raw event against the schema.

    Parameters
    ----------
    config : SchemaConfig
        The fields.
    event : mapping of str to object
        As JSON gives it; null and absent are both missing.

    Returns
    -------
    tuple
        Canonical values in schema order.

    Raises
    ------
    InputError
        ``unknown_field``, ``missing_field``, ``wrong_type`` or ``not_finite``, naming the field.
    """
    if not event.keys() <= config.fields.keys():
        raise _unknown(config, event)
    return tuple(_type_value(name, field, event.get(name)) for name, field in config.fields.items())


def _type_value(name: str, field: Field, value: object) -> float | bool | str | None:
    if value is None:
        if field.missing == "refuse" and not field.constant:
            raise missing(name)
        return None
    if field.kind == "boolean":
        if isinstance(value, bool):
            return value
    elif isinstance(value, bool):
        pass
    elif field.kind == "numeric":
        if isinstance(value, int | float):
            return _finite(name, value)
    elif isinstance(value, str):
        return value
    elif isinstance(value, int):
        return str(value)
    wanted = {"boolean": "true or false", "numeric": "a number", "category": "text"}[field.kind]
    raise InputError(
        "wrong_type",
        f"{_shown(value)} is not {wanted}",
        field=name,
        hint=f"send {wanted}" + ("" if field.missing == "refuse" else ", or null if it is missing"),
    )


def _finite(name: str, value: float) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if math.isfinite(number):
        return number
    raise not_finite(name, _shown(value))


def stack(config: SchemaConfig, events: Sequence[TypedEvent]) -> Columns:
    """Turn typed events into columns, one event a row."""
    values = zip(*events, strict=True) if events else ([] for _ in config.fields)
    columns: Columns = {}
    for (name, field), column in zip(config.fields.items(), values, strict=True):
        if field.kind == "category":
            columns[name] = np.empty(len(events), dtype=object)
            columns[name][:] = column
        else:
            columns[name] = np.array(column, dtype=np.float64)  # None becomes NaN
    return columns


def payload_hash(event: TypedEvent, client_time: float | None) -> int:
    """Hash what a client sent: 64 bits over canonical values, missing ones marked.

    Parameters
    ----------
    event : tuple
        From `type_event`.
    client_time : float or None
        Unix seconds, if the client sent a time: one that the server stamps is not part of it.

    Returns
    -------
    int
        BLAKE2b of 8 bytes, read little-endian.

    Examples
    --------
    >>> payload_hash((5.0, "a", None), None) == payload_hash((5, "a", None), None)
    True
    >>> payload_hash((5.0, "a", None), None) == payload_hash((5.0, "a", 0.0), None)
    False
    """
    parts = []
    for value in event:
        if value is None:
            parts.append(_MISSING)
        elif isinstance(value, str):
            text = value.encode("utf-8", "surrogatepass")
            parts += [_LENGTH.pack(b"s", len(text)), text]
        elif isinstance(value, bool):
            parts.append(b"t" if value else b"f")
        else:
            parts.append(_DOUBLE.pack(b"n", value + 0.0))  # -0.0 becomes 0.0
    if client_time is not None:
        parts.append(_DOUBLE.pack(b"T", client_time + 0.0))
    digest = hashlib.blake2b(b"".join(parts), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def check_columns(config: SchemaConfig, columns: Columns, n_events: int) -> None:
    """Check a table's columns against the schema.

    Raises
    ------
    InputError
        ``missing_column``, ``wrong_type``, ``wrong_length``, ``not_finite`` or ``missing_field``,
        naming the field and, where it is about a value, its first row (from 0).
    """
    for name, field in config.fields.items():
        if name not in columns:
            raise InputError(
                "missing_column",
                "the table has no such column",
                field=name,
                hint=f"it has {', '.join(map(repr, columns)) or 'none'}",
            )
        column = columns[name]
        wanted = np.dtype(object) if field.kind == "category" else np.dtype(np.float64)
        if column.dtype != wanted:
            raise InputError(
                "wrong_type",
                f"a column of {column.dtype}, a {field.kind} one is {wanted}",
                field=name,
                hint="read tables with tidegate.tables.read",
            )
        if column.shape != (n_events,):
            raise InputError(
                "wrong_length",
                f"shape {column.shape}, there are {n_events} events",
                field=name,
                hint="give one value an event",
            )
        if field.kind != "category" and np.isinf(column).any():
            row = int(np.flatnonzero(np.isinf(column))[0])
            raise not_finite(name, f"row {row}: {column[row]}")
        if field.missing == "refuse" and not field.constant:
            absent = np.equal(column, None) if field.kind == "category" else np.isnan(column)
            if absent.any():
                raise missing(name, int(np.flatnonzero(absent)[0]))


def missing(name: str, row: int | None = None) -> InputError:
    """Return the error of a value that is missing and must not be."""
    where = "" if row is None else f"row {row}: "
    return InputError(
        "missing_field",
        f"{where}the value is missing",
        field=name,
        hint="send it, or train with a policy for missing values ('carry', 'mean' or 'zero')",
    )


def not_finite(name: str, shown: str) -> InputError:
    """Return the error of a number that is infinite or none."""
    return InputError(
        "not_finite", f"{shown} is not a finite number", field=name, hint="send a finite number"
    )


def _unknown(config: SchemaConfig, event: Mapping[str, object]) -> InputError:
    name = next(name for name in event if name not in config.fields)
    close = difflib.get_close_matches(name, config.fields, n=1)
    known = ", ".join(map(repr, config.fields))
    return InputError(
        "unknown_field",
        "the model has no such field",
        field=name,
        hint=f"did you mean {close[0]!r}?" if close else f"its fields are {known}",
    )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
