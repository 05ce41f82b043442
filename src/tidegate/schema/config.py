"""What the user says about the fields of an event, before anything is fitted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, TypeVar

import msgspec

from tidegate.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["MAX_VOCABULARY", "Field", "Kind", "Missing", "Scale", "SchemaConfig", "Time"]

Kind = Literal["numeric", "category", "boolean"]
Scale = Literal["standard", "minmax", "robust", "log1p", "none"]
Missing = Literal["refuse", "carry", "mean", "zero"]
TimeFeature = Literal["delta", "hour", "weekday"]
Part = TypeVar("Part", bound=msgspec.Struct)

MAX_VOCABULARY = 2**24 - 1
"""Most values that a category keeps: an index travels as float32, which counts exactly to 2**24."""

TIME_COLUMNS: dict[str, tuple[str, ...]] = {
    "delta": ("time delta",),
    "hour": ("time hour sin", "time hour cos"),
    "weekday": ("time weekday sin", "time weekday cos"),
}


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one field of an event becomes numbers.

    Parameters
    ----------
    kind : {"numeric", "category", "boolean"}
        Finite numbers; text (integers count as their decimal text); or true and false (1 and 0).
    scale : {"standard", "minmax", "robust", "log1p", "none"}
        Numeric only. ``(x - mean) / standard deviation``; ``(x - min) / (max - min)``;
        ``(x - median) / interquartile range``; ``sign(x) * log1p(|x|)``, then standardised; or x.
    missing : {"refuse", "carry", "mean", "zero"}
        What stands for a missing value: nothing (it is an error); the session's last value, or
        without one the mean; the training mean; or 0. All before scaling. The mean of a boolean is
        its share of true. For a category, mean is the most frequent value, zero is index 0, and so
        is carry without a last value.
    indicator : bool
        One more column: 1 where the value was missing, else 0.
    constant : bool
        The field keeps one value for the whole session: its first event must have it, later ones
        may leave it out, and another value is an error. (Categories outside the vocabulary are
        told apart from the known ones, not from each other.)
    max_size : int, optional
        Category only: keep this many values, the most frequent ones (ties: in text order).
    embedding_size : int, optional
        Category only: width of the learned vector. Default ``min(16, (size + 1) // 2)``, where
        size counts index 0.
    clip : (low, high), optional
        Numeric only: two shares, such as (0.001, 0.999). Values below the low or above the high
        quantile of the training values are cut to it, before scaling and before its statistics.
    """

    kind: Kind
    scale: Scale = "standard"
    missing: Missing = "refuse"
    indicator: bool = False
    constant: bool = False
    max_size: int | None = None
    embedding_size: int | None = None
    clip: tuple[float, float] | None = None


class Time(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the time of an event tells the model.

    Parameters
    ----------
    features : tuple of {"delta", "hour", "weekday"}
        Seconds since the session's previous event (0 at its first, and 0 when time runs backwards),
        log1p, then standardised; hour of day with its fraction, and day of week, as sine and
        cosine.
    utc_offset_hours : float
        Added to UTC before hour and weekday are read, -24 to 24. Fixed: no daylight saving.
    """

    features: tuple[TimeFeature, ...] = ("delta",)
    utc_offset_hours: float = 0.0


class SchemaConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fields of an event in order, and what is read from its time.

    Parameters
    ----------
    fields : dict of str to Field
        By name, in the order of the encoded row.
    time : Time, optional
        Without it, the model does not see times.

    Raises
    ------
    InputError
        ``bad_config``, naming the field whose options do not go together.

    Examples
    --------
    >>> config = SchemaConfig({"speed": Field("numeric"), "lane": Field("category")})
    >>> SchemaConfig({"speed": Field("numeric", max_size=9)})
    Traceback (most recent call last):
    ...
    tidegate.errors.InputError: speed: `max_size` is 9, but the field is numeric (bad_config); leave it out, or make the field a category
    """  # noqa: E501 - the doctest shows the whole message

    fields: dict[str, Field]
    time: Time | None = None

    def __post_init__(self) -> None:
        for name, field in self.fields.items():
            if not name:
                raise _bad("", "a field has an empty name", "give it a name")
            # A struct built by hand has had no check of its types yet.
            _parse(name, msgspec.to_builtins(field), Field)
            for broken, message, hint in _field_rules(field):
                if broken:
                    raise _bad(name, message, hint)
        if self.time is not None:
            _parse("time", msgspec.to_builtins(self.time), Time)
            for broken, message, hint in _time_rules(self.time):
                if broken:
                    raise _bad("time", message, hint)
        columns = row_columns(self)
        if not columns:
            raise _bad("fields", "there is no field and no time feature", "name at least one")
        for name in columns:
            if columns.count(name) > 1:
                raise _bad(name, "two columns of the row would have this name", "rename the field")

    @classmethod
    def from_dict(cls, members: Mapping[str, object]) -> SchemaConfig:
        """Read a configuration from plain data, such as a TOML table.

        Raises
        ------
        InputError
            ``bad_config``, naming the field that is wrong: msgspec's own conversion could not.
        """
        unknown = [name for name in members if name not in cls.__struct_fields__]
        if unknown:
            raise _bad(unknown[0], "is no part of a schema", "a schema has `fields` and `time`")
        fields, time = members.get("fields", {}), members.get("time")
        if not isinstance(fields, dict):
            raise _bad("fields", "is not a table", 'write one such as speed = {kind = "numeric"}')
        return cls(
            {name: _parse(name, field, Field) for name, field in fields.items()},
            None if time is None else _parse("time", time, Time),
        )


def row_columns(config: SchemaConfig) -> tuple[str, ...]:
    """Return the names of the row's columns: numbers in field order, times, then categories."""
    numbers: list[str] = []
    for name, field in config.fields.items():
        if field.kind != "category":
            numbers.append(name)
        if field.indicator:
            numbers.append(f"{name} missing")
    times = [c for f in (config.time.features if config.time else ()) for c in TIME_COLUMNS[f]]
    indices = [name for name, field in config.fields.items() if field.kind == "category"]
    return (*numbers, *times, *indices)


def _bad(field: str, message: str, hint: str) -> InputError:
    return InputError("bad_config", message, field=field or None, hint=hint)


def _parse(name: str, value: object, struct: type[Part]) -> Part:
    try:
        return msgspec.convert(value, struct)
    except msgspec.ValidationError as error:
        options = ", ".join(f"`{option}`" for option in struct.__struct_fields__)
        raise _bad(name, str(error), f"its options are {options}") from None


def _field_rules(field: Field) -> Iterator[tuple[bool, str, str]]:
    """Yield (is broken, what is wrong, what to do) for each rule."""
    category = field.kind == "category"
    remove = "leave it out, or make the field a category"
    for option, most in (("max_size", MAX_VOCABULARY), ("embedding_size", None)):
        size: int | None = getattr(field, option)
        if size is not None:
            yield not category, f"`{option}` is {size}, but the field is {field.kind}", remove
            yield size < 1, f"`{option}` is {size}", "use 1 or more"
            yield most is not None and size > most, f"`{option}` is {size}", f"use at most {most}"
    yield (
        field.kind != "numeric" and field.scale != "standard",
        f"`scale` is {field.scale!r}, but the field is {field.kind}",
        "only numeric fields are scaled: leave it out",
    )
    if field.clip is not None:
        low, high = field.clip
        says = f"`clip` is {low}, {high}"
        yield (
            field.kind != "numeric",
            f"{says}, but the field is {field.kind}",
            "only numeric fields are cut: leave it out",
        )
        yield (
            not 0.0 <= low < high <= 1.0,
            says,
            "give two shares of the training values, such as [0.001, 0.999]",
        )
    yield (
        field.constant and field.missing != "refuse",
        f"`missing` is {field.missing!r}, but the field is constant",
        "a constant is needed in the first event and remembered after it: leave `missing` out",
    )
    yield (
        field.indicator and field.missing == "refuse",
        "`indicator` is set, but a missing value is refused",
        "set `missing` to carry, mean or zero, or leave `indicator` out",
    )


def _time_rules(time: Time) -> Iterator[tuple[bool, str, str]]:
    offset = time.utc_offset_hours
    yield not time.features, "`features` is empty", "leave the time out altogether"
    yield (
        len(set(time.features)) < len(time.features),
        f"`features` names one twice: {', '.join(time.features)}",
        "name each once",
    )
    yield (
        not (math.isfinite(offset) and abs(offset) <= 24),
        f"`utc_offset_hours` is {offset}",
        "use -24 to 24",
    )
