"""A real server that is killed and started again, its disk, its clients, and the verdict."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import tidegate
from faults.clients import Client
from faults.disk import Disk
from faults.history import History, Report, check
from faults.layer import KINDS, Layer, until
from faults.tally import TALLY, Tally, say
from faults.volume import Volume
from tidegate import bundle as bundles
from tidegate import record
from tidegate.store import LogStore, session_prefix

__all__ = ["BUSY", "POINTS", "Campaign"]

BUSY: dict[str, Any] = {
    "cached_sessions": 4,
    "segment_mb": 1,
    "store_space": 1.5,
    "kept_answers": 1000,  # so that records are large
    "kept_answer_bytes": 65_536,
}
"""Settings of a server that evicts, and begins and cuts away segments, all the time."""
POINTS = (
    ("write", "*.log"),
    ("sync", "*.log"),
    ("send", "*"),
    ("read", "*.log"),  # of a session that was evicted, or of what is to be copied
    ("create", "*.new"),
    ("write", "CURRENT.tmp"),
    ("rename", "CURRENT"),
    ("rename", "*.log"),  # of a segment that has become the newest
    ("create", "*.idx.tmp"),
    ("rename", "*.idx"),
    ("unlink", "*.log"),  # of a segment that was cut away
    ("dirsync", "*"),
)
"""What a busy server does all the time: kinds of calls, and patterns of names."""

_CODE = re.compile(r"^error: .* \(([a-z_]+)\)", re.MULTILINE)


class Campaign:
    """A server under the library of faults, on a disk that can lose power.

    Parameters
    ----------
    bundle : Path
        What is served.
    folder : Path
        For the disk (a folder in it) and the library's files.
    seed : int
        Of the clients and of what reaches the disk; printed.
    source : Path, optional
        The folder that holds the `tidegate` to run; the one that is imported here, by default.
    disk : Path, optional
        Where the store is, if it is to be elsewhere.
    recorded : bool
        Whether power can be lost.
    tally : Tally, optional
        What to add to; by default that of the run.
    settings
        Of the server.
    """

    def __init__(
        self,
        bundle: Path,
        folder: Path,
        seed: int = 0,
        *,
        source: Path | None = None,
        disk: Path | None = None,
        recorded: bool = True,
        tally: Tally = TALLY,
        **settings: Any,
    ) -> None:
        say(f"seed {seed}")
        self.bundle = bundle
        self.seed = seed
        self.rng = random.Random(seed)
        self.history = History()
        self.layer = Layer(folder / "faults", disk or folder / "disk", recorded=recorded)
        self.store = self.layer.prefix / "store"
        recording = self.layer.recording
        self.disk = Disk(self.layer.prefix, recording, seed) if recording else None
        self.clients: list[Client] = []
        self.process: subprocess.Popen[str] | None = None
        self.said: dict[str, Any] = {}
        self.port = 0
        self.tally = tally
        self.unrecorded = 0
        self.errors = ""
        self.usual: dict[str, int] = {}
        """Calls of each kind in the last start."""
        self._source = source or Path(tidegate.__path__[0]).parent
        self._settings = settings
        self._log = folder / "server.log"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for client in self.clients:
            client.stop()
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        if self.process is not None:
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()
        for client in self.clients:
            client.join(30)
        self.layer.close()

    # The server

    def start(self, *, ready: bool = True) -> dict[str, Any]:
        """Start the server, on the port that it had; return what it says first.

        Parameters
        ----------
        ready : bool
            Whether it has to become ready.
        """
        settings = {"port": self.port, "store": str(self.store), "log_level": "warning"}
        command = [sys.executable, "-W", "error", "-m", "tidegate", "serve", str(self.bundle)]
        for name, value in {**settings, **self._settings}.items():
            command += [f"--{name.replace('_', '-')}", str(value)]
        before = self.counts()
        environment = {**os.environ, "PYTHONPATH": str(self._source), **self.layer.environment()}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                text=True,
            )
        assert self.process.stdout is not None
        self.said = json.loads(self.process.stdout.readline() or "{}")
        if not self.said and self.process.wait(30) > 0:
            # Said for people: "error: what was wrong (code); hint".
            code = _CODE.search(self._log.read_text())
            self.said = {"code": code[1] if code else ""}
        if self.said.get("event") == "ready":
            self.port = int(self.said["url"].rpartition(":")[2])
            assert self.layer.attached, "the server runs without the library of faults"
            self.usual = {kind: n - before[kind] for kind, n in self.counts().items()}
        elif ready:
            self.wait_dead()
            raise AssertionError(f"not ready: {self.said}; {self.errors}")
        return self.said

    def wait_dead(self, seconds: float = 30.0) -> int:
        """Wait until the server is dead; return its exit status, -9 if it was killed."""
        assert self.process is not None
        status = self.process.wait(seconds)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.errors = self._log.read_text()
        if self.disk is not None:
            self.unrecorded = self.disk.read()
        return status

    def kill(self) -> None:
        """Kill the server with SIGKILL."""
        assert self.process is not None
        self.process.kill()
        assert self.wait_dead() == -signal.SIGKILL, self.errors
        self.tally.kills += 1

    def killed(self) -> None:
        """Wait until a rule has killed the server."""
        assert self.wait_dead(120) == -signal.SIGKILL, self.errors
        self.tally.kills += 1
        self.layer.clear()

    def die_at(self, kind: str, *, after: bool, nth: int = 1, name: str = "*") -> None:
        """Kill the server, which the clients keep busy, at its nth such call from now on."""
        rule = self.layer.kill(kind, after=after, nth=nth, name=name)
        self.killed()
        assert rule.fired == 1

    def die_in_recovery(self, kind: str) -> None:
        """Start the server, and kill it at one of the calls of a kind that a start makes."""
        nth = self.rng.randint(1, max(self.usual[kind] // 2, 1))
        rule = self.layer.kill(kind, after=self.rng.random() < 0.5, nth=nth)
        said = self.start(ready=False)
        assert said == {}, f"it was to die at {kind} {nth}, and said {said}"
        self.killed()
        assert rule.fired == 1

    def counts(self) -> dict[str, int]:
        """Return how many calls of each kind there were so far."""
        return {kind: self.layer.count(kind) for kind in KINDS}

    def stop(self) -> None:
        """End the server as its operator would."""
        assert self.process is not None
        self.process.terminate()
        assert self.wait_dead() == 0, self.errors

    def lose_power(self, *, partly: bool = False) -> int:
        """Leave of the dead server's files what a loss of power would."""
        assert self.disk is not None
        self.tally.faults += 1
        return self.disk.lose_power(partly=partly)

    def memory(self) -> float:
        """Return the megabytes that the server has of its own."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("RssAnon:")[2].split()[0]) / 1024

    def get(self, path: str) -> tuple[int, Any]:
        """Ask the server; return the status and the body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    # The clients

    def load(self, clients: int = 3, sessions: int = 4, **options: Any) -> None:
        """Let clients begin, each with sessions of its own."""
        for _ in range(clients):
            first = len(self.clients)
            names = [f"client-{first}/session-{i}" for i in range(sessions)]
            client = Client(self.port, self.history, names, self.seed, **options)
            self.clients.append(client)
            client.start()

    def load_growing(self) -> None:
        """Let clients begin, of which one never ends its session: its record fills segments."""
        self.load(clients=2)
        self.load(clients=1, sessions=1, lives=0.0)

    def load_volume(self, clients: int, sessions: int, **options: Any) -> None:
        """Let clients begin that send much, each to many sessions of its own."""
        for _ in range(clients):
            name = f"volume-{len(self.clients)}"
            volume = Volume(
                self.port, self.history, self.seed, name=name, sessions=sessions, **options
            )
            self.clients.append(volume)
            volume.start()

    def progress(self, events: int, seconds: float = 60.0) -> None:
        """Wait until the clients have had answers to more events."""
        wanted = self.history.acknowledged + events
        until(
            lambda: (
                self.history.acknowledged >= wanted or not any(c.is_alive() for c in self.clients)
            ),
            f"{events} answers",
            seconds,
        )
        self.check_clients()

    def check_clients(self) -> None:
        """Fail if a client was told what it must never be."""
        unexpected = [error for client in self.clients for error in client.unexpected]
        assert not unexpected, unexpected

    def halt(self) -> None:
        """Let the clients end, and wait for them."""
        for client in self.clients:
            client.stop()
        for client in self.clients:
            client.join(30)
            assert not client.is_alive()

    # The verdict

    def look(self) -> Mapping[str, int | None]:
        """Ask the server where every session stands."""
        found: dict[str, int | None] = {}
        lives = self.history.lives()
        for name, labels in lives.items():
            found.update(dict.fromkeys(labels))  # all but the last one are over
            attempt = self.history.began(labels[-1], None)
            status, body = self.get(f"/v1/models/small/sessions/{name}")
            if status == 410:
                self.history.told(attempt, {"code": body["error"]["code"]})
            else:
                found[labels[-1]] = body["seq"] if status == 200 else 0
                self.history.told(attempt, {"seq": found[labels[-1]]})
        return found

    def look_offline(self) -> Mapping[str, int | None]:
        """End the server, and read in its store where every session stands."""
        self.stop()
        prefix = session_prefix("default", "small")
        stands: dict[str, int | None] = {}
        with contextlib.closing(LogStore(self.store, read_only=True)) as store:
            for key, value in store.scan(prefix):
                found = record.decode(value)
                over = found.status != "live"
                stands[key[len(prefix) :].decode()] = None if over else found.seq
        final: dict[str, int | None] = {}
        for name, labels in self.history.lives().items():
            final.update(dict.fromkeys(labels))
            final[labels[-1]] = stands.get(name, 0)
        return final

    def verdict(self, *, offline: bool = False) -> Report:
        """End the clients, look at every session, and judge the history.

        Parameters
        ----------
        offline : bool
            The server ends, and the sessions are looked at in its store.
        """
        self.halt()
        report = check(
            self.history,
            bundles.load(self.bundle),
            self.look_offline() if offline else self.look(),
            kept=self._settings.get("kept_answers", 8),
        )
        self.tally.judged(report)
        return report

    def passes(self) -> None:
        """Fail if the history is not as promised."""
        report = self.verdict()
        self.check_clients()
        assert not report.breaks, str(report)
        assert report.events > 0
