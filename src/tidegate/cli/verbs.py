"""What every verb shares: errors become one line and a documented exit code."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import msgspec
import typer

from tidegate.cli import exits
from tidegate.errors import TidegateError

__all__ = ["CHECK_FAILED", "verb", "write_json"]

P = ParamSpec("P")
R = TypeVar("R")

CHECK_FAILED = 6


def verb(command: Callable[P, R]) -> Callable[P, R]:
    """Turn tidegate's errors into one line on standard error and an exit code.

    Anything else is a bug and keeps its traceback (exit code 1).
    """

    @functools.wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except (TidegateError, KeyboardInterrupt) as error:
            raise typer.Exit(exits.told(error)) from error

    return guarded


def write_json(value: Any) -> None:
    """Print a value as JSON for a program to read."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())  # noqa: T201
