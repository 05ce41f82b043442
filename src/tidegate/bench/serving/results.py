"""What a run leaves: a row for each load of each server, and what was measured beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from tidegate.bench.results import Machine, read, save

__all__ = [
    "Memory",
    "Missing",
    "Row",
    "ServeResults",
    "ServeSettings",
    "Stall",
    "Start",
    "Sync",
    "load",
    "save",
]

Transport = Literal["http", "websocket", "ndjson", "arrow"]
Mode = Literal["single", "stream", "bulk"]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One server under one load.

    Parameters
    ----------
    system : str
        Which server; tidegate's have "tidegate" in it.
    transport : {"http", "websocket", "ndjson", "arrow"}
        How events travel.
    mode : {"single", "stream", "bulk"}
        One event a request or frame, several a frame, thousands a request.
    durable : bool
        Whether an answer that has left survives a power cut.
    sessions, connections, events_a_request : int
        The load. Sessions are drawn uniformly.
    rate : float
        Requests a second that arrive, whatever the server does (a Poisson process; latency counts
        from the arrival). 0: closed loop, a connection sends when it has its answer.
    seconds : float
        Measured.
    events_per_s : float
        Rightly answered in that time.
    p50_ms, p99_ms, p999_ms, max_ms : float
        Of a request, or a frame: from the arrival, or from the moment it was sent, to its answer.
    slowest_second : int
        Fewest events answered in one second.
    server_cpu_s, generator_cpu_s : float
        CPU seconds in that time; the server's with all of its processes (and Redis).
    rss_mb : float
        Resident memory of the server's processes at the end, in 1e6 bytes.
    bytes_sent, bytes_received : int
        By the generator.
    errors : int
        Events without the right answer: another status than 200, an error, another session or seq,
        no answer.
    first_error : str
        The first of them.
    stolen_s : float
        CPU seconds that the host of a virtual machine took from it in that time, warm-up and fill
        included: tails are the host's where there are any.
    metrics : dict of str to float
        tidegate's: what its store and its event loop counted, from ``/metrics``.
    """

    system: str
    transport: Transport
    mode: Mode
    durable: bool
    sessions: int
    connections: int
    events_a_request: int
    rate: float
    seconds: float
    events_per_s: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    slowest_second: int
    server_cpu_s: float
    generator_cpu_s: float
    rss_mb: float
    bytes_sent: int
    bytes_received: int
    errors: int
    first_error: str = ""
    stolen_s: float = 0.0
    metrics: dict[str, float] = msgspec.field(default_factory=dict)

    @property
    def events_per_cpu_s(self) -> float:
        """Events for each CPU second of the server; 0 where its CPU was not seen."""
        events = self.events_per_s * self.seconds
        return events / self.server_cpu_s if self.server_cpu_s else 0.0


class Start(msgspec.Struct, frozen=True):
    """How long a server takes from its process's start.

    Parameters
    ----------
    system : str
        Which server.
    sessions : int
        In its store. With some, it was killed by SIGKILL before.
    answer_ms : float
        Until the first HTTP answer.
    ready_ms : float
        Until it takes events.
    rss_mb : float
        Resident memory then, in 1e6 bytes.
    """

    system: str
    sessions: int
    answer_ms: float
    ready_ms: float
    rss_mb: float


class Memory(msgspec.Struct, frozen=True):
    """Resident memory of a server, in 1e6 bytes, after each of so many sessions had an event."""

    system: str
    sessions: int
    rss_mb: float


class Sync(msgspec.Struct, frozen=True):
    """How long appending 1 kB and its fdatasync take on the disk of the stores.

    Parameters
    ----------
    p50_ms, p99_ms : float
        One after the other.
    rate : float
        How many a second lone events were.
    paced_p50_ms, paced_p99_ms : float
        As many a second: what begins after a rest takes longer, on a virtual machine several times
        as long.
    """

    p50_ms: float
    p99_ms: float
    rate: float
    paced_p50_ms: float
    paced_p99_ms: float


class Stall(msgspec.Struct, frozen=True):
    """How long a thread of our server that wants to run every 0.5 ms has to wait under a load.

    Parameters
    ----------
    system, durable, transport, events_per_s
        As in a `Row`.
    p99_ms, most_ms : float
        Of the waits, beyond the 0.5 ms: bounds that hold 99 % and all of them.
    """

    system: str
    durable: bool
    transport: Transport
    events_per_s: float
    p99_ms: float
    most_ms: float


class Missing(msgspec.Struct, frozen=True):
    """What did not run, and why."""

    system: str
    why: str


class ServeSettings(msgspec.Struct, frozen=True):
    """How a run measured.

    Parameters
    ----------
    seconds : float
        Of each load.
    bulk_seconds : float
        Of the bulk loads.
    sessions : int
        Live sessions under bulk loads.
    """

    seconds: float
    bulk_seconds: float
    sessions: int


class ServeResults(msgspec.Struct, frozen=True, tag_field="bench", tag="serve"):
    """A whole run."""

    machine: Machine
    settings: ServeSettings
    rows: list[Row]
    starts: list[Start]
    memory: list[Memory]
    sync: Sync | None
    missing: list[Missing]
    stalls: list[Stall] = msgspec.field(default_factory=list)


def load(path: Path) -> ServeResults:
    """Read results that `save` wrote.

    Raises
    ------
    InputError
        ``bad_results``: the file is missing or is not one of these.
    """
    return read(path, ServeResults, "serve")
