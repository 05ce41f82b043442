"""What the gate is asked to do, and what it gives back: the words of every transport."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from tidegate import instants
from tidegate.errors import InputError, TidegateError, shown

__all__ = [
    "MOST_SEQ",
    "TIME_HINT",
    "Answer",
    "Delete",
    "Event",
    "Operation",
    "Part",
    "Read",
    "Refused",
    "Result",
    "SessionView",
    "Unread",
]

MOST_SEQ = 2**63 - 2
"""The largest number of an event: one more has its place in a signed word of 8 bytes."""

TIME_HINT = "an RFC 3339 string with an offset, or unix seconds as a number"

_Seconds = Annotated[float, msgspec.Meta(ge=instants.EARLIEST, le=instants.LATEST)]


class Event(msgspec.Struct, forbid_unknown_fields=True):
    """One event that asks to be stepped, as it comes over the wire.

    Parameters
    ----------
    event : dict of str to object
        The raw fields.
    session : str, optional
        Session id, 1 to 512 bytes of UTF-8; the path's where the path names it.
    seq : int, optional
        Its number, from 1.
    time : float or str, optional
        The client's time: unix seconds, or RFC 3339, which becomes such.
    start, end : bool
        Begin the session anew; end it after this event.

    Raises
    ------
    InputError
        ``wrong_type``: the time is no instant.
    """

    event: dict[str, Any]
    session: str = ""
    seq: Annotated[int, msgspec.Meta(ge=1, le=MOST_SEQ)] | None = None
    time: str | _Seconds | None = None
    start: bool = False
    end: bool = False

    def __post_init__(self) -> None:
        if self.time.__class__ is str:
            self.time = _seconds(self.time)  # msgspec wraps the error; `wire` unwraps it


class Refused(msgspec.Struct):
    """An event that was refused on the way in.

    It is still passed on, so that later events of its session in the same request fail in turn.
    """

    session: str
    error: TidegateError


class Unread(msgspec.Struct):
    """An event that came alone, as its client wrote it: JSON that nobody has read yet.

    It is the only operation of its part.

    Parameters
    ----------
    session : str
        Of the path; "": the event itself names it.
    body : bytes
        No list.
    """

    session: str
    body: bytes


class Read(msgspec.Struct):
    """Tell what is known of a session."""

    session: str


class Delete(msgspec.Struct):
    """Forget a session's memory and answers, leaving a tombstone."""

    session: str


Operation = Event | Refused | Unread | Read | Delete


class Part(msgspec.Struct):
    """Operations of one request that are done together.

    Parameters
    ----------
    operations : list of Operation
        In order.
    failed : set of str
        Sessions of which an earlier event of the same request failed; shared by its parts.
    deadline : float
        When nobody waits for the answers any more, by ``time.monotonic``.
    queued : float
        When it was queued, by ``time.perf_counter``.
    """

    operations: Sequence[Operation]
    failed: set[str] = msgspec.field(default_factory=set)
    deadline: float = math.inf
    queued: float = 0.0


class Answer(msgspec.Struct, omit_defaults=True):
    """The answer to an event, in the words and order of the wire.

    Parameters
    ----------
    session : str
        Session id.
    seq : int
        The event's number.
    time : float
        The effective time, unix seconds.
    model_version : str
        Version of the model that answered.
    answer : dict
        The task's words: the same each time they are asked for.
    duplicate : bool
        The event had been answered before.
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
    """What is known of a session, in the words of the wire; times are unix seconds."""

    session: str
    status: str
    seq: int
    time: float
    created: float
    updated: float
    model_version: str


Result = Answer | SessionView | TidegateError | bytes
"""Bytes are an answer in JSON."""


def _seconds(text: str) -> float:
    parsed = instants.parse(text)
    if parsed is None:
        raise _bad_time(f"{shown(text)} is not an instant")
    if parsed.tzinfo is None:
        raise _bad_time(f"{shown(text)} names no offset from UTC")
    try:
        return instants.seconds(parsed)
    except InputError as error:  # the offset leads out of the years 1 to 9999
        raise _bad_time(error.message) from None


def _bad_time(message: str) -> InputError:
    return InputError("wrong_type", message, field="time", hint=TIME_HINT)
