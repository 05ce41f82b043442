"""One column of a table, whatever frame it stood in: cells with a value, and cells without."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from tidegate.errors import InputError, shown
from tidegate.instants import microseconds

__all__ = ["Cells", "Family"]

Family = Literal["integer", "number", "boolean", "text", "instant", "mixed"]

_NUMBERS = (int, float, Decimal, np.integer, np.floating)


@dataclass(frozen=True)
class Cells:
    """One column's cells.

    Parameters
    ----------
    name : str
        Of the column.
    family : str
        What `values` are. "mixed": objects of several families, or of one that no field takes.
    values : array
        Cells that hold a value: float64, bool, objects of str, int64 (microseconds from 1970), or
        any objects; of integers, any of NumPy's or objects of int.
    missing : bool array (rows,)
        Which cells hold none.
    where : callable
        Words the place of a row, which is counted from 0.
    unzoned : int
        Instants that named no zone, and were taken as UTC.
    """

    name: str
    family: Family
    values: NDArray[Any]
    missing: NDArray[np.bool_]
    where: Callable[[int], str]
    unzoned: int = 0

    @classmethod
    def of(cls, series: nw.Series[Any], where: Callable[[int], str]) -> Cells:
        """Take apart a column; where pandas has a NaN, the value is missing."""
        absent = series.is_null()
        missing = absent.to_numpy().astype(bool)
        present = series.filter(~absent) if missing.any() else series
        family, values, unzoned = _values(present)
        return cls(series.name, family, values, missing, where, unzoned)

    def spread(self, values: NDArray[Any], absent: float | None) -> NDArray[Any]:
        """Return one value a row: converted `values`, and `absent` where they are missing."""
        spread = np.full(len(self.missing), absent, dtype=values.dtype)
        spread[~self.missing] = values
        return spread

    def refused(self, code: str, index: int, rule: str, hint: str) -> InputError:
        """Return the error of a value that breaks a rule; `index` is its place in `values`."""
        row = int(np.flatnonzero(~self.missing)[index])
        value = self.values[index]
        value = value.item() if isinstance(value, np.generic) else value
        message = f"{shown(value)} in {self.where(row)} {rule}"
        return InputError(code, message, field=self.name, hint=hint)

    def refused_missing(self, code: str, hint: str) -> InputError:
        """Return the error of the first cell without a value."""
        place = self.where(int(self.missing.argmax()))
        return InputError(code, f"is missing in {place}", field=self.name, hint=hint)


def _values(present: nw.Series[Any]) -> tuple[Family, NDArray[Any], int]:
    dtype = present.dtype
    if dtype.is_integer():
        return "integer", present.to_numpy(), 0
    if dtype.is_numeric():
        return "number", present.cast(nw.Float64).to_numpy().astype(np.float64), 0
    if dtype == nw.Boolean:
        return "boolean", present.to_numpy().astype(bool), 0
    if isinstance(dtype, nw.Datetime):
        instants = present.dt.timestamp("us").to_numpy().astype(np.int64)
        return "instant", instants, 0 if dtype.time_zone else len(instants)
    if dtype == nw.Date:
        instants = present.dt.timestamp("us").to_numpy().astype(np.int64)
        return "instant", instants, len(instants)
    values = present.to_list()
    return ("text", _objects(values), 0) if dtype == nw.String else _from_objects(values)


def _from_objects(values: list[Any]) -> tuple[Family, NDArray[Any], int]:
    """Find the family of Python objects: categories, and what pandas keeps as objects."""
    types = set(map(type, values))

    def only(*allowed: type) -> bool:
        return all(issubclass(found, allowed) for found in types)

    if only(bool, np.bool_):
        return "boolean", np.array(values, dtype=bool), 0
    if types & {bool, np.bool_}:
        return "mixed", _objects(values), 0
    if only(int, np.integer):
        return "integer", _objects([int(value) for value in values]), 0
    if only(*_NUMBERS):
        return "number", np.array([_to_float(value) for value in values]), 0
    if only(str, int, np.integer):
        return "text", _objects([str(value) for value in values]), 0
    if only(date):
        unzoned = sum(not (isinstance(v, datetime) and v.tzinfo) for v in values)
        return "instant", np.array([microseconds(v) for v in values], dtype=np.int64), unzoned
    return "mixed", _objects(values), 0


def _to_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _objects(values: Sequence[Any]) -> NDArray[Any]:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
