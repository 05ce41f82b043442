"""From a request's body to its answer: reading it, and stepping what is longer than a batch."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from tidegate.errors import InputError
from tidegate.serve import wire
from tidegate.serve.operations import Event, Result

if TYPE_CHECKING:
    from granian._granian import RSGIHTTPProtocol as HTTPProtocol
    from granian.rsgi import Scope

__all__ = ["Submit", "answer_events", "answer_lines", "read_body"]


class Submit(Protocol):
    """Queues events of one request, at most a batch."""

    def __call__(
        self, events: Sequence[Event], /, *, admitted: bool
    ) -> asyncio.Future[list[Result]]:
        """Return their results to come; see `Batcher.submit`."""


async def read_body(scope: Scope, proto: HTTPProtocol, limit: int) -> bytes:
    """Read a body, or refuse it before a byte of it is read.

    Raises
    ------
    InputError
        ``body_too_large``: more than `limit` bytes. ``length_required``: a chunked body. One that
        is cut short cannot be told from a whole one here, and half a request must not be applied.
    """
    length = scope.headers.get("content-length")
    if "transfer-encoding" in scope.headers:
        raise InputError(
            "length_required",
            "the body comes in chunks of unknown length",
            field="body",
            hint="nothing was applied; send it with a Content-Length",
        )
    if length is not None and int(length) > limit:
        raise InputError(
            "body_too_large",
            f"the body is larger than {limit} bytes",
            field="body",
            hint="nothing was applied; send fewer events a request",
        )
    return await proto()


async def answer_events(events: Sequence[Event], submit: Submit, max_batch: int) -> list[Result]:
    """Step events of one session, a batch at a time, and return a result each."""
    results: list[Result] = []
    for first in range(0, len(events), max_batch):
        results += await submit(events[first : first + max_batch], admitted=first > 0)
    return results


async def answer_lines(body: bytes, received: float, submit: Submit, max_batch: int) -> bytes:
    """Step newline-delimited events of any sessions, and return the lines that answer them.

    One batch is parsed while the one before it is stepped.
    """
    lines = wire.split_lines(body)
    failed: set[str] = set()
    answered: list[bytes] = []
    running: tuple[asyncio.Future[list[Result]], list[int]] | None = None
    for first in range(0, len(lines), max_batch):
        part = lines[first : first + max_batch]
        events = [wire.parse_line(line, received, failed) for _, line in part]
        following = submit(events, admitted=first > 0), [number for number, _ in part]
        if running is not None:
            answered.append(wire.encode_lines(await running[0], running[1]))
        running = following
    if running is not None:
        answered.append(wire.encode_lines(await running[0], running[1]))
    return b"".join(answered)
