"""What the server says, as Python: answers, sessions, and errors of the same types as its own."""

from __future__ import annotations

from typing import Any

import msgspec

from tidegate.errors import (
    InputError,
    OverloadError,
    RecordError,
    SequenceError,
    StoreError,
    TidegateError,
)

__all__ = ["Answer", "SessionView", "error_of", "parse", "parse_error"]


class Answer(msgspec.Struct, frozen=True):
    """The answer to an event.

    Parameters
    ----------
    session : str
        Session id.
    seq : int
        The event's number in its session.
    time : float
        The event's effective time, unix seconds.
    model_version : str
        Version of the model that answered.
    answer : dict
        The task's words, such as ``{"label": ..., "probabilities": {...}}``.
    duplicate : bool
        The event had been applied and answered before; this is that answer.
    session_reset : bool
        The session began anew with this event, because it belonged to another model.
    """

    session: str
    seq: int
    time: float
    model_version: str
    answer: dict[str, Any]
    duplicate: bool = False
    session_reset: bool = False


class SessionView(msgspec.Struct, frozen=True):
    """What the server knows of a session; times are unix seconds."""

    session: str
    status: str
    seq: int
    time: float
    created: float
    updated: float
    model_version: str


class _Error(msgspec.Struct):
    code: str
    message: str
    hint: str = ""
    field: str | None = None
    expected: int | None = None


class _Line(msgspec.Struct):
    error: _Error


_TYPES: dict[str, type[TidegateError]] = {
    **dict.fromkeys(
        (
            *("payload_conflict", "seq_stale", "seq_gap", "previous_failed"),
            *("session_unknown", "session_ended", "session_deleted", "session_expired"),
        ),
        SequenceError,
    ),
    "record_damaged": RecordError,
    "store_failed": StoreError,
    "overloaded": OverloadError,
    "draining": OverloadError,
    "internal": TidegateError,
}
"""Types of the errors by code; all others are about what was sent."""

_line = msgspec.json.Decoder(_Line)


def parse(body: bytes, kind: type[Any]) -> Any:
    """Decode what the server said as one kind of thing.

    Raises
    ------
    TidegateError
        ``bad_answer``: it is something else; there is no tidegate at this address.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise _bad_answer(f"{error}: {body[:100]!r}") from None


def parse_error(line: bytes) -> TidegateError | None:
    """Return the error that stands in a line, if one does.

    Examples
    --------
    >>> parse_error(b'{"error":{"code":"seq_gap","message":"no","expected":3,"hint":""}}').expected
    3
    """
    try:
        found = _line.decode(line).error
    except msgspec.MsgspecError:
        return None
    return _TYPES.get(found.code, InputError)(
        found.code, found.message, field=found.field, expected=found.expected, hint=found.hint
    )


def error_of(status: int, body: bytes) -> TidegateError:
    """Return the error of an answer whose status says that it is one."""
    error = parse_error(body)
    return error or _bad_answer(f"status {status}: {body[:100]!r}")


def _bad_answer(what: str) -> TidegateError:
    return TidegateError(
        "bad_answer", what, hint="is it a tidegate server, and of this version, at this address?"
    )
