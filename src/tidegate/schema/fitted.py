"""A fitted schema as plain data: the configuration of each field and what training said of it."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from tidegate.errors import InputError
from tidegate.schema.config import Field, SchemaConfig, Time

__all__ = ["Fitted", "FittedField", "Statistics"]


class Statistics(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the training rows said about one field.

    Parameters
    ----------
    mean : float
        Of the values as they are, before scaling: stands for a missing one. For a category, the
        index of the most frequent value.
    center, spread : float
        A number x is encoded as ``(x - center) / spread``; spread is above 0. (With ``log1p``,
        x stands for the logarithm.)
    values : tuple of str
        The vocabulary of a category, most frequent first. Value i has index i + 1; index 0 stands
        for every other value.
    bounds : (low, high), optional
        Values beyond are cut to them, before scaling. Of a field with `clip`, and of no other.
    """

    mean: float = 0.0
    center: float = 0.0
    spread: float = 1.0
    values: tuple[str, ...] = ()
    bounds: tuple[float, float] | None = None


class FittedField(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A field's name, its configuration and its statistics."""

    name: str
    config: Field
    statistics: Statistics


class Fitted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All fields in order, and the statistics of the time since the previous event.

    The fields are a list and not an object, so that their order survives a writer that sorts keys.
    """

    fields: tuple[FittedField, ...]
    time: Time | None
    delta: Statistics

    def __post_init__(self) -> None:
        if len({field.name for field in self.fields}) < len(self.fields):
            raise InputError("bad_schema", "a name occurs twice", field="fields", hint=_HINT)
        named = [(f.name, f.config, f.statistics) for f in self.fields]
        for name, config, statistics in [*named, ("time", Field("numeric"), self.delta)]:
            category = config.kind == "category"
            bounds = statistics.bounds or ()
            numbers = (statistics.mean, statistics.center, statistics.spread, *bounds)
            holds = (
                all(map(math.isfinite, numbers))
                and statistics.spread > 0
                and (config.clip is None) == (statistics.bounds is None)
                and list(bounds) == sorted(bounds)
                and (category or not statistics.values)
                and len(set(statistics.values)) == len(statistics.values)
                and _is_unicode(statistics.values)
            )
            if not holds:
                message = (
                    "its statistics are damaged: finite numbers, spread above 0, "
                    "bounds in order and of a field with clip, no value twice or not Unicode"
                )
                raise InputError("bad_schema", message, field=name, hint=_HINT)

    @property
    def config(self) -> SchemaConfig:
        """The configuration that was fitted."""
        return SchemaConfig({field.name: field.config for field in self.fields}, self.time)

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists, strings and numbers.

        Every member is written out, but those that older schemas lack only where they are set: a
        schema that is read and written again stays the same, and so does its bundle's fingerprint.
        """
        plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        for field in plain["fields"]:
            _leave_out(field["config"], "clip")
            _leave_out(field["statistics"], "bounds")
        _leave_out(plain["delta"], "bounds")
        return plain

    @classmethod
    def from_dict(cls, members: object) -> Fitted:
        """Read what `to_dict` wrote; unknown, missing and damaged members are errors."""
        try:
            fitted = msgspec.convert(members, cls)
        except msgspec.ValidationError as error:
            # What __post_init__ raises arrives wrapped.
            if isinstance(error.__cause__, InputError):
                raise error.__cause__ from None
            raise InputError("bad_schema", str(error), field="schema", hint=_HINT) from None
        absent = _first_absent(members, fitted.to_dict())
        if absent:
            raise InputError("bad_schema", "a member is missing", field=absent, hint=_HINT)
        return fitted


_HINT = "the schema was damaged or written by another version: take it from an intact bundle"


def _leave_out(members: dict[str, Any], younger: str) -> None:
    if members[younger] is None:
        del members[younger]


def _is_unicode(values: tuple[str, ...]) -> bool:
    try:
        "".join(values).encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


def _first_absent(given: Any, full: Any, path: str = "schema") -> str | None:
    """Return the path of the first member that is in `full` and was left out of `given`.

    A stored option that is absent would otherwise silently become its default.
    """
    if isinstance(full, dict):
        pairs = [(f"{path}.{key}", key, full[key]) for key in full]
        for where, key, value in pairs:
            found = where if key not in given else _first_absent(given[key], value, where)
            if found:
                return found
    elif isinstance(full, list):
        for index, (item, value) in enumerate(zip(given, full, strict=True)):
            if found := _first_absent(item, value, f"{path}[{index}]"):
                return found
    return None
