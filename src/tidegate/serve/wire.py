"""JSON in and out: from bytes to events, from results to bytes. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, cast

import msgspec

from tidegate.errors import InputError, TidegateError, shown
from tidegate.serve import not_finite
from tidegate.serve.operations import TIME_HINT, Event, Refused, Result, Unread
from tidegate.spec import MAX_SESSION_BYTES

__all__ = [
    "MOST_EVENTS",
    "check_count",
    "check_session",
    "encode_error",
    "encode_frame",
    "encode_items",
    "encode_lines",
    "encode_result",
    "is_list",
    "parse_lines",
    "read",
    "read_list",
    "seqs_of",
    "too_many",
]

MOST_EVENTS = 100_000
"""Events that one request may hold."""


class _Line(msgspec.Struct, omit_defaults=True):
    """An error that stands where an answer would."""

    error: Mapping[str, str | int]
    line: int | None = None
    session: str = ""
    seq: int | None = None


_one = msgspec.json.Decoder(Event)
_many = msgspec.json.Decoder(list[Event])
_raw_many = msgspec.json.Decoder(list[msgspec.Raw])
_encoder = msgspec.json.Encoder()
_REFUSED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding raises: wrong JSON, wrong types, wrong UTF-8, too deep nesting."""


def is_list(body: bytes) -> bool:
    """Say whether a body is a list, if it is JSON."""
    return _LIST.match(body) is not None


def read(unread: Unread) -> Event | Refused:
    """Read an event that came alone.

    Examples
    --------
    >>> read(Unread("bus-7", b'{"event": {"speed": 12.5}}')).session
    'bus-7'
    """
    event = _try_one(unread.body)
    return _of_path(event, unread.session) if unread.session else _named(event)


def read_list(body: bytes, session: str) -> list[Event | Refused]:
    """Read a list of events.

    Parameters
    ----------
    body : bytes
        JSON; see `is_list`.
    session : str
        The session of the path, which no event may contradict; "": each names its own.

    Raises
    ------
    InputError
        It is no list, or ``too_many_events``.

    Examples
    --------
    >>> [event.event for event in read_list(b'[{"event": {"speed": 12.5}}]', "bus-7")]
    [{'speed': 12.5}]
    """
    events = _parse_list(body)
    return [_of_path(event, session) if session else _named(event) for event in events]


def seqs_of(body: bytes, events: Sequence[Event | Refused], *, is_list: bool) -> list[int | None]:
    """Return the number of each event of a body, where it has one, refused or not.

    Examples
    --------
    >>> body = b'[{"seq": 1, "session": "a", "event": {}}, {"seq": 2}, 3]'
    >>> seqs_of(body, read_list(body, ""), is_list=True)
    [1, 2, None]
    """
    if not any(isinstance(event, Refused) for event in events):
        return [cast("Event", event).seq for event in events]
    return [_seq_of(member) for member in (_split_list(body) if is_list else [body])]


def _parse_list(body: bytes) -> list[Event | Refused]:
    check_count(body.count(b'"event"'))  # before anything is made of them
    try:
        return [*_many.decode(body)]
    except _REFUSED:
        members = _split_list(body)
        check_count(len(members))
        return [_try_one(member) for member in members]


def check_count(events: int) -> None:
    """Refuse more than `MOST_EVENTS`: what one request asks for has to fit into memory.

    Raises
    ------
    InputError
        ``too_many_events``.
    """
    if events > MOST_EVENTS:
        raise too_many(MOST_EVENTS, "request")


def too_many(most: int, where: str) -> InputError:
    """Return the error of a request or frame that holds more events than it may."""
    return InputError(
        "too_many_events",
        f"the {where} holds more than {most:,} events",
        field="body",
        hint=f"nothing of it was applied; send fewer events a {where}",
    )


def parse_lines(body: bytes, first: int) -> tuple[list[Event | Refused], list[int]]:
    r"""Parse whole lines of newline-delimited JSON: events that name their sessions.

    Parameters
    ----------
    body : bytes
        Lines.
    first : int
        Number of the first.

    Returns
    -------
    events : list of Event or Refused
        Of the lines that are not blank; the session of a refused one is "" if it names none.
    numbers : list of int
        Of these lines.

    Examples
    --------
    >>> events, numbers = parse_lines(b'{"session": "a", "event": {}}\n\n7\n', 1)
    >>> [event.session for event in events], numbers
    (['a', ''], [1, 3])
    """
    count = body.count(b"\n") + (not body.endswith(b"\n"))
    try:
        events = _one.decode_lines(body)
    except _REFUSED:
        events = []
    if len(events) == count:
        for event in events:
            name = event.session
            if not (name.isascii() and 0 < len(name) <= MAX_SESSION_BYTES):
                break
        else:
            return cast("list[Event | Refused]", events), [*range(first, first + count)]
    lines = [
        (number, line)
        for number, line in enumerate(body.split(b"\n"), start=first)
        if line and not line.isspace()
    ]
    return [_named(_try_one(line)) for _, line in lines], [number for number, _ in lines]


def check_session(session: str) -> InputError | None:
    """Return what is wrong with a session id, if anything is.

    Examples
    --------
    >>> check_session("") is None, check_session("a/b") is None
    (False, True)
    """
    if session.isascii() and 0 < len(session) <= MAX_SESSION_BYTES:
        return None
    try:
        size = len(session.encode())
        if 1 <= size <= MAX_SESSION_BYTES:
            return None
    except UnicodeEncodeError:  # half of a surrogate pair, which has no UTF-8
        size = len(session.encode(errors="surrogatepass"))
    shown = session if len(session) <= 20 else session[:20] + "..."
    return InputError(
        "bad_session_id",
        f"{shown!r} has {size} bytes",
        field="session",
        hint=f"an id has 1 to {MAX_SESSION_BYTES} bytes of UTF-8",
    )


def encode_result(result: Result) -> bytes:
    """Return one answer, view or error as JSON."""
    if isinstance(result, bytes):
        return result
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


def encode_frame(
    results: Sequence[Result],
    events: Sequence[Event | Refused],
    seqs: Sequence[int | None],
    *,
    is_list: bool,
) -> bytes:
    """Return the results of a frame's events as JSON; errors say whose they are.

    Examples
    --------
    >>> error = InputError("wrong_type", "no", hint="yes")
    >>> encode_frame([error], [Refused("bus-7", error)], [4], is_list=False)
    b'{"error":{"code":"wrong_type","message":"no","hint":"yes"},"session":"bus-7","seq":4}'
    """
    items = [
        _Line(result.to_dict(), None, event.session, seq)
        if isinstance(result, TidegateError)
        else result
        for result, event, seq in zip(results, events, seqs, strict=True)
    ]
    return _encoder.encode(items if is_list else items[0])


def encode_lines(results: Sequence[Result], numbers: Sequence[int]) -> bytes:
    """Return results as newline-delimited JSON; errors say the number of their line."""
    return _encoder.encode_lines(
        [_item(result, number) for result, number in zip(results, numbers, strict=True)]
    )


def _item(result: Result, line: int | None) -> object:
    return _Line(result.to_dict(), line) if isinstance(result, TidegateError) else result


def _of_path(event: Event | Refused, session: str) -> Event | Refused:
    """Give an event the session of the path."""
    if isinstance(event, Refused):
        return Refused(session, event.error)
    if event.session and event.session != session:
        error = InputError(
            "wrong_session",
            f"{shown(event.session)} is not the session of the path",
            field="session",
            hint="leave it out, or send it to its own path",
        )
        return Refused(session, error)
    event.session = session
    return event


def _named(event: Event | Refused) -> Event | Refused:
    """Check the session that an event itself names."""
    if isinstance(event, Refused):
        return event
    if not event.session:
        return Refused("", _missing("session", "each event names its session"))
    error = check_session(event.session)
    return event if error is None else Refused("", error)  # no session can have that id


def _try_one(body: bytes) -> Event | Refused:
    try:
        return _one.decode(body)
    except _REFUSED as error:
        return Refused(_session_of(body), _refused(error, body))


def _split_list(body: bytes) -> list[bytes]:
    refused: Exception = msgspec.DecodeError("JSON is malformed")
    if body.count(b",") < MOST_EVENTS:  # else the fast decoder might make millions of members
        try:
            return [bytes(member) for member in _raw_many.decode(body)]
        except _REFUSED as error:
            refused = error
    members = not_finite.split(body, MOST_EVENTS)
    if members is None:
        raise _refused(refused, b"")
    return members


class _OnlySession(msgspec.Struct):
    session: str = ""


_only_session = msgspec.json.Decoder(_OnlySession)


def _session_of(line: bytes) -> str:
    """Return the session that a refused line names, or ""."""
    try:
        name = _only_session.decode(line).session
    except _REFUSED:
        name = not_finite.session(line)
    return "" if name and check_session(name) else name


_SLOW_BYTES = 65_536
"""Bytes of an event above which an error does not name the number that is not finite: to find it
takes a second for 4 MB, for which all others would have to wait."""

_LIST = re.compile(rb"[ \t\r\n]*\[")


class _OnlySeq(msgspec.Struct):
    seq: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)] | None = None


_only_seq = msgspec.json.Decoder(_OnlySeq)


def _seq_of(member: bytes) -> int | None:
    try:
        return _only_seq.decode(member).seq
    except _REFUSED:
        return not_finite.seq(member)


_AT = re.compile(r" - at `\$(?:\.(\w+))?")
_NAMED = re.compile(r"(unknown|missing required) field `(.*?)`", re.DOTALL)


def _refused(error: Exception, body: bytes) -> InputError:
    """Word what a decoder refused, naming the member."""
    if isinstance(error.__cause__, InputError):
        return error.__cause__
    number = not_finite.find(body) if len(body) <= _SLOW_BYTES else None
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
    "time": TIME_HINT,
    "session": "a string",
    "start": "true or false",
    "end": "true or false",
    "event": "an object of the model's fields",
}


def _missing(member: str, hint: str) -> InputError:
    return InputError("missing_member", "it is missing", field=member, hint=hint)
