"""The columns of a table against the schema."""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tidegate.errors import InputError
from tidegate.schema.faults import (
    missing_field,
    not_finite,
    not_unicode,
    unknown_field,
    wrong_shape,
    wrong_type,
)

if TYPE_CHECKING:
    from tidegate.schema.config import Field, SchemaConfig

__all__ = ["Columns", "check_columns", "check_sessions"]

Columns = Mapping[str, NDArray[Any]]
"""Raw values, one array a field: numeric float64 (NaN: missing), boolean float64 of 0 and 1 (NaN:
missing), category object array of str (None: missing)."""


def check_columns(config: SchemaConfig, columns: Columns) -> None:
    """Raise for the first column that is not as the schema says; see `Schema.check_columns`."""
    for name in columns:
        if name not in config.fields:
            raise unknown_field(name, config.fields)
    for name in config.fields:
        if name not in columns:
            raise InputError(
                "missing_field",
                "the table has no such column",
                field=name,
                hint="add the column; missing values in it are allowed where the schema says so",
            )
    length = len(columns[next(iter(config.fields))]) if config.fields else 0
    for name, field in config.fields.items():
        column = columns[name]
        if not isinstance(column, np.ndarray):
            raise _wrong_dtype(name, type(column).__name__, "a NumPy array")
        if column.shape != (length,):
            raise wrong_shape(name, column.shape, (length,))
        if field.kind == "category":
            missing = _check_category(name, column)
        else:
            missing = _check_number(name, field, column)
        if missing.any() and field.missing == "refuse" and not field.constant:
            raise missing_field(name, row=_first(missing))


def check_sessions(columns: Columns, times: NDArray[Any], offsets: NDArray[Any]) -> None:
    """Raise where times or offsets do not fit the columns, or a time is not finite."""
    length = len(times)
    for name, column in [("time", times), *columns.items()]:
        if column.shape != (length,):
            raise wrong_shape(name, column.shape, (length,))
    infinite = ~np.isfinite(times)
    if infinite.any():
        row = _first(infinite)
        raise not_finite("time", float(times[row]), row=row)
    fits = (
        offsets.ndim == 1
        and len(offsets) >= 1
        and offsets[0] == 0
        and offsets[-1] == length
        and bool((np.diff(offsets) >= 0).all())
    )
    if not fits:
        raise InputError(
            "wrong_shape",
            f"do not cut {length} rows into sessions",
            field="offsets",
            hint="start at 0, never fall, end at the number of rows",
        )


def _check_number(name: str, field: Field, column: NDArray[Any]) -> NDArray[np.bool_]:
    if column.dtype != np.float64:
        raise _wrong_dtype(name, column.dtype, "float64, with NaN where a value is missing")
    infinite = np.isinf(column)
    if infinite.any():
        row = _first(infinite)
        raise not_finite(name, float(column[row]), row=row)
    missing: NDArray[np.bool_] = np.isnan(column)
    if field.kind == "boolean":
        other = ~(missing | (column == 0) | (column == 1))
        if other.any():
            row = _first(other)
            raise wrong_type(name, float(column[row]), "boolean", row=row)
    return missing


def _check_category(name: str, column: NDArray[Any]) -> NDArray[np.bool_]:
    if column.dtype != object:
        raise _wrong_dtype(name, column.dtype, "object: str, with None where a value is missing")
    values = column.tolist()
    if not {str, NoneType}.issuperset(map(type, values)):
        other = np.array([type(value) not in (str, NoneType) for value in values])
        row = _first(other)
        raise wrong_type(name, values[row], "category", row=row)
    for text in set(values) - {None}:
        try:
            text.encode()
        except UnicodeEncodeError:
            raise not_unicode(name, text, row=_first(column == text)) from None
    return np.array([text is None for text in values], dtype=bool)


def _first(mask: NDArray[np.bool_]) -> int:
    return int(mask.argmax())


def _wrong_dtype(name: str, dtype: object, wanted: str) -> InputError:
    return InputError("wrong_type", f"the column is {dtype}", field=name, hint=f"make it {wanted}")
