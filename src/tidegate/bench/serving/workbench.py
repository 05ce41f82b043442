"""A workbench: the folder of a run, its generator, and what was found so far."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

import msgspec

from tidegate.bench import machine
from tidegate.bench.serving import arrow, generator, model, scrape, systems
from tidegate.bench.serving.results import (
    Memory,
    Missing,
    Mode,
    Row,
    ServeResults,
    ServeSettings,
    Stall,
    Start,
    Sync,
    Transport,
)
from tidegate.bench.serving.systems import Running, System
from tidegate.errors import TidegateError

__all__ = ["CONNECTIONS", "Workbench"]

CONNECTIONS = 64
"""Unless a load says otherwise."""

_SESSIONS = 10_000
_WARMUP = 1.0
_SAMPLE_SECONDS = 2.0
_AGREEMENT_EVENTS = 5
_TOLERANCE = 1e-4


class Workbench:
    """Starts servers, loads them, and keeps what was seen.

    Parameters
    ----------
    settings : ServeSettings
        How long, and how much.
    benchmarks : Path
        Folder ``benchmarks`` of a checkout.
    kept : Path
        For what is built and kept (the generator, the peers' venv) and for the stores, which go at
        the end: its disk is the one that is measured.

    Attributes
    ----------
    rows, starts, memory, stalls, missing : list
        Of the results.
    sync : Sync or None
        Of the disk.
    versions : dict of str to str
        Of what ran beside tidegate.

    Raises
    ------
    InputError
        There are no sources, or no compiler; see `tidegate.bench.serving.generator.build`.
    """

    def __init__(self, settings: ServeSettings, benchmarks: Path, kept: Path) -> None:
        self.settings = settings
        self.benchmarks, self.kept = benchmarks.resolve(), kept.resolve()
        self.generator = generator.build(self.benchmarks / "load", self.kept)
        self.rows: list[Row] = []
        self.starts: list[Start] = []
        self.memory: list[Memory] = []
        self.stalls: list[Stall] = []
        self.sync: Sync | None = None
        self.missing: list[Missing] = []
        self.versions: dict[str, str] = {}
        self._reference: list[float] = []
        self._opened = ExitStack()

    def __enter__(self) -> Workbench:
        folder = self._opened.enter_context(TemporaryDirectory(prefix="run-", dir=self.kept))
        self.folder = Path(folder)
        self.bundle, self.weights = self.folder / model.NAME, self.folder / "weights.npz"
        model.save_weights(self.weights, model.save(self.bundle))
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def results(self) -> ServeResults:
        """Return what was found so far."""
        facts = machine.describe(("numpy", "granian"))
        return ServeResults(
            machine=msgspec.structs.replace(facts, versions={**facts.versions, **self.versions}),
            settings=self.settings,
            rows=self.rows,
            starts=self.starts,
            memory=self.memory,
            sync=self.sync,
            missing=self.missing,
            stalls=self.stalls,
        )

    @contextmanager
    def serving(self, system: System, folder: Path | None = None) -> Iterator[Running]:
        """Start a server over a folder of its own, and wait until it takes events."""
        folder = folder or self.new_folder()
        with systems.running(system, folder) as running:
            running.wait()
            yield running

    def new_folder(self) -> Path:
        """Make a folder for a server's log and its data."""
        return Path(mkdtemp(dir=self.folder))

    def template(self, rows: int) -> Path:
        """Return the file of `tidegate.bench.serving.arrow.write_template`."""
        path = self.folder / f"template-{rows}.arrow"
        if not path.is_file():
            arrow.write_template(path, rows)
        return path

    def load(
        self,
        running: Running,
        transport: Transport,
        mode: Mode,
        *,
        seconds: float | None = None,
        connections: int = CONNECTIONS,
        events: int = 1,
        sessions: int = _SESSIONS,
        rate: float = 0.0,
        keep: bool = True,
        **options: Any,
    ) -> Row:
        """Load a server.

        Parameters
        ----------
        running : Running
            The server.
        transport, mode
            Of the row.
        seconds : float, optional
            To be measured; by default as the settings say.
        connections, events, sessions : int
            Of the load; `events` a request.
        rate : float
            Requests a second that arrive; 0: closed loop.
        keep : bool
            Whether the row belongs to the results.
        **options
            Others of the generator.
        """
        system = running.system
        seconds = self.settings.seconds if seconds is None else seconds
        if system.path is not None:
            options["path"] = system.path
        stolen = machine.stolen_seconds()
        with _sampled(running) as metrics:
            seen = self.generator.load(
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
            stolen_s=round(machine.stolen_seconds() - stolen, 2),
            metrics=metrics,
        )
        if keep:
            self.rows.append(row)
        return row

    def check_agreement(self, running: Running) -> None:
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
