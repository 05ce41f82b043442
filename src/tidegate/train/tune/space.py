"""The search space: which keys of a configuration are tuned, and over which values."""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Mapping
from typing import Any

import msgspec

from tidegate import toml
from tidegate.errors import InputError

__all__ = ["Range", "Space", "TuneSettings", "Value", "check_key", "default_space"]

Value = str | bool | int | float
"""What a key can be given."""


class Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All numbers between two, both included.

    Parameters
    ----------
    low, high : int or float
        The two. Whole numbers alone are drawn for a key that takes whole numbers.
    log : bool
        Whether the logarithm is what is spread evenly.
    """

    low: int | float
    high: int | float
    log: bool = False

    def __post_init__(self) -> None:
        if not -math.inf < self.low < self.high < math.inf:
            raise _bad(f"{self.low} to {self.high}", "low", "give low below high")
        if self.log and self.low <= 0:
            raise _bad(f"the logarithm of {self.low}", "low", "give low above 0, or no log")


Space = Mapping[str, Range | tuple[Value, ...]]
"""A range, or values to choose from, for each key, such as ``model.hidden_size``."""


class TuneSettings(msgspec.Struct, frozen=True):
    """Section ``[tune]``: how to look for better settings.

    Parameters
    ----------
    space : dict
        For keys of the configuration, such as ``"train.learning_rate"``, a table with ``low``,
        ``high`` and, if wanted, ``log``, or a list of values. A list of one keeps that value.
    defaults : bool
        Whether the keys of `default_space` are tuned too.
    prune : bool
        Whether to end a trial after an epoch if its best value so far is worse than the median of
        those that the finished trials had by then.
    startup : int
        Trials that are drawn at random, and finished before any is ended early.
    seed : int
        Of what is drawn. With one worker, and trained anew, the same trials come again.
    """

    space: dict[str, Any] = msgspec.field(default_factory=dict)
    defaults: bool = True
    prune: bool = True
    startup: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("startup", 1), ("seed", 0)):
            value = getattr(self, name)
            if value < least:
                raise InputError(
                    "out_of_range",
                    f"{value} is not allowed",
                    field=name,
                    hint=f"use {least} or more",
                )
        _ = self.own

    @property
    def own(self) -> dict[str, Range | tuple[Value, ...]]:
        """What `space` says, read."""
        return {key: _read(value, f"space.{key}") for key, value in self.space.items()}


_SECTIONS = ("model", "train")
_NOT_TUNED = {
    "train.seed": "the best of many seeds is luck",
    "train.watch": "trials would be measured differently",
    "train.threads": "each trial trains on one thread",
    "train.diagnostics": "nothing that is learned depends on it",
}


def check_key(key: str, config: type[msgspec.Struct], field: str = "tune.space.") -> Any:
    """Return the type of a configuration's key, if the key can be tuned.

    Parameters
    ----------
    key : str
        Its name from the top, with dots.
    config : type
        The configuration.
    field : str
        What the key stands under, for errors.

    Raises
    ------
    InputError
        ``unknown_key`` or ``not_tunable``.
    """
    path = key.split(".")
    embedding = len(path) == 4 and path[:2] == ["schema", "fields"] and path[3] == "embedding_size"
    if path[0] not in _SECTIONS and not embedding:
        raise InputError(
            "not_tunable",
            "would change more than how a model learns",
            field=field + key,
            hint="tune keys of [model] and [train], or schema.fields.NAME.embedding_size",
        )
    if key in _NOT_TUNED:
        raise InputError("not_tunable", _NOT_TUNED[key], field=field + key, hint="leave it out")
    kind: Any = config
    for index, name in enumerate(path):
        if typing.get_origin(kind) is dict:
            kind = typing.get_args(kind)[1]
            continue
        known = {one.name: one.type for one in _fields(kind)}
        if name not in known:
            raise InputError(
                "unknown_key",
                "no such key" if known else f"{path[index - 1]} holds no other keys",
                field=field + key,
                hint=toml.nearest(name, known) if known else "leave it out",
            )
        kind = known[name]
    if _fields(kind):
        raise InputError(
            "not_tunable",
            "is a table",
            field=field + key,
            hint=f"name a key of it, such as {key}.{_fields(kind)[0].name}",
        )
    return kind


def is_whole(kind: Any) -> bool:
    """Say whether a key of a type takes whole numbers alone.

    >>> is_whole(int), is_whole(int | None), is_whole(float)
    (True, True, False)
    """
    kinds = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    return int in kinds and float not in kinds


_COMMON: Space = {
    "model.cell": ("gru", "lstm"),
    "model.hidden_size": (16, 32, 64, 128),
    "model.num_layers": (1, 2),
    "model.dropout": Range(0.0, 0.5),
    "train.learning_rate": Range(3e-4, 3e-2, log=True),
    "train.weight_decay": Range(1e-6, 1e-1, log=True),
    "train.batch_tokens": (1024, 2048, 4096, 8192),
}
_LANES: Space = {"train.lanes": (16, 32, 64, 128), "train.chunk": (16, 32, 64)}
_FAMILIES: dict[str, Space] = {
    # Many classes and little of each: wide nets, and much against learning by heart.
    "next_item": {"model.hidden_size": (64, 128, 256), "model.dropout": Range(0.0, 0.6)},
    "language": {"model.hidden_size": (64, 128, 256), "model.dropout": Range(0.0, 0.6)},
    "tag": {"model.recurrent_dropout": Range(0.0, 0.4)},
    # Noise is most of what there is to learn: a small net, and little of it at a time.
    "forecast": {
        "model.hidden_size": (8, 16, 32, 64),
        "train.learning_rate": Range(1e-4, 1e-2, log=True),
    },
    # What reproduces everything is surprised by nothing.
    "anomaly": {"model.hidden_size": (8, 16, 32, 64)},
}


def default_space(task: str, mode: str = "sessions") -> dict[str, Range | tuple[Value, ...]]:
    """Return what is tuned unless told otherwise.

    Parameters
    ----------
    task : str
        The task's name.
    mode : {"sessions", "lanes"}
        What a batch is, which decides how its size is said.

    Examples
    --------
    >>> default_space("anomaly")["model.hidden_size"]
    (8, 16, 32, 64)
    >>> "train.batch_tokens" in default_space("classify", "lanes")
    False
    """
    space = {**_COMMON, **_FAMILIES.get(task, {})}
    if mode == "lanes":
        del space["train.batch_tokens"]
        space.update(_LANES)
    return space


def _fields(kind: Any) -> tuple[msgspec.structs.FieldInfo, ...]:
    is_struct = isinstance(kind, type) and issubclass(kind, msgspec.Struct)
    return msgspec.structs.fields(kind) if is_struct else ()


def _read(value: Any, field: str) -> Range | tuple[Value, ...]:
    """Read a range, or a list of values."""
    if isinstance(value, dict):
        found: Range = toml.convert(value, Range, field)
        return found
    fits = isinstance(value, list | tuple) and all(isinstance(one, Value) for one in value)
    if not fits or not value or len({repr(one) for one in value}) < len(value):
        raise InputError(
            "wrong_type",
            f"{value!r} is nothing to choose from",
            field=field,
            hint="give a table with low and high, or a list of different values",
        )
    return tuple(value)


def _bad(what: str, field: str, hint: str) -> InputError:
    return InputError("out_of_range", f"{what} is no range", field=field, hint=hint)
