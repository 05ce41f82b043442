"""The loads of a run, one step each; what cannot run is named and left out."""

from __future__ import annotations

import contextlib
import http.client
import statistics
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

import msgspec

from tidegate.bench import machine
from tidegate.bench.results import Machine
from tidegate.bench.serving import arrow, generator, install, model, scrape, systems
from tidegate.bench.serving.results import (
    Memory,
    Missing,
    Mode,
    Row,
    ServeResults,
    ServeSettings,
    Start,
    Sync,
    Transport,
)
from tidegate.bench.serving.systems import Running, System
from tidegate.errors import InputError, TidegateError

__all__ = ["GROUPS", "QUICK", "STANDARD", "Bench", "Step"]

GROUPS = ("echo", "http", "websocket", "ndjson", "arrow", "lone", "start", "memory")
"""What can be asked for."""

STANDARD = ServeSettings(seconds=10.0, bulk_seconds=60.0, sessions=1_000_000)
QUICK = ServeSettings(seconds=2.0, bulk_seconds=4.0, sessions=50_000)

_CONNECTIONS = 64
_SWEEP = (1, 8, 256)
_SESSIONS = 10_000
_BULK_CONNECTIONS = 4
_BULK_EVENTS = 2000
_WARMUP = 1.0
_OPEN_SHARE = 0.8
_LONE_RATE = 100
_STARTS = 5
_SAMPLE_SECONDS = 2.0
_AGREEMENT_EVENTS = 5
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Step:
    """Something that takes a while: its name, the system it is of, and what does it."""

    name: str
    system: str
    run: Callable[[], None]


class Bench:
    """A run: its servers' folder, the generator, and what was found so far.

    Parameters
    ----------
    settings : ServeSettings
        How long, and how much.
    benchmarks : Path
        Folder ``benchmarks`` of a checkout.
    folder : Path
        For what is built and kept (the generator, the peers' venv) and for the stores, which go at
        the end: its disk is the one that is measured.

    Raises
    ------
    InputError
        There are no sources, or no compiler; see `tidegate.bench.serving.generator.build`.
    """

    def __init__(self, settings: ServeSettings, benchmarks: Path, folder: Path) -> None:
        self.settings = settings
        self._benchmarks, self._kept = benchmarks.resolve(), folder.resolve()
        self._generator = generator.build(self._benchmarks / "load", self._kept)
        self._opened = ExitStack()
        self._rows: list[Row] = []
        self._starts: list[Start] = []
        self._memory: list[Memory] = []
        self._sync: Sync | None = None
        self._missing: list[Missing] = []
        self._versions: dict[str, str] = {}
        self._reference: list[float] = []

    def __enter__(self) -> Bench:
        folder = self._opened.enter_context(TemporaryDirectory(prefix="run-", dir=self._kept))
        self._folder = Path(folder)
        self._bundle, self._weights = self._folder / model.NAME, self._folder / "weights.npz"
        model.save_weights(self._weights, model.save(self._bundle))
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def steps(self, only: Sequence[str] = (), *, peers: bool = True) -> list[Step]:
        """List what a run does.

        Parameters
        ----------
        only : sequence of str
            Some of `GROUPS`; empty: all.
        peers : bool
            Whether the peers run beside tidegate.

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
        ours = systems.tidegate(self._bundle)
        others = (
            self._peers() if peers and {*(only or GROUPS)} & {"http", "start", "memory"} else []
        )
        by_group: dict[str, list[Step]] = {
            "echo": [
                self._step("what the generator can do", system, self._echo)
                for system in (
                    systems.c_echo(self._generator.path),
                    systems.granian_echo(self._benchmarks / "peers"),
                )
            ],
            "http": [self._step("HTTP", each, self._http) for each in (ours, *others)],
            "websocket": [self._step("WebSocket", ours, self._websocket)],
            "ndjson": [self._step("NDJSON, recovery", ours, self._ndjson)],
            "arrow": [
                self._step("Arrow", systems.tidegate(self._bundle, durable=durable), self._arrow)
                for durable in (True, False)
            ],
            "lone": [self._step("a lone event", ours, self._lone)],
            "start": [self._step("start", each, self._start) for each in (ours, *others)],
            "memory": [self._step("memory", each, self._fill) for each in (ours, *others)],
        }
        return [step for group in GROUPS if group in (only or GROUPS) for step in by_group[group]]

    def results(self) -> ServeResults:
        """Return what was found so far."""
        facts = machine.describe(("numpy", "granian"))
        return ServeResults(
            machine=self._with_versions(facts),
            settings=self.settings,
            rows=self._rows,
            starts=self._starts,
            memory=self._memory,
            sync=self._sync,
            missing=self._missing,
        )

    # ---- servers ----

    def _step(self, name: str, system: System, run: Callable[[System], None]) -> Step:
        """Make a step; a server that fails is missing, and the run goes on."""

        def guarded() -> None:
            try:
                run(system)
            except (TidegateError, OSError, http.client.HTTPException) as error:
                self._missing.append(Missing(f"{system.name}: {name}", str(error)))
            except ImportError as error:
                self._missing.append(Missing(f"{system.name}: {name}", f"{error.name} is missing"))

        return Step(f"{name}: {system.name}", system.name, guarded)

    def _peers(self) -> list[System]:
        """Install the peers; those that cannot be are missing."""
        code = self._benchmarks / "peers"
        requirements = code / "requirements.txt"
        try:
            python = install.install(requirements, self._kept / "peers")
        except (TidegateError, OSError) as error:
            self._missing.append(Missing("FastAPI, LitServe", str(error)))
            return []
        found = systems.peers(python, code, self._weights)
        try:
            install.install_redis()
        except TidegateError as error:
            self._missing.append(Missing("Redis", str(error)))
            found = [system for system in found if system.redis is None]
        else:
            self._versions["redis-server"] = install.redis_version()
        versions = install.pinned(requirements)
        for system in found:
            self._versions |= {name: versions[name] for name in system.packages}
        return found

    def _with_versions(self, facts: Machine) -> Machine:
        return msgspec.structs.replace(facts, versions={**facts.versions, **self._versions})

    @contextmanager
    def _serving(self, system: System, folder: Path | None = None) -> Iterator[Running]:
        """Start a server over a folder of its own, and wait until it takes events."""
        folder = folder or self._new_folder()
        with systems.running(system, folder) as running:
            running.wait()
            yield running

    def _new_folder(self) -> Path:
        return Path(mkdtemp(dir=self._folder))

    # ---- loads ----

    def _load(
        self,
        running: Running,
        transport: Transport,
        mode: Mode,
        *,
        seconds: float | None = None,
        connections: int = _CONNECTIONS,
        events: int = 1,
        sessions: int = _SESSIONS,
        rate: float = 0.0,
        **options: Any,
    ) -> Row:
        """Load a server, and keep the row."""
        system = running.system
        seconds = self.settings.seconds if seconds is None else seconds
        if system.path is not None:
            options["path"] = system.path
        with _sampled(running) as metrics:
            seen = self._generator.load(
                transport,
                running.port,
                model=model.NAME,
                seconds=seconds,
                watch=running.pids(),
                connections=connections,
                events=events,
                sessions=sessions,
                rate=rate,
                warmup=min(_WARMUP, seconds / 2),
                **options,
            )
        row = Row(
            system=system.name,
            transport=transport,
            mode=mode,
            durable=system.durable,
            sessions=sessions,
            connections=connections,
            events_a_request=events,
            rate=round(rate, 1),
            seconds=seconds,
            events_per_s=seen.events_per_s,
            p50_ms=seen.p50_ms,
            p99_ms=seen.p99_ms,
            p999_ms=seen.p999_ms,
            max_ms=seen.max_ms,
            slowest_second=min(seen.by_second, default=0),
            server_cpu_s=seen.server_cpu_s,
            generator_cpu_s=seen.cpu_s,
            rss_mb=seen.rss_mb,
            bytes_sent=seen.bytes_sent,
            bytes_received=seen.bytes_received,
            errors=seen.errors,
            first_error=seen.first_error,
            metrics=metrics,
        )
        self._rows.append(row)
        return row

    def _echo(self, system: System) -> None:
        with self._serving(system) as running:
            self._load(running, "http", "single")
            self._load(running, "websocket", "single")
            self._load(running, "websocket", "stream", events=16)
            bulk: dict[str, Any] = {"connections": _BULK_CONNECTIONS, "events": _BULK_EVENTS}
            self._load(running, "ndjson", "bulk", **bulk)
            self._load(running, "arrow", "bulk", template=self._template(), **bulk)

    def _http(self, system: System) -> None:
        """Load over HTTP: closed, then open at a share of what that gave, then other numbers."""
        with self._serving(system) as running:
            self._check_agreement(running)
            closed = self._load(running, "http", "single", prefix="a")
            rate = _OPEN_SHARE * closed.events_per_s
            if rate:
                self._load(running, "http", "single", rate=rate, prefix="b")
            for place, connections in enumerate(_SWEEP):
                self._load(
                    running,
                    "http",
                    "single",
                    seconds=self.settings.seconds / 2,
                    connections=connections,
                    prefix="cde"[place],
                )

    def _websocket(self, system: System) -> None:
        with self._serving(system) as running:
            self._load(running, "websocket", "single", prefix="a")
            self._load(running, "websocket", "stream", events=16, prefix="b")

    def _ndjson(self, system: System) -> None:
        """Load in bulk over many sessions, then kill the server and start it on what it left."""
        folder, sessions = self._new_folder(), self.settings.sessions
        bulk: dict[str, Any] = {"connections": _BULK_CONNECTIONS, "sessions": sessions}
        with self._serving(system, folder) as running:
            self._load(
                running,
                "ndjson",
                "bulk",
                events=_BULK_EVENTS,
                seconds=self.settings.bulk_seconds,
                fill=True,
                prefix="a",
                **bulk,
            )
            running.process.kill()
        with systems.running(system, folder) as running:
            self._keep_start(running, sessions)
            # The same lines, but each request goes on: chunks out, chunks of answers in.
            self._load(
                running, "ndjson", "stream", events=_BULK_EVENTS // 4, depth=4, stream=True,
                prefix="b", **bulk,
            )  # fmt: skip

    def _arrow(self, system: System) -> None:
        with self._serving(system) as running:
            self._load(
                running,
                "arrow",
                "bulk",
                connections=_BULK_CONNECTIONS,
                sessions=self.settings.sessions,
                events=_BULK_EVENTS,
                seconds=self.settings.bulk_seconds,
                template=self._template(),
                fill=True,
            )

    def _template(self) -> Path:
        path = self._folder / "template.arrow"
        if not path.is_file():
            arrow.write_template(path, _BULK_EVENTS)
        return path

    def _lone(self, system: System) -> None:
        """Send events one at a time to an idle server; the disk's own time before and after."""
        probe = self._folder / "sync"
        before = self._generator.sync(probe, self.settings.seconds / 2)
        with self._serving(system) as running:
            self._load(running, "http", "single", connections=1, rate=_LONE_RATE)
        after = self._generator.sync(probe, self.settings.seconds / 2)
        p50, p99 = (statistics.mean(pair) for pair in zip(before, after, strict=True))
        self._sync = Sync(round(p50, 4), round(p99, 4))

    def _start(self, system: System) -> None:
        """Start a server again and again, each time without sessions; keep the median."""
        found = []
        for _ in range(_STARTS):
            with systems.running(system, self._new_folder()) as running:
                found.append(self._started(running, 0))
        self._starts.append(sorted(found, key=lambda start: start.answer_ms)[_STARTS // 2])

    def _keep_start(self, running: Running, sessions: int) -> None:
        self._starts.append(self._started(running, sessions))

    def _started(self, running: Running, sessions: int) -> Start:
        answered, ready = (round(seconds * 1e3, 1) for seconds in running.wait())
        return Start(running.system.name, sessions, answered, ready, round(_rss_mb(running), 1))

    def _fill(self, system: System) -> None:
        """Give more and more sessions an event, and look at the memory each time."""
        ours = system.code is None
        sizes = [1_000, 10_000, 100_000, 1_000_000] if ours else [1_000, 10_000]
        with self._serving(system) as running:
            self._memory.append(Memory(system.name, 0, round(_rss_mb(running), 1)))
            before = 0
            for place, size in enumerate(size for size in sizes if size <= self.settings.sessions):
                options: dict[str, Any] = {"connections": _CONNECTIONS}
                if ours:
                    options = {"connections": _BULK_CONNECTIONS, "events": 200}
                if system.path is not None:
                    options["path"] = system.path
                seen = self._generator.load(
                    "ndjson" if ours else "http",
                    running.port,
                    model=model.NAME,
                    seconds=0.01,
                    sessions=size - before,
                    prefix="abcd"[place],
                    watch=running.pids(),
                    fill=True,
                    **options,
                )
                if seen.errors:
                    raise TidegateError("load_failed", seen.first_error)
                self._memory.append(Memory(system.name, size, round(seen.rss_mb, 1)))
                before = size

    def _check_agreement(self, running: Running) -> None:
        """Refuse a server that computes something else: only equal work is compared."""
        found = []
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
        with contextlib.closing(connection):
            for seq in range(1, _AGREEMENT_EVENTS + 1):
                path, method, body = running.probe("agreement", seq)
                connection.request(method, path, body, {"content-type": "application/json"})
                response = connection.getresponse()
                content = response.read()
                if response.status != 200:
                    raise TidegateError("load_failed", f"{response.status}: {content[:300]!r}")
                found.append(float(msgspec.json.decode(content)["answer"]["value"]))
        self._reference = self._reference or found
        pairs = zip(found, self._reference, strict=True)
        far = max(abs(value - wanted) for value, wanted in pairs)
        if not far <= _TOLERANCE:
            raise TidegateError(
                "contestants_differ",
                f"{running.system.name!r} is {far:.2g} from the first server's answers",
                hint="it was not timed: only equal results are worth a comparison",
            )


@contextmanager
def _sampled(running: Running) -> Iterator[dict[str, float]]:
    """Give a dict that holds, at the end, what tidegate's metrics say of the time between.

    Of the store's bytes there is the largest seen too.
    """
    found: dict[str, float] = {}
    if not running.system.name.startswith("tidegate"):
        yield found
        return
    ended, largest = threading.Event(), [0.0]

    def look() -> None:
        while not ended.wait(_SAMPLE_SECONDS):
            with contextlib.suppress(OSError, http.client.HTTPException):
                size = scrape.read(running.port).get("tidegate_store_bytes", 0.0)
                largest[0] = max(largest[0], size)

    before = scrape.read(running.port)
    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield found
    finally:
        ended.set()
        looking.join()
    found.update(scrape.between(before, scrape.read(running.port)))
    if "tidegate_store_bytes" in found:
        found["largest_store_bytes"] = max(largest[0], found["tidegate_store_bytes"])


def _rss_mb(running: Running) -> float:
    """Return the resident memory of a server's processes in 1e6 bytes."""
    total = 0
    for pid in running.pids():
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1])
    return total * 1024 / 1e6
