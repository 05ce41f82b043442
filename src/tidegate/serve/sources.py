"""Where a server's settings come from: defaults, a file, the environment, flags."""

from __future__ import annotations

import os
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from tidegate import toml
from tidegate.errors import InputError
from tidegate.serve.config import ServeSettings, about

__all__ = ["CONFIG_VARIABLE", "Effective", "gather"]

_PREFIX = "TIDEGATE_"
CONFIG_VARIABLE = _PREFIX + "CONFIG"
_NOT_SETTINGS = (CONFIG_VARIABLE, _PREFIX + "ISA", _PREFIX + "CACHE")


@dataclass(frozen=True)
class Effective:
    """Settings, each with where it came from.

    Parameters
    ----------
    values : dict of str to object
        By name; those that nobody gave have their defaults.
    origins : dict of str to str
        By name: ``default``, the path of the file, the environment variable or the flag.
    """

    values: dict[str, Any]
    origins: dict[str, str]

    def settings(self) -> ServeSettings:
        """Return the settings, checked.

        Raises
        ------
        InputError
            ``missing_setting`` or ``bad_setting``, naming the setting and where it came from.
        """
        if "store" not in self.values:
            raise InputError(
                "missing_setting",
                "nobody says where sessions live",
                field="store",
                hint=f"give --store, {_PREFIX}STORE, or store in a file; 'memory:' forgets them",
            )
        try:
            return ServeSettings(**self.values)
        except InputError as error:
            origin = self.origins.get(error.field or "", "default")
            source = "" if origin == "default" else f", from {origin}"
            raise InputError(
                error.code, error.message + source, field=error.field, hint=error.hint
            ) from error

    def to_toml(self) -> str:
        """Return the settings as TOML, with a comment each: where it came from, what it means.

        Reading it again gives the same settings, but for passwords in addresses: they are left out.
        """
        lines = []
        for name, (kind, _, said) in about().items():
            if name not in self.values:
                lines.append((f"# {name} = ", f"must be given: {said.meaning}"))
                continue
            value = _toml(self.values[name])
            choices = typing.get_args(kind)
            unit = f" [{said.unit}]" if said.unit else ""
            more = f" One of {', '.join(choices)}." if choices else ""
            lines.append((f"{name} = {value}", f"{self.origins[name]}:{unit} {said.meaning}{more}"))
        width = min(max(len(line) for line, _ in lines), 40)
        return "".join(f"{line:<{width}}  # {comment}\n" for line, comment in lines)


_PASSWORD = re.compile(r"(?<=://)[^/@]*@")


def _toml(value: Any) -> str:
    if isinstance(value, str):
        # A TOML string is a JSON string, but for one character.
        text = msgspec.json.encode(_PASSWORD.sub("***@", value)).decode()
        return text.replace("\x7f", "\\u007F")
    return msgspec.json.encode(value).decode()


def gather(
    file: str | Path | None = None,
    environment: Mapping[str, str] = os.environ,
    flags: Mapping[str, Any] | None = None,
) -> Effective:
    """Collect settings from defaults, a file, the environment and flags; the later ones win.

    Parameters
    ----------
    file : str or Path, optional
        A TOML file with one key a setting. By default the one that ``TIDEGATE_CONFIG`` names.
    environment : mapping of str to str
        ``TIDEGATE_PORT`` and so on.
    flags : mapping of str to object, optional
        By setting; None means not given.

    Returns
    -------
    Effective
        Types are right; `Effective.settings` checks the rest.

    Raises
    ------
    InputError
        ``missing_file``, ``not_toml``, ``unknown_key``, ``unknown_variable``, ``wrong_type``.

    Examples
    --------
    >>> found = gather(environment={"TIDEGATE_PORT": "9000"}, flags={"store": "memory:"})
    >>> found.settings().port, found.origins["port"], found.origins["store"]
    (9000, 'TIDEGATE_PORT', '--store')
    >>> gather(environment={"TIDEGATE_PROT": "9000"})
    Traceback (most recent call last):
        ...
    tidegate.errors.InputError: TIDEGATE_PROT: there is no such setting (unknown_variable); did you
    mean TIDEGATE_PORT?
    """
    known = about()
    values = {name: default for name, (_, default, _) in known.items()}
    del values["store"]
    origins = dict.fromkeys(values, "default")
    file = file or environment.get(CONFIG_VARIABLE) or None
    layers = [_from_environment(environment)]
    if file is not None:
        layers.insert(0, _from_file(Path(file)))
    layers.append(
        {
            name: (value, "--" + name.replace("_", "-"))
            for name, value in (flags or {}).items()
            if value is not None
        }
    )
    for layer in layers:
        for name, (value, origin) in layer.items():
            values[name], origins[name] = value, origin
    return Effective(values, origins)


def _from_file(path: Path) -> dict[str, tuple[Any, str]]:
    known = about()
    found = {}
    for name, value in toml.read(path).items():
        if name not in known:
            raise InputError(
                "unknown_key", f"unknown key in {path}", field=name, hint=toml.nearest(name, known)
            )
        kind, _, said = known[name]
        typed = toml.convert(value, kind, name)
        if said.is_path and typed and not _is_address(typed):
            typed = str(path.parent / typed)
        found[name] = (typed, str(path))
    return found


def _is_address(path: str) -> bool:
    """Say whether it is ``memory:`` or some ``scheme://``, which no folder goes before."""
    return path == "memory:" or "://" in path


def _from_environment(environment: Mapping[str, str]) -> dict[str, tuple[Any, str]]:
    known = {_PREFIX + name.upper(): name for name in about()}
    found = {}
    for variable in sorted(environment):
        if not variable.startswith(_PREFIX) or variable in _NOT_SETTINGS:
            continue
        if variable not in known or _of_kubernetes(variable, environment):
            hint = toml.nearest(variable, known)
            if _of_kubernetes(variable, environment):
                hint = (
                    "Kubernetes sets it for a Service named tidegate: give the pod "
                    "enableServiceLinks: false"
                )
            raise InputError(
                "unknown_variable", "there is no such setting", field=variable, hint=hint
            )
        name = known[variable]
        text = environment[variable]
        kind, _, _ = about()[name]
        try:
            value = msgspec.convert(text, kind, strict=False)
        except msgspec.ValidationError as error:
            choices = typing.get_args(kind)
            hint = "use one of " + ", ".join(choices) if choices else str(error)
            raise InputError(
                "wrong_type", f"{text!r} is not allowed", field=variable, hint=hint
            ) from error
        found[name] = (value, variable)
    return found


def _of_kubernetes(variable: str, environment: Mapping[str, str]) -> bool:
    """Say whether a variable is one of those that describe a Service to the pods beside it."""
    links = f"{_PREFIX}SERVICE_HOST" in environment
    return links and bool(
        re.fullmatch(r"SERVICE_(HOST|PORT\w*)|PORT(_\d+_TCP\w*)?", variable[len(_PREFIX) :])
    )
