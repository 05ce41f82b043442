"""How a verb that fails tells it: a line on standard error, and a documented exit code."""

from __future__ import annotations

import sys

from tidegate.errors import (
    BundleError,
    EngineError,
    InputError,
    OverloadError,
    StoreError,
    TidegateError,
)

__all__ = ["told"]

_CODES: tuple[tuple[type[TidegateError], int], ...] = (
    (InputError, 3),
    (BundleError, 4),
    (EngineError, 4),
    (StoreError, 5),
    (OverloadError, 5),
    (TidegateError, 3),
)
_INTERRUPTED = 130


def told(error: TidegateError | KeyboardInterrupt) -> int:
    """Tell an error, and return the exit code that stands for it."""
    if isinstance(error, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)  # noqa: T201
        return _INTERRUPTED
    print(f"error: {error}", file=sys.stderr)  # noqa: T201
    return next(code for kind, code in _CODES if isinstance(error, kind))
