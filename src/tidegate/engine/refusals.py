"""The errors of engines, in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tidegate.errors import EngineError, InputError
from tidegate.spec import MAX_SESSION_BYTES, ModelSpec

__all__ = [
    "bad_id",
    "bad_rows",
    "bad_sessions",
    "check_backend",
    "check_rows",
    "check_streams",
    "naming_ids",
    "not_finite_output",
    "numbers",
]

_Number = TypeVar("_Number", np.float32, np.float64)


@contextmanager
def naming_ids() -> Iterator[None]:
    """Word the core's refusal of a session id, and of one that it does not know."""
    try:
        yield
    except InputError:
        raise
    except KeyError as error:
        raise InputError(
            "session_unknown",
            f"the engine has no session {error.args[0]!r}",
            field="session",
            hint="step or import it first",
        ) from None
    except (TypeError, ValueError) as error:
        raise bad_id(error) from None


def bad_id(error: TypeError | ValueError) -> Exception:
    """Return the error of a session id that the core refuses; another error as it is."""
    where, _, what = str(error).partition(": ")
    if where != "sessions":
        return error
    return bad_sessions(what)


def bad_sessions(what: str) -> InputError:
    """Return the error of ids that are none."""
    return InputError(
        "bad_session_id",
        what,
        field="sessions",
        hint=f"an id is text of 1 to {MAX_SESSION_BYTES} bytes of UTF-8",
    )


def numbers(given: object, dtype: type[_Number], field: str) -> NDArray[_Number]:
    """Return an array of numbers as the core reads it; complex numbers, text and the like are none.

    Raises
    ------
    InputError
        ``bad_rows`` for `rows`, else ``wrong_type``, naming the field.
    """
    try:
        array = np.asarray(given)
    except ValueError as error:  # rows of several lengths
        raise _no_numbers(field, str(error)) from None
    if array.dtype.kind not in "fiub":
        raise _no_numbers(field, f"{array.dtype}")
    return array if array.flags.c_contiguous and array.dtype == dtype else array.astype(dtype, "C")


def _no_numbers(field: str, what: str) -> InputError:
    if field == "rows":
        return bad_rows(f"are no numbers: {what}")
    return InputError(
        "wrong_type", f"is no array of numbers: {what}", field=field, hint="give an array of floats"
    )


def check_streams(spec: ModelSpec) -> None:
    """Refuse a model that cannot step.

    Raises
    ------
    EngineError
        ``unsupported_spec``, naming layer and option.
    """
    for index, layer in enumerate(spec.layers):
        if layer.bidirectional:
            raise EngineError(
                "unsupported_spec",
                "a layer of two directions sees a session's last event first: it cannot step",
                field=f"layers.{index}.bidirectional",
                hint="score whole sessions (tidegate score), or train with bidirectional = false",
            )


def check_backend(backend: str) -> None:
    """Refuse what is no arithmetic.

    Raises
    ------
    InputError
        ``unknown_backend``.
    """
    if backend not in ("native", "reference"):
        raise InputError(
            "unknown_backend",
            f"{backend!r} is not an engine",
            field="backend",
            hint="use 'native' or 'reference'",
        )


def check_rows(spec: ModelSpec, rows: NDArray[np.float32]) -> None:
    """Refuse rows that no model takes, with a value that is not finite or no index of its table.

    Raises
    ------
    InputError
        ``bad_rows``, naming row and column.
    """
    if not np.isfinite(rows).all():
        first = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
        raise bad_rows(f"row {first} holds a value that is not finite")
    for category in spec.categories:
        index = rows[:, category.column]
        wrong = (index < 0) | (index >= category.size) | (index != np.floor(index))
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            raise bad_rows(
                f"row {first}, column {category.column}: {index[first]:g} is not an index "
                f"below {category.size}"
            )


def bad_rows(message: str) -> InputError:
    """Return the error of rows that no model takes."""
    return InputError(
        "bad_rows", message, field="rows", hint="encode events with the bundle's schema"
    )


def not_finite_output(session: str) -> InputError:
    """Return the error of an event that would make an output or a state infinite or NaN."""
    return InputError(
        "not_finite_output",
        f"the model's output for session {session!r} is not finite",
        field="event",
        hint="the event was not applied; look at its values and at the session's history",
    )
