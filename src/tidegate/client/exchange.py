"""What the client wants of the network, without any network: requests, pauses, and retries.

What the client does is written once, as generators that yield a `Request` or a `Pause` and are sent
what became of it. `Client` and `AsyncClient` only carry it out.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Generator, Mapping
from typing import TypeVar

import msgspec

from tidegate.client.answers import error_of, parse_error
from tidegate.errors import OverloadError, TidegateError

__all__ = [
    "Exchange",
    "Lost",
    "Pause",
    "Reply",
    "Request",
    "Retries",
    "UnansweredError",
    "expect",
    "line_error",
    "persist",
]


class Request(msgspec.Struct, frozen=True):
    """A request to be made."""

    method: str
    path: str
    body: bytes | None = None
    content_type: str = "application/json"

    @property
    def changes(self) -> bool:
        """Whether it can change anything."""
        return self.method != "GET"


class Pause(msgspec.Struct, frozen=True):
    """A time to wait."""

    seconds: float


class Reply(msgspec.Struct, frozen=True):
    """A whole answer. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Lost(msgspec.Struct, frozen=True):
    """No answer: the connection failed, or it took too long.

    Parameters
    ----------
    why : str
        What happened.
    sent : bool
        Whether any of the request can have reached the server.
    """

    why: str
    sent: bool


T = TypeVar("T")
Exchange = Generator[Request | Pause, Reply | Lost | None, T]


class UnansweredError(TidegateError):
    """There was no answer in time, and the event may have been applied or not.

    Sending it again with the same number settles it: `Session.retry`.
    """


class Retries(msgspec.Struct, frozen=True):
    """How long, and how often, something is tried.

    Parameters
    ----------
    deadline : float
        Seconds from the first attempt, after which no further one is made.
    first, most : float
        Seconds to wait after the first failure, doubled with each further one, and at most. What is
        really waited is 50 to 100 % of that, so that clients do not come back all at once; where
        the server says how long (Retry-After), it is at least that.
    clock : callable
        Seconds that only go on.
    """

    deadline: float = 60.0
    first: float = 0.05
    most: float = 2.0
    clock: Callable[[], float] = time.monotonic

    def wait(self, failures: int, asked: float) -> float:
        """Return the seconds to wait after so many failures in a row."""
        backoff = min(self.most, self.first * 2.0 ** min(failures - 1, 32))
        return max(asked, 0.0) + backoff * random.uniform(0.5, 1.0)  # noqa: S311 - only jitter


_AGAIN = frozenset({408, 429, 502, 503, 504})
_NOT_APPLIED = frozenset({"overloaded", "draining", "body_timeout"})
_INTERNAL = 500


def persist(
    request: Request,
    retries: Retries,
    what: str,
    unsettled: Callable[[Reply], TidegateError | None] = lambda _: None,
) -> Exchange[Reply]:
    """Make a request, which may be repeated, until there is a definite answer to it.

    Parameters
    ----------
    request : Request
        Doing it twice is the same as doing it once.
    retries : Retries
        For how long.
    what : str
        What is asked for, for an error's message.
    unsettled : callable
        Says of an answer with status 200 which error in it asks for another attempt.

    Returns
    -------
    Reply
        Status 200, or an error that will not change by itself.

    Raises
    ------
    OverloadError
        Nothing was applied: until the deadline the server took no more, or could not be reached
        (``unreachable``).
    UnansweredError
        ``unanswered``: the deadline passed; it may have been applied or not.
    TidegateError
        What was asked for changes nothing, and the server refused it until the deadline.
    """
    began = retries.clock()
    failures, doubtful = 0, False
    while True:
        got = yield request
        assert got is not None
        failures += 1
        asked = 0.0
        if isinstance(got, Lost):
            doubtful = doubtful or got.sent
            cause: TidegateError | None = None
            why = got.why
        else:
            cause = unsettled(got) if got.status < 400 else _passing(got)
            if cause is None:
                return got
            doubtful = doubtful or cause.code not in _NOT_APPLIED
            asked = _retry_after(got)
            why = str(cause)
        wait = retries.wait(failures, asked)
        if retries.clock() - began + wait > retries.deadline:
            raise _given_up(what, failures, why, cause, doubtful=doubtful and request.changes)
        yield Pause(wait)


def _given_up(
    what: str, attempts: int, why: str, cause: TidegateError | None, *, doubtful: bool
) -> TidegateError:
    """Return the error of a request whose deadline has passed."""
    tried = f"no answer to {what} after {attempts} attempts; the last one: {why}"
    if doubtful:
        hint = "it may have been applied or not: repeat it with the same seq"
        return UnansweredError("unanswered", tried, hint=hint)
    if cause is not None:
        return cause
    hint = "nothing was applied; is the server up, and at this address?"
    return OverloadError("unreachable", tried, hint=hint)


def _passing(reply: Reply) -> TidegateError | None:
    """Return the error of an answer that another attempt may not get."""
    if reply.status not in _AGAIN and reply.status != _INTERNAL:
        return None
    error = error_of(reply.status, reply.body)
    return None if error.code == "record_damaged" else error


def _retry_after(reply: Reply) -> float:
    try:
        seconds = float(reply.headers.get("retry-after", "0"))
    except ValueError:  # a date: the backoff will do
        return 0.0
    return seconds if math.isfinite(seconds) else 0.0


def expect(reply: Reply) -> bytes:
    """Return the body of an answer with status 200, or raise its error.

    Raises
    ------
    TidegateError
        The server's error, with its type, code, message, field, expected number and hint.
    """
    if reply.status == 200:
        return reply.body
    raise error_of(reply.status, reply.body)


def line_error(body: bytes) -> TidegateError | None:
    """Return the first error of a body of lines that another attempt may not get."""
    for line in body.splitlines():
        error = parse_error(line)
        if error is not None and (
            error.code in ("store_failed", "internal") or isinstance(error, OverloadError)
        ):
            return error
    return None
