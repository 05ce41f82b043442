"""What a schema learns from training data, and nothing else."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegate.schema.config import Field

__all__ = ["Category", "Columns", "Number", "fit_category", "fit_delta", "fit_number"]

Columns = dict[str, NDArray[Any]]
"""Typed raw fields: numeric float64 (NaN: missing), boolean float64 of 0 and 1 (NaN: missing),
category object array of str (None: missing)."""


class Number(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a numeric or boolean field, or a time delta, is scaled: ``(x - center) / spread``.

    Parameters
    ----------
    fill : float
        The raw value that stands for a missing one: the training mean.
    center, spread : float
        Taken after the logarithm, if there is one. The spread is never 0.
    """

    fill: float = 0.0
    center: float = 0.0
    spread: float = 1.0


class Category(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The values that a category had in training, most frequent first; indices begin at 1.

    Parameters
    ----------
    vocabulary : tuple of str
        Index 0 stands for everything else.
    """

    vocabulary: tuple[str, ...] = ()


def signed_log1p(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``sign(x) * log(1 + |x|)``."""
    return np.asarray(np.sign(x) * np.log1p(np.abs(x)))


def fit_number(field: Field, values: NDArray[np.float64]) -> Number:
    """Measure a numeric or boolean field.

    Parameters
    ----------
    field : Field
        Its scale.
    values : float64 array (events,)
        NaN where missing; a field without any value gets mean 0 and spread 1.
    """
    known = values[~np.isnan(values)]
    if len(known) == 0:
        return Number()
    fill = float(np.mean(known))
    if field.kind == "boolean" or field.scale == "none":
        return Number(fill=fill)
    if field.scale == "minmax":
        low, high = float(known.min()), float(known.max())
        return Number(fill, low, _spread(high - low))
    if field.scale == "robust":
        low, middle, high = np.quantile(known, [0.25, 0.5, 0.75])
        return Number(fill, float(middle), _spread(float(high - low)))
    if field.scale == "log1p":
        known = signed_log1p(known)
    return Number(fill, float(np.mean(known)), _spread(float(np.std(known))))


def fit_delta(deltas: NDArray[np.float64]) -> Number:
    """Measure the seconds between a session's events.

    Examples
    --------
    >>> fit_delta(np.array([0.0, 0.0]))
    Number(fill=0.0, center=0.0, spread=1.0)
    """
    if len(deltas) == 0:
        return Number()
    logs = np.log1p(deltas)
    return Number(0.0, float(np.mean(logs)), _spread(float(np.std(logs))))


def fit_category(field: Field, values: NDArray[Any]) -> Category:
    """Collect a category's vocabulary; values of equal frequency in name order.

    Examples
    --------
    >>> fit_category(Field("category", max_size=2), np.array(["b", "a", "c", "c", None]))
    Category(vocabulary=('c', 'a'))
    """
    counts = Counter(value for value in values.tolist() if value is not None)
    ranked = sorted(counts, key=lambda value: (-counts[value], value))
    return Category(tuple(ranked[: field.max_size]))


def _spread(value: float) -> float:
    # A column that never varied in training is only centred.
    return value if value > 0.0 and np.isfinite(value) else 1.0
