"""Parameters as Python has them, where a search drew them with NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["plain"]


def plain(value: Any) -> Any:
    """Return a parameter without NumPy's numbers and arrays, which no bundle can hold.

    Examples
    --------
    >>> plain({"hidden_size": np.int64(8), "quantiles": (np.float64(0.5),), "cell": "gru"})
    {'hidden_size': 8, 'quantiles': (0.5,), 'cell': 'gru'}
    """
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {plain(name): plain(each) for name, each in value.items()}
    if type(value) in (list, tuple):
        return type(value)(plain(each) for each in value)
    return value
