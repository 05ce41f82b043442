"""The errors of engines, in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tidegate.errors import InputError
from tidegate.spec import MAX_SESSION_BYTES

__all__ = ["bad_id", "bad_rows", "naming_ids", "not_finite_output"]


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
    return InputError(
        "bad_session_id",
        what,
        field="sessions",
        hint=f"an id is text of 1 to {MAX_SESSION_BYTES} bytes of UTF-8",
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
