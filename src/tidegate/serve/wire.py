"""JSON in and out: from bytes to events, from results to bytes. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import msgspec

from tidegate import instants
from tidegate.errors import InputError, TidegateError, shown
from tidegate.serve import not_finite
from tidegate.serve.operations import Event, Result
from tidegate.spec import MAX_SESSION_BYTES

__all__ = [
    "MOST_EVENTS",
    "check_count",
    "check_session",
    "encode_error",
    "encode_items",
    "encode_lines",
    "encode_result",
    "parse_events",
    "parse_line",
    "split_lines",
]

MOST_EVENTS = 100_000
"""Events that one request may hold."""

_Seconds = Annotated[float, msgspec.Meta(ge=instants.EARLIEST, le=instants.LATEST)]


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    event: dict[str, Any]
    session: str | None = None
    seq: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)] | None = None
    time: str | _Seconds | None = None
    start: bool = False
    end: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.time, str):
            self.time = _seconds(self.time)  # msgspec wraps the error; `_refused` unwraps it


class _Line(msgspec.Struct, omit_defaults=True):
    """An error that stands where an answer would."""

    error: Mapping[str, str | int]
    line: int | None = None


_one = msgspec.json.Decoder(_Envelope)
_many = msgspec.json.Decoder(list[_Envelope])
_raw_many = msgspec.json.Decoder(list[msgspec.Raw])
_encoder = msgspec.json.Encoder()
_REFUSED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding raises: wrong JSON, wrong types, wrong UTF-8, too deep nesting."""


def parse_events(body: bytes, session: str, received: float) -> tuple[list[Event], bool]:
    """Parse the body of a session's event route: one event, or a list.

    Parameters
    ----------
    body : bytes
        JSON.
    session : str
        The session of the path; a ``session`` member must equal it.
    received : float
        When it arrived, unix seconds.

    Returns
    -------
    events : list of Event
        A refused member of a list is an event with its `error`.
    is_list : bool
        Whether the body was a list.

    Raises
    ------
    InputError
        The body is neither an event nor a list.

    Examples
    --------
    >>> parse_events(b'{"seq": 1, "event": {"speed": 12.5}}', "bus-7", 0.0)[0][0].event
    {'speed': 12.5}
    """
    if not _LIST.match(body):
        event = _event(_try_one(body), session, received, set())
        if event.error is not None:
            raise event.error
        return [event], False
    failed: set[str] = set()
    check_count(body.count(b'"event"'))  # before anything is made of them
    try:
        envelopes: list[_Envelope | InputError] = [*_many.decode(body)]
    except _REFUSED:
        members = _split_list(body)
        check_count(len(members))
        envelopes = [_try_one(member) for member in members]
    return [_event(envelope, session, received, failed) for envelope in envelopes], True


def check_count(events: int) -> None:
    """Refuse more than `MOST_EVENTS`: what one request asks for has to fit into memory.

    Raises
    ------
    InputError
        ``too_many_events``.
    """
    if events > MOST_EVENTS:
        raise InputError(
            "too_many_events",
            f"the request holds more than {MOST_EVENTS:,} events",
            field="body",
            hint="nothing was applied; send fewer events a request",
        )


def split_lines(body: bytes) -> list[tuple[int, bytes]]:
    r"""Return the lines of a body that are not blank, each with its number from 1.

    Examples
    --------
    >>> split_lines(b'{"a": 1}\n\n{"b": 2}\n')
    [(1, b'{"a": 1}'), (3, b'{"b": 2}')]
    """
    check_count(body.count(b"\n"))
    return [
        (number, line)
        for number, line in enumerate(body.split(b"\n"), start=1)
        if line and not line.isspace()
    ]


def parse_line(line: bytes, received: float, failed: set[str]) -> Event:
    """Parse one line of newline-delimited JSON: an event that names its session.

    Parameters
    ----------
    line : bytes
        JSON.
    received : float
        When it arrived, unix seconds.
    failed : set of str
        Shared by the events of one request.

    Returns
    -------
    Event
        With its `error`, if the line is refused; its session is then "" if it names none.
    """
    try:
        envelope = _one.decode(line)
    except _REFUSED as error:
        return Event(_session_of(line), {}, received, error=_refused(error, line), failed=failed)
    if envelope.session is None:
        nameless = _missing("session", "each line names its session")
        return Event("", {}, received, error=nameless, failed=failed)
    return _event(envelope, envelope.session, received, failed)


def check_session(session: str) -> InputError | None:
    """Return what is wrong with a session id, if anything is.

    Examples
    --------
    >>> check_session("") is None, check_session("a/b") is None
    (False, True)
    """
    size = len(session.encode()) if session else 0
    if 1 <= size <= MAX_SESSION_BYTES:
        return None
    shown = session if len(session) <= 20 else session[:20] + "..."
    return InputError(
        "bad_session_id",
        f"{shown!r} has {size} bytes",
        field="session",
        hint=f"an id has 1 to {MAX_SESSION_BYTES} bytes of UTF-8",
    )


def encode_result(result: Result) -> bytes:
    """Return one answer, view or error as JSON."""
    if isinstance(result, TidegateError):
        return encode_error(result)
    return _encoder.encode(result)


def encode_error(error: TidegateError) -> bytes:
    """Return an error as JSON.

    Examples
    --------
    >>> encode_error(InputError("wrong_type", "no", field="speed", hint="yes"))
    b'{"error":{"code":"wrong_type","message":"no","field":"speed","hint":"yes"}}'
    """
    return _encoder.encode(_Line(error.to_dict()))


def encode_items(results: Iterable[Result]) -> bytes:
    """Return results as a JSON list."""
    return _encoder.encode([_item(result, None) for result in results])


def encode_lines(results: Sequence[Result], numbers: Sequence[int]) -> bytes:
    """Return results as newline-delimited JSON; errors say the number of their line."""
    return _encoder.encode_lines(
        [_item(result, number) for result, number in zip(results, numbers, strict=True)]
    )


def _item(result: Result, line: int | None) -> object:
    return _Line(result.to_dict(), line) if isinstance(result, TidegateError) else result


def _event(
    envelope: _Envelope | InputError, session: str, received: float, failed: set[str]
) -> Event:
    if isinstance(envelope, InputError):
        return Event(session, {}, received, error=envelope, failed=failed)
    error = check_session(session)
    if envelope.session is not None and envelope.session != session:
        error = InputError(
            "wrong_session",
            f"{shown(envelope.session)} is not the session of the path",
            field="session",
            hint="leave it out, or send it to its own path",
        )
    time = envelope.time
    assert not isinstance(time, str)
    return Event(
        session=session,
        event=envelope.event,
        received=received,
        seq=envelope.seq,
        time=time,
        start=envelope.start,
        end=envelope.end,
        error=error,
        failed=failed,
    )


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
    return InputError("wrong_type", message, field="time", hint=_HINTS["time"])


def _try_one(body: bytes) -> _Envelope | InputError:
    try:
        return _one.decode(body)
    except _REFUSED as error:
        return _refused(error, body)


def _split_list(body: bytes) -> list[bytes]:
    try:
        return [bytes(member) for member in _raw_many.decode(body)]
    except _REFUSED as error:
        members = not_finite.split(body)
        if members is None:
            raise _refused(error, b"") from None
        return members


class _OnlySession(msgspec.Struct):
    session: str = ""


_only_session = msgspec.json.Decoder(_OnlySession)


def _session_of(line: bytes) -> str:
    """Return the session that a refused line names, or ""."""
    try:
        return _only_session.decode(line).session
    except _REFUSED:
        return not_finite.session(line)


_LIST = re.compile(rb"[ \t\r\n]*\[")
_AT = re.compile(r" - at `\$(?:\.(\w+))?")
_NAMED = re.compile(r"(unknown|missing required) field `(.*?)`", re.DOTALL)


def _refused(error: Exception, body: bytes) -> InputError:
    """Word what a decoder refused, naming the member."""
    if isinstance(error.__cause__, InputError):
        return error.__cause__
    number = not_finite.find(body)
    if number is not None:
        return number
    text = str(error)
    if isinstance(error, RecursionError):
        return InputError("bad_json", "too deeply nested", hint="an event's values are plain")
    if not isinstance(error, msgspec.ValidationError):
        return InputError("bad_json", text, hint="send JSON (RFC 8259) in UTF-8")
    named = _NAMED.search(text)
    if named is not None and named[1] == "unknown":
        return InputError(
            "unknown_member",
            "there is no such member",
            field=named[2][:100],
            hint="members are session, seq, time, start, end and event; fields go into event",
        )
    if named is not None:
        return _missing(named[2], 'an event is {"event": {field: value}}')
    at = _AT.search(text)
    if at is None:
        return InputError("not_an_object", text, hint="an event is a JSON object")
    field = at[1] or "event"
    return InputError("wrong_type", text[: at.start()], field=field, hint=_HINTS.get(field, ""))


_HINTS = {
    "seq": "a whole number from 1, one more with each event of the session",
    "time": "an RFC 3339 string with an offset, or unix seconds as a number",
    "session": "a string",
    "start": "true or false",
    "end": "true or false",
    "event": "an object of the model's fields",
}


def _missing(member: str, hint: str) -> InputError:
    return InputError("missing_member", "it is missing", field=member, hint=hint)
