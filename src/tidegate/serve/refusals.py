"""The errors of the gate that no rule, schema or store words."""

from __future__ import annotations

from tidegate.errors import (
    OverloadError,
    RecordError,
    SequenceError,
    StoreError,
    TidegateError,
)

__all__ = [
    "deadline",
    "draining",
    "internal",
    "record_damaged",
    "session_unknown",
    "store_failed",
    "unauthorized",
]


def internal() -> TidegateError:
    """Return the error that stands for whatever went wrong inside."""
    return TidegateError(
        "internal",
        "something went wrong inside the server",
        hint="the event may be sent again with the same seq; the server's log says more",
    )


def store_failed() -> StoreError:
    """Return the error of everything in a batch that the store did not take."""
    return StoreError(
        "store_failed",
        "the store could not be read or written",
        hint="send it again, with the same seq, when /readyz is green",
    )


def record_damaged() -> RecordError:
    """Return the error of everything that needs a session whose record is damaged."""
    return RecordError(
        "record_damaged",
        "the stored record of this session is damaged",
        field="session",
        hint='restore it from a backup, delete the session, or begin it anew with "start": true',
    )


def deadline() -> OverloadError:
    """Return the error of an event that had to wait until its deadline was over."""
    return OverloadError(
        "deadline_exceeded",
        "the event waited longer than its deadline",
        hint="it was not applied; send it again, with the same seq",
    )


def session_unknown(session: str) -> SequenceError:
    """Return the error of a question about a session that there is not."""
    return SequenceError(
        "session_unknown",
        f"there is no session {session!r}",
        field="session",
        hint="its first event begins it",
    )


def draining() -> OverloadError:
    """Return the error of what arrives while the server shuts down."""
    return OverloadError(
        "draining",
        "the server is shutting down",
        hint="nothing was applied; send it again, with the same seq, after the restart",
    )


def unauthorized() -> TidegateError:
    """Return the error of a request that brings no key, or one that is not known."""
    return TidegateError(
        "unauthorized",
        "this server asks for an API key",
        field="authorization",
        hint="send the header 'Authorization: Bearer tg_...' with a key that it knows",
    )
