"""Where everything stands: the columns of a row, the slots of a state, the numbers of each field.

The encoder works on one array ``[fields, n]``, the numeric and boolean fields first and the
categories (as indices) after them. `Layout` says for that order what a field's column, slot and
statistics are, so that all fields pass through each step of the arithmetic together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tidegate.schema.config import TIME_COLUMNS, Time, row_columns
from tidegate.spec import CategoryInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tidegate.schema.fitted import Fitted, FittedField, Statistics

__all__ = ["Layout"]


@dataclass(frozen=True, eq=False)
class Layout:
    """The fitted schema, arranged for `encode`. Indices of fields are in the encoder's order."""

    fields: tuple[FittedField, ...]
    positions: tuple[int, ...]
    """Place of each field in the configuration."""
    numbers: int
    """How many of the fields are numeric or boolean; they come first."""
    lookups: tuple[dict[str | None, float], ...]
    """Index of each text of each category; None is missing (NaN), any other text is index 0."""

    columns: tuple[str, ...]
    categories: tuple[CategoryInput, ...]
    value_columns: NDArray[np.intp]
    indicated: NDArray[np.intp]
    """Fields with an indicator."""
    indicator_columns: NDArray[np.intp]

    remembered: NDArray[np.intp]
    """Fields with a slot in the state: those that carry, then the constants."""
    constants: NDArray[np.intp]
    required: NDArray[np.intp]
    """Fields whose missing value is always an error."""
    state_size: int

    clipped: NDArray[np.intp]
    """Fields whose values are cut to bounds."""
    bounds: NDArray[np.float64]
    """Theirs, ``[2, clipped, 1]``."""
    logged: NDArray[np.intp]
    fill: NDArray[np.float64]
    """What stands for a missing value with no earlier one, ``[fields, 1]``."""
    center: NDArray[np.float64]
    """Of the numbers, ``[numbers, 1]``."""
    spread: NDArray[np.float64]

    time_columns: tuple[tuple[str, int], ...]
    """Each time feature with its (first) column."""
    utc_offset_hours: float
    delta: Statistics

    @classmethod
    def of(cls, fitted: Fitted) -> Layout:
        """Arrange a fitted schema."""
        fields = tuple(sorted(fitted.fields, key=lambda field: field.config.kind == "category"))
        names = list(fitted.config.fields)
        numbers = sum(field.config.kind != "category" for field in fields)
        columns = row_columns(fitted.config)
        column = {name: index for index, name in enumerate(columns)}
        indicated = _where([f.config.indicator for f in fields])
        carries = _where([f.config.missing == "carry" for f in fields])
        constants = _where([f.config.constant for f in fields])
        remembered = np.concatenate([carries, constants])
        clipped = _where([f.statistics.bounds is not None for f in fields])
        bounds = np.array([fields[i].statistics.bounds for i in clipped]).reshape(-1, 2)
        time = fitted.time or Time(features=())
        return cls(
            fields=fields,
            positions=tuple(names.index(field.name) for field in fields),
            numbers=numbers,
            lookups=tuple(_lookup(f.statistics.values) for f in fields[numbers:]),
            columns=columns,
            categories=tuple(_category(f, column[f.name]) for f in fields[numbers:]),
            value_columns=np.array([column[f.name] for f in fields], dtype=np.intp),
            indicated=indicated,
            indicator_columns=np.array(
                [column[f"{fields[i].name} missing"] for i in indicated], dtype=np.intp
            ),
            remembered=remembered,
            constants=constants,
            required=_where(
                [f.config.missing == "refuse" and not f.config.constant for f in fields]
            ),
            state_size=len(remembered) + ("delta" in time.features),
            clipped=clipped,
            bounds=bounds.T[:, :, None] + 0.0,  # -0.0 becomes 0.0, as in a value
            logged=_where([f.config.scale == "log1p" for f in fields]),
            fill=np.array([[_fill(f)] for f in fields]).reshape(-1, 1),
            center=np.array([[f.statistics.center] for f in fields[:numbers]]).reshape(-1, 1),
            spread=np.array([[f.statistics.spread] for f in fields[:numbers]]).reshape(-1, 1),
            time_columns=tuple((f, column[TIME_COLUMNS[f][0]]) for f in time.features),
            utc_offset_hours=time.utc_offset_hours,
            delta=fitted.delta,
        )


def _where(flags: list[bool]) -> NDArray[np.intp]:
    return np.flatnonzero(flags)


def _lookup(values: tuple[str, ...]) -> dict[str | None, float]:
    return {None: np.nan, **{text: index + 1.0 for index, text in enumerate(values)}}


def _fill(field: FittedField) -> float:
    category = field.config.kind == "category"
    if field.config.missing == "mean" or (field.config.missing == "carry" and not category):
        return field.statistics.mean
    return 0.0


def _category(field: FittedField, column: int) -> CategoryInput:
    size = len(field.statistics.values) + 1
    return CategoryInput(column, size, field.config.embedding_size or min(16, (size + 1) // 2))
