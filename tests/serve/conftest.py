"""A processor to talk to, and a real server in a process of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from held import HeldStore

import tidegate
from tidegate import core, record, store
from tidegate.bundle import Bundle
from tidegate.engine import Engine
from tidegate.errors import StoreError
from tidegate.metrics import GateMetrics
from tidegate.record import Record
from tidegate.serve.limits import Limits
from tidegate.serve.operations import Event, Operation, Part, Result
from tidegate.serve.processor import Processor

NOW = 1_700_000_000.0


class Switched:
    """A store that refuses what it is given when it is told to."""

    def __init__(self, inner: store.Store) -> None:
        self.inner = inner
        self.volatile = inner.volatile
        self.broken = False
        self.appended = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def _check(self) -> None:
        if self.broken:
            raise StoreError("store_failed", "no space left on device")

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        self._check()
        return self.inner.get(keys)

    def append(self, group: core.Group) -> int:
        self._check()
        self.appended += 1
        return self.inner.append(group)


class Rig:
    """A processor over a store on disk, with a clock that is set by hand."""

    def __init__(self, bundle: Bundle, limits: Limits, opened: store.Store) -> None:
        self.now = NOW
        self.store = Switched(opened)
        self.limits = limits
        self.metrics = GateMetrics("0", {bundle.name: bundle.version})
        self.start(bundle)

    def start(self, bundle: Bundle) -> None:
        """Begin with empty memory over the same store: what a restart does."""
        self.bundle = bundle
        self.engine = Engine.open(bundle, replay=False)
        self.processor = Processor(
            bundle,
            self.engine,
            self.store,
            self.metrics,
            lambda: self.now,
            self.limits,
        )
        self.table = self.processor.table

    def do(self, *operations: Operation) -> list[Result]:
        """Do the operations of one request, as a server does it: evict when they are durable."""
        return self.parts(Part(list(operations)))

    def parts(self, *parts: Part) -> list[Result]:
        """Do what several requests ask for."""
        done = self.processor.process(parts)
        self.processor.wait(done.ticket)
        self.processor.evict(done.ticket)
        return done.results

    def one(self, operation: Operation) -> Any:
        return self.do(operation)[0]

    def hidden(self, session: str) -> bytes:
        """Return the bytes of a session's hidden state."""
        return self.table.states(session)[1].tobytes()

    def record(self, session: str) -> Record:
        """Return what the store has of a session."""
        [data] = self.store.get([self.key(session)])
        assert data is not None
        return record.decode(data)

    def replace(self, session: str, data: bytes) -> None:
        """Put other bytes into the store in place of a session's record."""
        self.store.commit([(self.key(session), data)])

    def event(self, session: str, speed: Any = 50.0, **members: Any) -> Event:
        fields = {"speed": speed, "load": 3.0, "road": "A1", "wet": True, "driver": "ann"}
        return Event(fields, session, **members)

    def key(self, session: str) -> bytes:
        return store.session_key("default", self.bundle.name, session)

    def kinds(self) -> dict[str, int]:
        return self._counts("tidegate_continuity_errors_total", "kind")

    def outcomes(self) -> dict[str, int]:
        return self._counts("tidegate_events_total", "outcome")

    def _counts(self, name: str, label: str) -> dict[str, int]:
        return {
            sample.labels[label]: int(sample.value)
            for family in self.metrics.registry.collect()
            for sample in family.samples
            if sample.name == name and sample.value
        }


@pytest.fixture
def make_rig(
    make_bundle: Callable[..., Bundle], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Rig]]:
    usual = make_bundle(fingerprint=b"u" * 32)
    made: list[Rig] = []

    # A segment takes its place on the disk when it begins.
    def make(bundle: Bundle | None = None, where: Path | None = None, **limits: Any) -> Rig:
        opened = store.open(where or tmp_path_factory.mktemp("store"), segment_size=1 << 20)
        made.append(Rig(bundle or usual, Limits(**limits), opened))
        return made[-1]

    yield make
    for rig in made:
        rig.store.close()


@pytest.fixture
def held(make_bundle: Callable[..., Bundle]) -> Iterator[Rig]:
    """A rig whose disk is as slow as the test says."""
    opened = HeldStore()
    yield Rig(make_bundle(fingerprint=b"u" * 32), Limits(), opened)
    opened.close()


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    return make_rig()


SERVER = """
import sys
import msgspec
from tidegate.errors import TidegateError
from tidegate.serve import ServeSettings, leave, serve
try:
    serve(sys.argv[1], msgspec.json.decode(sys.argv[2], type=ServeSettings))
except TidegateError as error:
    print(msgspec.json.encode(error.to_dict()).decode())
    sys.exit(3)
leave()
"""


class Server:
    """A server in a process of its own.

    `said` is the first line that it wrote on stdout: that it is ready, or why not.
    """

    def __init__(self, bundle: Path, **settings: Any) -> None:
        environment = {**os.environ, "PYTHONPATH": str(Path(tidegate.__path__[0]).parent)}
        command = [sys.executable, "-W", "error", "-c", SERVER, str(bundle)]
        self.process = subprocess.Popen(
            [*command, json.dumps({"port": 0, "log_level": "warning", **settings})],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
        )
        assert self.process.stdout is not None
        self.said: dict[str, Any] = json.loads(self.process.stdout.readline() or "{}")
        self.port = int(self.said.get("url", ":0").rpartition(":")[2])

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def request(
        self, method: str, path: str, body: bytes | None = None
    ) -> tuple[int, bytes, dict[str, str]]:
        connection = self.connect()
        try:
            # A body that is too large is answered before it is all there.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.read(), dict(response.getheaders())
        finally:
            connection.close()

    def get(self, path: str) -> tuple[int, Any]:
        status, body, _ = self.request("GET", path)
        return status, json.loads(body)

    def post(self, session: str, content: Any) -> tuple[int, Any]:
        """Send an event, a list, or bytes as they are, to a session."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        status, answer, _ = self.request("POST", self.path(session) + "/events", body)
        return status, json.loads(answer)

    def lines(self, body: bytes | list[Any]) -> tuple[int, list[Any]]:
        """Send lines of JSON to the bulk route."""
        if isinstance(body, list):
            body = b"".join(json.dumps(line).encode() + b"\n" for line in body)
        status, answer, _ = self.request("POST", "/v1/models/small/events", body)
        return status, [json.loads(line) for line in answer.splitlines()]

    def path(self, session: str) -> str:
        return f"/v1/models/small/sessions/{quote(session, safe='')}"

    def counter(self, name: str, **labels: str) -> float:
        """Sum the samples of a metric that have these labels."""
        _, body, _ = self.request("GET", "/metrics")
        return sum(
            float(line.rsplit(" ", 1)[1])
            for line in body.decode().splitlines()
            if line.startswith((name + "{", name + " "))
            and all(f'{key}="{value}"' in line for key, value in labels.items())
        )

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal; return the exit status and what was written on stderr."""
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=30)
        return self.process.returncode, errors

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@pytest.fixture
def start(saved_bundle: Path, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start servers; those that still run at the end of the test are killed."""
    servers = []

    def begin(bundle: Path = saved_bundle, **settings: Any) -> Server:
        servers.append(Server(bundle, **{"store": str(tmp_path / "store"), **settings}))
        return servers[-1]

    yield begin
    for server in servers:
        server.close()


@pytest.fixture(scope="module")
def server(saved_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the tests of a module; each uses sessions of its own."""
    running = Server(
        saved_bundle, store=str(tmp_path_factory.mktemp("store")), body_bytes=1_000_000
    )
    yield running
    running.close()


@pytest.fixture(scope="session")
def payload() -> Callable[..., dict[str, Any]]:
    """An event as the wire has it."""

    def make(speed: Any = 50.0, **members: Any) -> dict[str, Any]:
        fields = {"speed": speed, "load": 3.0, "road": "A1", "wet": True, "driver": "ann"}
        return {"event": fields, **members}

    return make
