"""Parameters as Python has them, where a search drew them with NumPy, and checked."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
import numpy as np

from tidegate import toml

__all__ = ["checked", "plain"]

Settings = TypeVar("Settings", bound=msgspec.Struct)


def checked(kind: type[Settings], given: dict[str, Any]) -> Settings:
    """Return a struct of parameters, each of the type that the struct says.

    Raises
    ------
    InputError
        As `toml.convert`; the field is the parameter.

    Examples
    --------
    >>> from tidegate.train import ModelSettings
    >>> checked(ModelSettings, {"hidden_size": np.int64(8)}).hidden_size
    8
    >>> checked(ModelSettings, {"hidden_size": 8.5})
    Traceback (most recent call last):
        ...
    tidegate.errors.InputError: hidden_size: 8.5 has a wrong type (wrong_type); Expected `int`, got
    `float`
    """
    settings: Settings = toml.convert(plain(given), kind)
    return settings


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
