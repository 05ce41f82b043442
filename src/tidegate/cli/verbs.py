"""What every verb shares: errors become one line and a documented exit code."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import msgspec
import typer

from tidegate.errors import (
    BundleError,
    EngineError,
    InputError,
    OverloadError,
    StoreError,
    TidegateError,
)

__all__ = ["CHECK_FAILED", "verb", "write_json"]

P = ParamSpec("P")
R = TypeVar("R")

CHECK_FAILED = 6
_EXIT_CODES: tuple[tuple[type[TidegateError], int], ...] = (
    (InputError, 3),
    (BundleError, 4),
    (EngineError, 4),
    (StoreError, 5),
    (OverloadError, 5),
    (TidegateError, 3),
)
_INTERRUPTED = 130


def verb(command: Callable[P, R]) -> Callable[P, R]:
    """Turn tidegate's errors into one line on standard error and an exit code.

    Anything else is a bug and keeps its traceback (exit code 1).
    """

    @functools.wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except TidegateError as error:
            print(f"error: {error}", file=sys.stderr)  # noqa: T201
            code = next(code for kind, code in _EXIT_CODES if isinstance(error, kind))
            raise typer.Exit(code) from error
        except KeyboardInterrupt as interrupt:
            print("interrupted", file=sys.stderr)  # noqa: T201
            raise typer.Exit(_INTERRUPTED) from interrupt

    return guarded


def write_json(value: Any) -> None:
    """Print a value as JSON for a program to read."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())  # noqa: T201
