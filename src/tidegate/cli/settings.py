"""A flag for every setting of a server, made of the settings themselves."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from tidegate.serve.config import about
from tidegate.serve.sources import CONFIG_VARIABLE

__all__ = ["ConfigOption", "with_settings"]

ConfigOption = Annotated[
    Path | None,
    typer.Option(help=f"A TOML file of settings. Default: what {CONFIG_VARIABLE} names."),
]


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a verb a flag for every setting, in place of its parameter ``flags``.

    Parameters
    ----------
    command : callable
        Its parameter ``flags`` gets a dict of what was given, by setting.

    Notes
    -----
    A flag's default is "not given", so that the environment and the file can be asked; its help
    tells the setting's own default.
    """
    own = inspect.signature(command, eval_str=True)
    flags = [_flag(name, *said) for name, said in about().items()]
    names = [flag.name for flag in flags]

    @functools.wraps(command)
    def taken(**arguments: Any) -> None:
        given = {name: arguments.pop(name) for name in names}
        command(
            **arguments, flags={name: value for name, value in given.items() if value is not None}
        )

    kept = [parameter for name, parameter in own.parameters.items() if name != "flags"]
    vars(taken)["__signature__"] = inspect.Signature(
        [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*kept, *flags)]
    )
    taken.__annotations__ = {p.name: p.annotation for p in (*kept, *flags)}
    del vars(taken)["__wrapped__"]  # or its parameters would be read instead
    return taken


def _flag(name: str, kind: Any, default: Any, said: Any) -> inspect.Parameter:
    shown = False if default in (msgspec.NODEFAULT, "") else f"{default} {said.unit}".rstrip()
    option = typer.Option(help=said.meaning, show_default=shown)
    annotation = Annotated[kind | None, option]
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )
