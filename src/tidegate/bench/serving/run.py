"""The steps of a run: which loads each server gets; what cannot run is named and left out."""

from __future__ import annotations

import http.client
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.bench.serving import install, model, systems
from tidegate.bench.serving.results import (
    Memory,
    Missing,
    ServeSettings,
    Stall,
    Start,
    Sync,
)
from tidegate.bench.serving.systems import Running, System
from tidegate.bench.serving.workbench import CONNECTIONS, Workbench
from tidegate.errors import InputError, TidegateError

__all__ = ["GROUPS", "QUICK", "STANDARD", "Step", "steps"]

GROUPS = ("echo", "http", "websocket", "ndjson", "arrow", "lone", "start", "memory", "stall")
"""What can be asked for."""

STANDARD = ServeSettings(seconds=10.0, bulk_seconds=60.0, sessions=1_000_000)
QUICK = ServeSettings(seconds=2.0, bulk_seconds=4.0, sessions=50_000)

_WITH_PEERS = {"http", "start", "memory"}
_OPEN_SHARE = 0.8
_OTHER_CONNECTIONS = (1, 8, 256)
_BULK_EVENTS = 2000
_BULK: dict[str, Any] = {"connections": 4, "events": _BULK_EVENTS}
_TABLE_ROWS = 8000
_TABLES: dict[str, Any] = {"connections": 4, "events": _TABLE_ROWS}
_LONE_RATE = 100
_STARTS = 5
_OUR_SIZES = (1_000, 10_000, 100_000, 1_000_000)
_PEER_SIZES = (1_000, 10_000)

_Load = Callable[[Workbench, System], None]


@dataclass(frozen=True)
class Step:
    """Something that takes a while: its name, and what does it."""

    name: str
    run: Callable[[], None]


def steps(bench: Workbench, only: Sequence[str] = (), *, peers: bool = True) -> list[Step]:
    """List what a run does.

    Parameters
    ----------
    bench : Workbench
        Where it is done.
    only : sequence of str
        Some of `GROUPS`; empty: all.
    peers : bool
        Whether the peers run beside tidegate. They are installed here.

    Raises
    ------
    InputError
        ``unknown_group``.
    """
    for group in only:
        if group not in GROUPS:
            raise InputError(
                "unknown_group",
                f"{group!r} is nothing to run",
                field="--only",
                hint=f"use {', '.join(GROUPS)}",
            )
    ours = systems.tidegate(bench.bundle)
    others = _peers(bench) if peers and _WITH_PEERS & {*(only or GROUPS)} else []
    echoes = [
        systems.c_echo(bench.generator.path),
        systems.granian_echo(bench.benchmarks / "peers"),
    ]
    in_memory = systems.tidegate(bench.bundle, durable=False)
    metered = [
        systems.tidegate(bench.bundle, durable=durable, flags=("--stall-meter",))
        for durable in (True, False)
    ]
    table: dict[str, tuple[str, _Load, list[System]]] = {
        "echo": ("what the generator can do", _echo, echoes),
        "http": ("HTTP", _http, [ours, *others]),
        "websocket": ("WebSocket", _websocket, [ours]),
        "ndjson": ("NDJSON and recovery", _ndjson, [ours]),
        "arrow": ("Arrow", _arrow, [ours, in_memory]),
        "lone": ("a lone event", _lone, [ours]),
        "lone echo": ("a lone request", _lone_echo, echoes[1:]),
        "start": ("start", _start, [ours, *others]),
        "memory": ("memory", _fill, [ours, *others]),
        "stall": ("stalls", _stall, metered),
    }
    return [
        _step(bench, name, load, system)
        for group, (name, load, found) in table.items()
        if group.partition(" ")[0] in (only or GROUPS)
        for system in found
    ]


def _step(bench: Workbench, name: str, load: _Load, system: System) -> Step:
    """Make a step; a server that fails is missing, and the run goes on."""

    def guarded() -> None:
        try:
            load(bench, system)
        except (TidegateError, OSError, http.client.HTTPException) as error:
            bench.missing.append(Missing(f"{system.name}: {name}", str(error)))
        except ImportError as error:
            bench.missing.append(Missing(f"{system.name}: {name}", f"{error.name} is missing"))

    return Step(f"{name}: {system.name}", guarded)


def _peers(bench: Workbench) -> list[System]:
    """Install the peers; those that cannot be are missing."""
    code = bench.benchmarks / "peers"
    requirements = code / "requirements.txt"
    try:
        python = install.install(requirements, bench.kept / "peers")
    except (TidegateError, OSError) as error:
        bench.missing.append(Missing("FastAPI, LitServe", str(error)))
        return []
    found = systems.peers(python, code, bench.weights)
    try:
        install.install_redis()
    except TidegateError as error:
        bench.missing.append(Missing("Redis", str(error)))
        found = [system for system in found if system.redis is None]
    else:
        bench.versions["redis-server"] = install.redis_version()
    versions = install.pinned(requirements)
    for system in found:
        bench.versions |= {name: versions[name] for name in system.packages}
    return found


# ---- loads. Each takes ids of its own: a session that went on would refuse seq 1. ----


def _echo(bench: Workbench, system: System) -> None:
    with bench.serving(system) as running:
        bench.load(running, "http", "single")
        bench.load(running, "websocket", "single")
        bench.load(running, "websocket", "stream", events=16)
        bench.load(running, "ndjson", "bulk", **_BULK)
        bench.load(running, "arrow", "bulk", template=bench.template(_TABLE_ROWS), **_TABLES)


def _http(bench: Workbench, system: System) -> None:
    """Load over HTTP: closed, then open at a share of what that gave, then other connections."""
    with bench.serving(system) as running:
        bench.check_agreement(running)
        closed = bench.load(running, "http", "single", prefix="a")
        if closed.events_per_s:
            rate = _OPEN_SHARE * closed.events_per_s
            bench.load(running, "http", "single", rate=rate, prefix="b")
        half = bench.settings.seconds / 2
        for connections, prefix in zip(_OTHER_CONNECTIONS, "cde", strict=True):
            options: dict[str, Any] = {"connections": connections, "prefix": prefix}
            bench.load(running, "http", "single", seconds=half, **options)


def _websocket(bench: Workbench, system: System) -> None:
    with bench.serving(system) as running:
        bench.load(running, "websocket", "single", prefix="a")
        bench.load(running, "websocket", "stream", events=16, prefix="b")


def _ndjson(bench: Workbench, system: System) -> None:
    """Load in bulk over many sessions, then kill the server and start it on what it left."""
    folder, settings = bench.new_folder(), bench.settings
    bulk = {**_BULK, "sessions": settings.sessions}
    with bench.serving(system, folder) as running:
        seconds = settings.bulk_seconds
        bench.load(running, "ndjson", "bulk", seconds=seconds, fill=True, prefix="a", **bulk)
        running.process.kill()
    with systems.running(system, folder) as running:
        bench.starts.append(_started(running, settings.sessions))
        # Requests that go on: chunks of lines out, chunks of answers in.
        bulk |= {"events": _BULK_EVENTS // 4, "depth": 4}
        bench.load(running, "ndjson", "stream", stream=True, prefix="b", **bulk)


def _arrow(bench: Workbench, system: System) -> None:
    template, settings = bench.template(_TABLE_ROWS), bench.settings
    with bench.serving(system) as running:
        bench.load(
            running,
            "arrow",
            "bulk",
            sessions=settings.sessions,
            seconds=settings.bulk_seconds,
            template=template,
            fill=True,
            **_TABLES,
        )


def _lone(bench: Workbench, system: System) -> None:
    """Send events one at a time to an idle server; the disk's own time before and after."""

    def syncs() -> tuple[float, ...]:
        probe, seconds = bench.folder / "sync", bench.settings.seconds / 4
        sync = bench.generator.sync
        return (*sync(probe, seconds), *sync(probe, seconds, _LONE_RATE))

    before = syncs()
    with bench.serving(system) as running:
        bench.load(running, "http", "single", connections=1, rate=_LONE_RATE)
    means = [statistics.mean(pair) for pair in zip(before, syncs(), strict=True)]
    p50, p99, paced_p50, paced_p99 = (round(mean, 4) for mean in means)
    bench.sync = Sync(p50, p99, _LONE_RATE, paced_p50, paced_p99)


def _lone_echo(bench: Workbench, system: System) -> None:
    """Send as many to a server that does nothing with them."""
    with bench.serving(system) as running:
        bench.load(running, "http", "single", connections=1, rate=_LONE_RATE)


def _start(bench: Workbench, system: System) -> None:
    """Start a server again and again, each time without sessions; keep the median."""
    found = []
    for _ in range(_STARTS):
        with systems.running(system, bench.new_folder()) as running:
            found.append(_started(running, 0))
    bench.starts.append(sorted(found, key=lambda start: start.answer_ms)[_STARTS // 2])


def _started(running: Running, sessions: int) -> Start:
    answered, ready = (round(seconds * 1e3, 1) for seconds in running.wait())
    return Start(running.system.name, sessions, answered, ready, round(running.rss_mb(), 1))


def _fill(bench: Workbench, system: System) -> None:
    """Give more and more sessions an event, and look at the memory each time."""
    ours = system.code is None
    mode, sizes = ("ndjson", _OUR_SIZES) if ours else ("http", _PEER_SIZES)
    options: dict[str, Any] = {**_BULK, "events": 200} if ours else {"connections": CONNECTIONS}
    if system.path is not None:
        options["path"] = system.path
    with bench.serving(system) as running:
        bench.memory.append(Memory(system.name, 0, round(running.rss_mb(), 1)))
        before = 0
        for size, prefix in zip(sizes, "abcd", strict=False):
            if size > bench.settings.sessions:
                break
            seen = bench.generator.load(
                mode,
                running.port,
                model=model.NAME,
                seconds=0.01,
                sessions=size - before,
                fill=True,
                prefix=prefix,
                **options,
            )
            if seen.errors:
                raise TidegateError("load_failed", seen.first_error)
            bench.memory.append(Memory(system.name, size, round(running.rss_mb(), 1)))
            before = size


def _stall(bench: Workbench, system: System) -> None:
    """Look how long others hold the interpreter's lock, one event a request and in bulk."""
    bulk = {**_BULK, "sessions": bench.settings.sessions // 10, "fill": True}
    with bench.serving(system) as running:
        for row in (
            bench.load(running, "http", "single", keep=False, prefix="a"),
            bench.load(running, "ndjson", "bulk", keep=False, prefix="b", **bulk),
        ):
            p99, most = (
                row.metrics[f"tidegate_loop_stall_seconds_{each}"] for each in ("p99", "most")
            )
            of_load = system.name, system.durable, row.transport, row.events_per_s
            bench.stalls.append(Stall(*of_load, round(p99 * 1e3, 3), round(most * 1e3, 3)))
