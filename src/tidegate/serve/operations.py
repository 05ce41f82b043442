"""What the gate is asked to do, and what it gives back: the words of every transport."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tidegate.errors import TidegateError

__all__ = [
    "Answer",
    "Delete",
    "Event",
    "Operation",
    "Read",
    "Result",
    "SessionView",
]


class Event(msgspec.Struct):
    """One event that asks to be stepped.

    Parameters
    ----------
    session : str
        Session id, 1 to 512 bytes of UTF-8.
    event : mapping of str to object
        The raw fields.
    received : float
        When it arrived, unix seconds: its effective time if it brings none.
    seq : int, optional
        Its number, from 1.
    time : float, optional
        The client's time, unix seconds.
    start, end : bool
        Begin the session anew; end it after this event.
    error : TidegateError, optional
        It was refused on the way in. It is still passed on, so that later events of its session in
        the same request fail in turn.
    failed : set of str
        The sessions of which an event failed in the same request; shared by that request's events.
    """

    session: str
    event: Mapping[str, object]
    received: float
    seq: int | None = None
    time: float | None = None
    start: bool = False
    end: bool = False
    error: TidegateError | None = None
    failed: set[str] = msgspec.field(default_factory=set)


class Read(msgspec.Struct, frozen=True):
    """Tell what is known of a session."""

    session: str


class Delete(msgspec.Struct, frozen=True):
    """Forget a session's memory and answers, leaving a tombstone."""

    session: str


Operation = Event | Read | Delete


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
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
    answer : msgspec.Raw
        The task's words, as JSON: the same bytes each time they are asked for.
    duplicate : bool
        The event had been answered before.
    session_reset : bool
        The session began anew with this event, because it belonged to another model.
    """

    session: str
    seq: int
    time: float
    model_version: str
    answer: msgspec.Raw
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


Result = Answer | SessionView | TidegateError
