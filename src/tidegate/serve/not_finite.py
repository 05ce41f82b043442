"""JSON with NaN, infinities and numbers that are too large: whose they are. No I/O.

JSON has no NaN, and the fast decoder says of one only at which byte it stands. So what it refuses
is read once more, slowly, by a parser that takes such numbers and keeps their text.
"""

from __future__ import annotations

import json
import math
from typing import Any

from tidegate.errors import InputError
from tidegate.schema import faults

__all__ = ["find", "seq", "session", "split"]

_WRONG = (ValueError, RecursionError)
"""What the slow parser raises: wrong JSON, wrong UTF-8, endless integers, too deep nesting."""


class _NotFinite:
    """Stands for a number that is not finite, and shows as it was sent."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _number(text: str) -> float | _NotFinite:
    number = float(text)
    return number if math.isfinite(number) else _NotFinite(text)


_decoder = json.JSONDecoder(parse_constant=_NotFinite, parse_float=_number)
_quick = json.JSONDecoder(parse_constant=float)
"""For what needs none of the numbers; calls nothing that is written in Python."""

_SPACE = " \t\r\n"


def find(body: bytes) -> InputError | None:
    """Return the error of the first number of an event that is not finite, if there is one.

    Parameters
    ----------
    body : bytes
        One event, as JSON.

    Examples
    --------
    >>> str(find(b'{"event": {"speed": NaN}}'))
    'speed: NaN is not a finite number (not_finite); send a number within +-1.8e308, or null \
where it is missing'
    >>> find(b'{"event": {"speed": 1.5}}') is None, find(b'{"event": NaN') is None
    (True, True)
    """
    read = _read(body)
    if not isinstance(read, dict):
        return None
    event = read.get("event")
    members = [*event.items()] if isinstance(event, dict) else []
    for name, value in (*members, *read.items()):
        number = _first(value)
        if number is not None:
            # Half of a surrogate pair could not be written into an answer.
            return faults.not_finite(name.encode(errors="replace").decode(), number)
    return None


def session(body: bytes) -> str:
    """Return the session that such an event names, or ""."""
    name = _member(body, "session")
    return name if isinstance(name, str) else ""


def seq(body: bytes) -> int | None:
    """Return the number that such an event has, if it has one."""
    number = _member(body, "seq")
    return number if type(number) is int and 0 < number < 2**63 else None


def _member(body: bytes, name: str) -> object:
    try:
        read = _quick.decode(body.decode())
    except _WRONG:
        return None
    return read.get(name) if isinstance(read, dict) else None


def split(body: bytes, most: int) -> list[bytes] | None:
    r"""Return the members of a list, each as its JSON; None if the list is none.

    Parameters
    ----------
    body : bytes
        The list, as JSON.
    most : int
        If there are more members, one more than so many are returned.

    Examples
    --------
    >>> split(b'[{"a": NaN}, 2\n]', 9)
    [b'{"a": NaN}', b'2']
    >>> split(b"[1, 2", 9) is None, split(b"[1, 2, 3]", 1)
    (True, [b'1', b'2'])
    """
    members = []
    try:
        text = body.decode()
        begin = _skip_space(text, text.index("[") + 1)
        while True:
            _, end = _quick.raw_decode(text, begin)
            members.append(text[begin:end].encode())
            if len(members) > most:
                return members
            end = _skip_space(text, end)
            if text[end : end + 1] != ",":
                break
            begin = _skip_space(text, end + 1)
    except _WRONG:
        return None
    return members if text[end:].strip(_SPACE) == "]" else None


def _skip_space(text: str, at: int) -> int:
    while text[at : at + 1] and text[at] in _SPACE:
        at += 1
    return at


def _read(body: bytes) -> Any:
    try:
        return _decoder.decode(body.decode())
    except _WRONG:
        return None


def _first(value: object) -> _NotFinite | None:
    """Return the first number in a value, however deep, that is not finite."""
    pending = [value]
    while pending:
        value = pending.pop()
        if isinstance(value, _NotFinite):
            return value
        if isinstance(value, dict):
            pending += reversed(value.values())
        elif isinstance(value, list):
            pending += reversed(value)
    return None
