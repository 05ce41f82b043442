"""What the fields of an event are, and how each becomes numbers."""

from __future__ import annotations

from typing import Literal

import msgspec

from tidegate.errors import InputError

__all__ = ["Field", "SchemaConfig", "Time"]


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One raw field.

    Parameters
    ----------
    kind : {"numeric", "category", "boolean"}
        What the values are.
    scale : {"standard", "minmax", "robust", "log1p", "none"}
        Numeric only. ``standard``: minus the mean, by the standard deviation; ``minmax``: the training
        range becomes 0 to 1; ``robust``: minus the median, by the interquartile range; ``log1p``:
        ``sign(x) * log(1 + |x|)``, then ``standard``.
    missing : {"refuse", "carry", "mean", "zero"}
        What a missing value (null or absent) becomes. ``refuse``: an error. ``carry``: the session's
        last value, before there is one as ``mean`` (a category: as ``zero``). ``mean``: the training
        mean; of a category, its most frequent value. ``zero``: 0 (a category: index 0, as for a value
        outside the vocabulary).
    indicator : bool
        Adds a column that is 1 where the value was missing.
    constant : bool
        The value belongs to the session: its first event must have it, later ones may leave it out
        (it is carried then), and another value is an error.
    max_size : int, optional
        Category only: keep this many of the most frequent values.
    embedding_size : int, optional
        Category only: width of the learned vector; by default ``min(16, (size + 1) // 2)``.
    """

    kind: Literal["numeric", "category", "boolean"]
    scale: Literal["standard", "minmax", "robust", "log1p", "none"] = "standard"
    missing: Literal["refuse", "carry", "mean", "zero"] = "refuse"
    indicator: bool = False
    constant: bool = False
    max_size: int | None = None
    embedding_size: int | None = None

    @property
    def remembers(self) -> bool:
        """Whether the encoder keeps the session's last value of this field."""
        return self.constant or self.missing == "carry"


class Time(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the model sees of an event's time.

    Parameters
    ----------
    features : tuple of {"delta", "hour", "weekday"}
        ``delta``: seconds since the session's previous event (0 at its first, never below 0), through
        ``log1p`` and then standardised. ``hour`` of the day and ``weekday``: sine and cosine each.
    utc_offset_hours : float
        Added to UTC before the hour and the weekday are taken.
    """

    features: tuple[Literal["delta", "hour", "weekday"], ...] = ("delta",)
    utc_offset_hours: float = 0.0


class SchemaConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fields of an event, in order, and its time.

    Raises
    ------
    InputError
        ``bad_schema``, naming the field: an option that its kind does not have, or no fields at all.

    Examples
    --------
    >>> SchemaConfig({"speed": Field("numeric", max_size=3)})
    Traceback (most recent call last):
        ...
    tidegate.errors.InputError: speed: max_size is for categories, speed is numeric (bad_schema); ...
    """

    fields: dict[str, Field]
    time: Time | None = None

    def __post_init__(self) -> None:
        if not self.fields and self.time is None:
            raise _bad("fields", "there are none", "name at least one field")
        for name, field in self.fields.items():
            _check(name, field)
        if self.time is not None and len(set(self.time.features)) != len(self.time.features):
            raise _bad("time.features", "one is named twice", "name each once")


def _check(name: str, field: Field) -> None:
    category = field.kind == "category"
    if not name:
        raise _bad("fields", "a field has an empty name", "name it")
    for option in ("max_size", "embedding_size"):
        value = getattr(field, option)
        if value is None:
            continue
        if not category:
            raise _bad(name, f"{option} is for categories, {name} is {field.kind}", "leave it out")
        if value < 1:
            raise _bad(name, f"{option}={value} is too small", "use 1 or more")
    if field.kind != "numeric" and field.scale != "standard":
        raise _bad(name, f"scale is for numbers, {name} is a {field.kind}", "leave it out")
    if field.constant and field.missing != "refuse":
        raise _bad(
            name,
            f"a constant that is missing is carried, missing={field.missing!r} says otherwise",
            "leave 'missing' out",
        )
    if field.indicator and not field.constant and field.missing == "refuse":
        raise _bad(
            name, "an indicator needs values that may be missing", "set missing, or drop indicator"
        )


def _bad(field: str, message: str, hint: str) -> InputError:
    return InputError("bad_schema", message, field=field, hint=hint)
