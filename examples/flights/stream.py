"""The stream: a real server, concurrent clients, and a kill now and then."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import polars as pl
from client import Address, Client, Journal, Outgoing

__all__ = ["Kill", "Server", "Streamed", "shares", "stream"]


class Server:
    """``tidegate serve`` in a process of its own.

    Parameters
    ----------
    bundle, store : Path
        What to serve, and where its sessions live.
    log : Path
        Takes what the server writes on standard error.
    """

    def __init__(self, bundle: Path, store: Path, log: Path) -> None:
        self._command = [
            *(sys.executable, "-m", "tidegate", "serve", str(bundle)),
            *("--store", str(store), "--port", "0"),
        ]
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> str:
        """Start it; return its URL once it takes events."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # a Ctrl-C is for us: we stop the server
            )
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            status = await self._process.wait()
            raise RuntimeError(f"the server ended with status {status}: see {self._log}")
        return str(json.loads(line)["url"])

    def freeze(self) -> None:
        """Stop it in the middle of whatever it does; on return no thread of it runs."""
        process = self._running()
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def thaw(self) -> None:
        """Let it go on."""
        self._running().send_signal(signal.SIGCONT)

    async def kill(self) -> int:
        """Kill it with SIGKILL, see that it is gone and return the process id it had."""
        process = self._running()
        process.kill()
        status = await process.wait()
        self._process = None
        if status != -signal.SIGKILL or _exists(process.pid):
            raise RuntimeError(f"process {process.pid} was to be killed, and is not: {status}")
        return process.pid

    async def stop(self) -> int:
        """Ask it to finish what it has and end; return its exit status."""
        process = self._running()
        process.send_signal(signal.SIGTERM)
        status = await process.wait()
        self._process = None
        return status

    async def close(self) -> None:
        """End it, however it is."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError("the server does not run")
        return self._process


@dataclass(frozen=True)
class Kill:
    """A kill -9 of the server.

    Parameters
    ----------
    pid : int
        The process that is gone.
    after_events : int
        How many events had been answered.
    in_flight : int
        Requests that were on their way, and whose answer never came.
    at, back : float
        When it was killed, and when the first answer came after that (`time.perf_counter`).
    """

    pid: int
    after_events: int
    in_flight: int
    at: float
    back: float


@dataclass
class Streamed:
    """What came of a stream.

    `began` and `ended` are readings of `time.perf_counter`, as are the journal's.
    """

    journal: Journal
    began: float
    ended: float = 0.0
    kills: list[Kill] = field(default_factory=list)
    exit_status: int = 0


async def stream(
    server: Server,
    clients: Sequence[Iterator[Outgoing]],
    *,
    kill_after: Sequence[int] = (),
    progress: Callable[[], None] = lambda: None,
) -> Streamed:
    """Send everything, killing the server each time that so many events are answered.

    Parameters
    ----------
    server : Server
        Started here, and stopped at the end.
    clients : sequence of iterators
        What each client sends, in order; a session belongs to one client.
    kill_after : sequence of int
        Ascending counts of answered events, each with some more to come.
    progress : callable
        Called after each event.
    """
    address, journal, kills = Address(), Journal(), list[Kill]()
    try:
        address.found(await server.start())
        done = Streamed(journal, perf_counter())
        async with asyncio.TaskGroup() as group:
            killing = group.create_task(
                _kill_on_the_way(server, address, journal, kill_after, kills)
            )
            walks = [
                group.create_task(Client(address, journal).walk(events, progress))
                for events in clients
            ]
            await asyncio.wait(walks)
            killing.cancel()
        done.ended = perf_counter()
        done.kills = [_with_first_answer(kill, journal) for kill in kills]
        done.exit_status = await server.stop()
    finally:
        await server.close()
    return done


def shares(
    events: pl.DataFrame, model: str, fields: Sequence[str], clients: int
) -> list[Iterator[Outgoing]]:
    """Deal the sessions out to clients; each gets its events in the order of time.

    A client's sessions are interleaved, as they would be at a counter that serves several airlines.
    """
    numbered = events.with_columns(client=pl.col("session").rank("dense") % clients)
    parts = numbered.sort("time", "session", "seq").partition_by("client", include_key=False)
    return [_outgoing(part, model, fields) for part in parts]


def _outgoing(events: pl.DataFrame, model: str, fields: Sequence[str]) -> Iterator[Outgoing]:
    seconds = events["time"].dt.epoch("ms") / 1000
    for session, seq, time, *values in events.select(
        "session", "seq", seconds.alias("seconds"), *fields
    ).iter_rows():
        # A null is left out: to the schema, both are a missing value.
        event: dict[str, Any] = {
            name: value for name, value in zip(fields, values, strict=True) if value is not None
        }
        yield Outgoing.of(model, session, seq, time, event)


async def _kill_on_the_way(
    server: Server, address: Address, journal: Journal, after: Sequence[int], kills: list[Kill]
) -> None:
    """Kill the server under load, again and again, and start it each time on the same store."""
    for count in after:
        await _freeze_under_load(server, address, journal, count)
        at, settled, in_flight = perf_counter(), journal.settled, journal.in_flight
        pid = await server.kill()
        address.found(await server.start())
        kills.append(Kill(pid, settled, in_flight, at, back=perf_counter()))


async def _freeze_under_load(
    server: Server, address: Address, journal: Journal, count: int
) -> None:
    """Stop the server, after so many events, at a moment at which it owes answers.

    Nobody sends from then on, and what it had answered is read: what is left was in flight. So the
    requests that a kill meets are counted, not guessed. On a busy machine a server may have
    answered everything before we come to stop it; then it goes on, and the next request is waited
    for.
    """
    while True:
        await journal.busy_after(count)
        server.freeze()
        address.hold()
        for _ in range(8):  # each lets the event loop read what is there, and clients act on it
            await asyncio.sleep(0)
        if journal.in_flight:
            return
        server.thaw()
        address.release()


def _with_first_answer(kill: Kill, journal: Journal) -> Kill:
    """Set `back` to when the first answer came from the server that was started after a kill."""
    return replace(kill, back=min(r.at for r in journal.received if r.at > kill.back))


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
