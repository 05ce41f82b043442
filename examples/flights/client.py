"""Clients of the event route: one event a request, by explicit `seq`, over kept-alive connections.

A client has a connection and sessions of its own, whose events it sends in the order of time, each
after the answer to the one before. When the connection breaks, it waits until the server is back
and sends the unanswered event again under the same `seq`: the server knows whether it has that one
already. It speaks just enough HTTP/1.1 for that, so that both fit on two cores.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

__all__ = ["Address", "Client", "Journal", "Outgoing", "Received", "ServerGoneError"]

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_RETRY_AFTER = re.compile(rb"\r\nretry-after: *(\d+)\r\n", re.IGNORECASE)


class ServerGoneError(Exception):
    """A connection broke although nobody killed the server."""


class _Answer(msgspec.Struct):
    session: str
    seq: int
    time: float
    model_version: str
    answer: msgspec.Raw
    duplicate: bool = False
    session_reset: bool = False


_decode = msgspec.json.Decoder(_Answer).decode


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An event to send: where it belongs, and the request that carries it."""

    session: str
    seq: int
    time: float
    request: bytes

    @classmethod
    def of(cls, model: str, session: str, seq: int, time: float, event: dict[str, Any]) -> Outgoing:
        """Write the request."""
        body = msgspec.json.encode({"seq": seq, "time": time, "event": event})
        path = f"/v1/models/{model}/sessions/{quote(session, safe='')}/events"
        head = f"POST {path} HTTP/1.1\r\nhost: tidegate\r\ncontent-length: {len(body)}\r\n\r\n"
        return cls(session, seq, time, head.encode() + body)


@dataclass(frozen=True, slots=True)
class Received:
    """An answer: its bytes, and how it came.

    Parameters
    ----------
    session, seq
        The event that it answers.
    answer : bytes
        The task's words, as the server wrote them.
    at, latency : float
        When it came (`time.perf_counter`), and seconds since its request was sent.
    attempts : int
        How often the event was sent.
    duplicate : bool
        Whether the server said that it had this event already.
    """

    session: str
    seq: int
    answer: bytes
    at: float
    latency: float
    attempts: int
    duplicate: bool


@dataclass
class Journal:
    """What all clients received, what went wrong, and what is on its way."""

    received: list[Received] = field(default_factory=list)
    continuity_errors: list[str] = field(default_factory=list)
    settled: int = 0
    """Events answered, or given up."""
    in_flight: int = 0
    """Requests sent, whose answer has not been read."""
    _waiting: tuple[int, asyncio.Future[None]] | None = None

    def busy_after(self, count: int) -> asyncio.Future[None]:
        """Return what is done when so many events are settled and one more request has left."""
        future = asyncio.get_running_loop().create_future()
        self._waiting = (count, future)
        return future

    def sent(self) -> None:
        """Count a request as on its way."""
        self.in_flight += 1
        if self._waiting is not None and self.settled >= self._waiting[0]:
            self._waiting[1].set_result(None)
            self._waiting = None


class Address:
    """Where the server is; knows when it is nowhere.

    Attributes
    ----------
    life : int
        How often it was started; a connection belongs to one life.
    """

    def __init__(self) -> None:
        self.life = 0
        self._up = asyncio.Event()
        self._host, self._port = "", 0

    def found(self, url: str) -> None:
        """Say that the server takes events at a URL."""
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self.life += 1
        self._up.set()

    def hold(self) -> None:
        """Let nobody send: the server is stopped, or gone, and that is known."""
        self._up.clear()

    def release(self) -> None:
        """Let everybody send again: the server goes on as it was."""
        self._up.set()

    @property
    def is_up(self) -> bool:
        """Whether the server is thought to be there."""
        return self._up.is_set()

    async def wait(self) -> int:
        """Wait until the server is there; return the life it is in."""
        await self._up.wait()
        return self.life

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the server as it is now."""
        return await asyncio.open_connection(self._host, self._port)


class Client:
    """One connection that walks its sessions' events.

    Parameters
    ----------
    address : Address
        Shared by all clients.
    journal : Journal
        Shared by all clients; takes every answer.
    """

    def __init__(self, address: Address, journal: Journal) -> None:
        self._address = address
        self._journal = journal
        self._life = 0
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter | None = None

    async def walk(self, events: Iterable[Outgoing], progress: Callable[[], None]) -> None:
        """Send events one by one; a session that goes wrong is noted and left."""
        broken: set[str] = set()
        try:
            for event in events:
                if event.session not in broken and not await self._deliver(event):
                    broken.add(event.session)
                self._journal.settled += 1
                progress()
        finally:
            if self._writer is not None:
                self._writer.close()

    async def _deliver(self, event: Outgoing) -> bool:
        """Send an event until it is answered; return whether the answer is the one due."""
        attempts = 0
        while True:
            attempts += 1
            status, head, body, latency = await self._exchange(event)
            if status == 503:
                # The server says when; nothing was applied.
                wanted = _RETRY_AFTER.search(head)
                await asyncio.sleep(int(wanted[1]) if wanted else 1)
            elif status:
                break
        wrong = f"status {status}: {body[:300]!r}" if status != 200 else None
        if wrong is None:
            answer = _decode(body)
            wrong = _discontinuity(event, answer, attempts)
        if wrong is not None:
            self._journal.continuity_errors.append(f"{event.session} seq {event.seq}: {wrong}")
            return False
        self._journal.received.append(
            Received(
                session=event.session,
                seq=event.seq,
                answer=bytes(answer.answer),
                at=perf_counter(),
                latency=latency,
                attempts=attempts,
                duplicate=answer.duplicate,
            )
        )
        return True

    async def _exchange(self, event: Outgoing) -> tuple[int, bytes, bytes, float]:
        """Send a request and read the response; status 0 if the server died meanwhile."""
        sent = False
        try:
            # No await comes between: what is written here goes to a server that is up.
            writer = await self._connected()
            writer.write(event.request)
            sent, began = True, perf_counter()
            self._journal.sent()
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            body = await self._reader.readexactly(int(length[1]) if length else 0)
        except (OSError, asyncio.IncompleteReadError) as error:
            if self._address.is_up and self._address.life == self._life:
                raise ServerGoneError(f"{event.session} seq {event.seq}: {error!r}") from error
            if self._writer is not None:
                self._writer.close()
            self._writer = None
            return 0, b"", b"", 0.0
        finally:
            self._journal.in_flight -= sent
        return int(head[9:12]), head, body, perf_counter() - began

    async def _connected(self) -> asyncio.StreamWriter:
        """Return a connection to the server that lives now."""
        while self._writer is None or not self._address.is_up or self._life != self._address.life:
            if self._writer is not None:
                self._writer.close()
            self._life = await self._address.wait()
            self._reader, self._writer = await self._address.connect()
        return self._writer


def _discontinuity(event: Outgoing, answer: _Answer, attempts: int) -> str | None:
    """Return what shows that the session did not simply go on, if anything does."""
    if (answer.session, answer.seq) != (event.session, event.seq):
        return f"the answer is of {answer.session} seq {answer.seq}"
    if answer.time != event.time:
        return f"the answer has time {answer.time}, the event {event.time}"
    if answer.session_reset:
        return "the session was begun anew"
    if answer.duplicate and attempts == 1:
        return "sent once, and called a duplicate"
    return None
