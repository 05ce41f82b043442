"""Statistics of training rows."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from tidegate.core import log1p
from tidegate.schema.clock import log_delta
from tidegate.schema.columns import Columns, check_columns, check_sessions
from tidegate.schema.config import MAX_VOCABULARY, Field, SchemaConfig
from tidegate.schema.fitted import Fitted, FittedField, Statistics
from tidegate.schema.sessions import Sessions

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["fit", "signed_log"]

HUGE = 1e150
"""Larger values count as this one, so that no sum of squares overflows."""


def fit(
    config: SchemaConfig,
    columns: Columns,
    times: NDArray[np.float64],
    offsets: NDArray[np.int64],
) -> Fitted:
    """Return the statistics of training rows; see `Schema.fit`."""
    check_columns(config, columns)
    check_sessions(columns, times, offsets)
    fields = tuple(
        FittedField(name, field, _statistics(field, columns[name]))
        for name, field in config.fields.items()
    )
    delta = Statistics()
    if config.time is not None and "delta" in config.time.features:
        sessions = Sessions(offsets)
        clipped = np.clip(times, -HUGE, HUGE)
        before = sessions.previous(clipped[None], np.full((1, sessions.count), np.nan))[0]
        delta = _of_numbers(log_delta(clipped, before), "standard")
    return Fitted(fields, config.time, delta)


def signed_log(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``sign(x) * log1p(|x|)``.

    Examples
    --------
    >>> signed_log(np.array([-np.expm1(2.0), 0.0, np.expm1(3.0)])).round(9)
    array([-2.,  0.,  3.])
    """
    logs: NDArray[np.float64] = np.copysign(log1p(np.abs(values)), values)
    return logs


def _statistics(field: Field, column: NDArray[Any]) -> Statistics:
    if field.kind == "category":
        return _of_texts(column, field.max_size or MAX_VOCABULARY)
    if field.kind == "boolean":
        return Statistics(mean=_of_numbers(column, "none").mean)
    return _of_numbers(column, field.scale, field.clip)


def _of_texts(column: NDArray[Any], most: int) -> Statistics:
    counts = Counter(column.tolist())
    del counts[None]
    ranked = sorted(counts, key=lambda text: (-counts[text], text))[:most]
    return Statistics(mean=1.0 if ranked else 0.0, values=tuple(ranked))


def _of_numbers(
    column: NDArray[np.float64], scale: str, clip: tuple[float, float] | None = None
) -> Statistics:
    given = np.clip(column[~np.isnan(column)], -HUGE, HUGE)
    if clip is None:
        return _of_given(given, scale)
    low, high = map(float, np.quantile(given, clip)) if given.size else (-HUGE, HUGE)
    cut = _of_given(np.clip(given, low, high), scale)
    return msgspec.structs.replace(cut, bounds=(low, high))


def _of_given(given: NDArray[np.float64], scale: str) -> Statistics:
    if not given.size:
        return Statistics()
    mean = float(given.mean())
    if scale == "log1p":
        given = signed_log(given)
    if scale == "none":
        return Statistics(mean)
    if scale == "minmax":
        center, spreads = float(given.min()), [float(np.ptp(given))]
    elif scale == "robust":
        low, median, high = (float(q) for q in np.quantile(given, [0.25, 0.5, 0.75]))
        # Where half of all values are equal, the range of the middle half says nothing.
        center, spreads = median, [high - low, float(given.std())]
    else:
        center, spreads = float(given.mean()), [float(given.std())]
    # Below this, the spread is the rounding of one and the same value.
    least = max(1e-12 * abs(center), 1e-150)
    return Statistics(mean, center, next((s for s in spreads if s > least), 1.0))
