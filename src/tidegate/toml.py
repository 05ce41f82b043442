"""From what TOML holds to structs, with errors that name the key as a user wrote it."""

from __future__ import annotations

import difflib
import tomllib
import types
import typing
from pathlib import Path
from typing import Any

import msgspec

from tidegate.errors import InputError

__all__ = ["convert", "nearest", "parse", "read"]


def read(path: str | Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    InputError
        ``missing_file`` or ``not_toml``.
    """
    try:
        text = Path(path).read_text("utf-8")
    except OSError as error:
        raise InputError(
            "missing_file",
            f"{str(path)!r}: {error.strerror}",
            field="config",
            hint="give the path of a .toml file",
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(
            "not_toml", f"{str(path)!r}: {error}", field="config", hint="TOML is UTF-8"
        ) from error
    return parse(text)


def parse(text: str) -> dict[str, Any]:
    """Read TOML text.

    Raises
    ------
    InputError
        ``not_toml``.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(
            "not_toml", str(error), field="config", hint="see https://toml.io"
        ) from error


def nearest(key: str, known: typing.Iterable[str]) -> str:
    """Return a hint that names the nearest of the known keys, or all of them.

    Examples
    --------
    >>> nearest("prot", ["port", "host"])
    'did you mean port?'
    """
    known = list(known)
    close = difflib.get_close_matches(key, known, 1)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"


def convert(value: Any, kind: Any, path: str = "") -> Any:
    """Convert a value to a type, which may be made of structs.

    Parameters
    ----------
    value : object
        What a TOML reader gave; a program may give the struct itself.
    kind : type
        A struct, a mapping of structs or anything that msgspec converts.
    path : str
        The key it stands under, for errors.

    Raises
    ------
    InputError
        ``unknown_key``, ``missing_key``, ``wrong_type``, or what a struct's own check raises; the
        field is the dotted key.

    Examples
    --------
    >>> class Model(msgspec.Struct):
    ...     cell: typing.Literal["gru", "lstm", "rnn"] = "gru"
    >>> convert({"cell": "gro"}, Model, "model")
    Traceback (most recent call last):
        ...
    tidegate.errors.InputError: model.cell: 'gro' is not allowed (wrong_type); use one of gru, lstm,
    rnn
    """
    struct = _struct_of(kind)
    if struct is not None:
        if isinstance(value, struct):
            return value
        return _convert_struct(value, struct, path)
    if typing.get_origin(kind) is dict:
        _, member_kind = typing.get_args(kind)
        return {
            key: convert(member, member_kind, f"{path}.{key}")
            for key, member in _table(value, path).items()
        }
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        if typing.get_origin(kind) is typing.Literal:
            what = f"{value!r} is not allowed"
            hint = "use one of " + ", ".join(typing.get_args(kind))
        else:
            what, hint = f"{value!r} has a wrong type", str(error)
        raise InputError("wrong_type", what, field=path, hint=hint) from error


def _convert_struct(value: Any, struct: type[msgspec.Struct], path: str) -> Any:
    table = _table(value, path)
    prefix = f"{path}." if path else ""
    fields = {field.name: field for field in msgspec.structs.fields(struct)}
    for key in table:
        if key not in fields:
            raise InputError(
                "unknown_key", "unknown key", field=prefix + key, hint=nearest(key, fields)
            )
    members = {
        key: convert(member, fields[key].type, prefix + key) for key, member in table.items()
    }
    for name, field in fields.items():
        if field.required and name not in table:
            raise InputError("missing_key", "missing", field=prefix + name, hint="add this key")
    try:
        return struct(**members)
    except InputError as error:
        raise InputError(
            error.code, error.message, field=_locate(error.field, members, path), hint=error.hint
        ) from error


def _locate(field: str | None, members: dict[str, Any], path: str) -> str:
    """Return the dotted key of what a struct calls `field`: a member, or a key of one."""
    owners = [
        name for name, member in members.items() if isinstance(member, dict) and field in member
    ]
    return ".".join(part for part in (path, *owners[:1], field) if part)


def _struct_of(kind: Any) -> type[msgspec.Struct] | None:
    """Return a struct, or that of ``Struct | None``."""
    is_union = typing.get_origin(kind) in (types.UnionType, typing.Union)
    kinds = typing.get_args(kind) if is_union else (kind,)
    structs = [one for one in kinds if isinstance(one, type) and issubclass(one, msgspec.Struct)]
    return structs[0] if structs else None


def _table(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(
            "wrong_type", f"{value!r} is not a table", field=path, hint=f"write [{path}] above it"
        )
    return value
