"""Which servers there are, and how each is run at its best."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from tidegate.bench.serving.model import FIELDS, NAME
from tidegate.bench.serving.processes import Process, free_port

__all__ = ["Running", "System", "c_echo", "granian_echo", "peers", "running", "tidegate"]


@dataclass(frozen=True)
class System:
    """One server.

    Parameters
    ----------
    name : str
        As results have it.
    command : tuple of str
        Program and arguments; ``{port}`` and ``{folder}`` stand for what they will be.
    durable : bool
        Whether an answer that has left survives a power cut.
    environment : dict
        Of its process.
    code : Path, optional
        Where it runs.
    path : str, optional
        One HTTP path for all sessions; without it, tidegate's.
    redis : tuple of str, optional
        Arguments of a redis-server that it needs beside it.
    packages : tuple of str
        Whose versions describe it.
    """

    name: str
    command: tuple[str, ...]
    durable: bool = False
    environment: dict[str, str] = field(default_factory=dict)
    code: Path | None = None
    path: str | None = None
    redis: tuple[str, ...] | None = None
    packages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Running:
    """A server that was started, and not yet waited for."""

    system: System
    port: int
    process: Process
    beside: tuple[Process, ...]

    def pids(self) -> list[int]:
        """Return all process ids that work for it."""
        return [pid for process in (self.process, *self.beside) for pid in process.pids()]

    def rss_mb(self) -> float:
        """Return the resident memory of these processes in 1e6 bytes."""
        total = 0
        for pid in self.pids():
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1])
        return total * 1024 / 1e6

    def wait(self) -> tuple[float, float]:
        """Return the seconds from its start to its first HTTP answer, and until it takes events."""
        if self.system.code is not None:  # a peer: it has no other routes
            answered = self.process.wait_for(self.port, *self.probe())
            return answered, answered
        answered = self.process.wait_for(self.port, "/healthz")
        return answered, self.process.wait_for(self.port, "/readyz")

    def probe(self, session: str = "probe", seq: int = 1) -> tuple[str, str, bytes]:
        """Return path, method and body of an event; its numbers follow from `seq`."""
        event = {name: (seq * 31 + i * 17) % 19 / 9 - 1 for i, name in enumerate(FIELDS)}
        content: dict[str, object] = {"seq": seq, "event": event}
        path = self.system.path
        if path is not None:
            content["session"] = session
        return (
            path or f"/v1/models/{NAME}/sessions/{session}/events",
            "POST",
            msgspec.json.encode(content),
        )


@contextmanager
def running(system: System, folder: Path) -> Iterator[Running]:
    """Start a server, and end it at the end of the context.

    Parameters
    ----------
    system : System
        Which.
    folder : Path
        For its log, and its data under ``{folder}``.
    """
    with ExitStack() as started:
        environment, beside = dict(system.environment), []
        if system.redis is not None:
            port = free_port()
            words = ("redis-server", "--port", str(port), "--dir", str(folder), *system.redis)
            redis = started.enter_context(Process(words, folder / "redis.log"))
            redis.wait_for_port(port)
            environment["TIDEGATE_BENCH_REDIS"] = f"redis://127.0.0.1:{port}/0"
            beside.append(redis)
        port = free_port()
        command = [
            word.replace("{port}", str(port)).replace("{folder}", str(folder))
            for word in system.command
        ]
        process = started.enter_context(
            Process(command, folder / "server.log", environment, system.code)
        )
        yield Running(system, port, process, tuple(beside))


_CACHED_SESSIONS = 1_200_000


def tidegate(bundle: Path, *, durable: bool = True, flags: tuple[str, ...] = ()) -> System:
    """Return our server over a bundle: its store in the folder it runs with, or in memory.

    It may hold a million sessions in memory, and has its defaults apart from that and `flags`.
    """
    store = "{folder}/store" if durable else "memory:"
    verb = (sys.executable, "-m", "tidegate", "serve", str(bundle))
    command = (*verb, "--cached-sessions", str(_CACHED_SESSIONS), *flags)
    name = "tidegate" if durable else "tidegate, memory:"
    return System(name, (*command, "--store", store, "--port", "{port}"), durable)


def c_echo(program: Path) -> System:
    """Return the generator's own echo: what it can do at most."""
    return System("C echo", (str(program), "echo", "--port", "{port}"))


def granian_echo(code: Path) -> System:
    """Return an echo in Python under our HTTP server: what that can do at most."""
    command = (sys.executable, "-m", "granian", "--interface", "rsgi", "--port", "{port}")
    words = ("--no-access-log", "--log-level", "error", "echo_app:app")
    return System("granian echo", (*command, *words), code=code)


def peers(python: Path, code: Path, weights: Path) -> list[System]:
    """Return what others would write.

    Parameters
    ----------
    python : Path
        Interpreter of the peers' venv.
    code : Path
        ``benchmarks/peers`` of the checkout.
    weights : Path
        From `tidegate.bench.serving.model.save_weights`.
    """
    environment = {"TIDEGATE_BENCH_WEIGHTS": str(weights), "OMP_NUM_THREADS": "1"}
    uvicorn = (
        *(str(python), "-m", "uvicorn", "fastapi_app:app", "--host", "127.0.0.1"),
        *("--port", "{port}", "--loop", "uvloop", "--http", "httptools"),
        *("--no-access-log", "--log-level", "error"),
    )
    fastapi = ("fastapi", "uvicorn", "torch")
    litserve = (str(python), "litserve_app.py", "{port}")
    in_memory = ("--save", "", "--appendonly", "no", "--bind", "127.0.0.1")
    synced = ("--save", "", "--appendonly", "yes", "--appendfsync", "always", "--bind", "127.0.0.1")
    return [
        System("FastAPI + torch, dict", uvicorn, False, environment, code, packages=fastapi),
        System(
            "FastAPI + torch, Redis",
            uvicorn,
            False,
            environment,
            code,
            redis=in_memory,
            packages=(*fastapi, "redis"),
        ),
        System(
            "FastAPI + torch, synced Redis",
            uvicorn,
            True,
            environment,
            code,
            redis=synced,
            packages=(*fastapi, "redis"),
        ),
        System(
            "LitServe + torch",
            litserve,
            False,
            environment,
            code,
            "/predict",
            packages=("litserve", "torch"),
        ),
    ]
