"""A server in a process of its own: started, waited for, watched, ended."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tidegate.errors import TidegateError

__all__ = ["Process", "free_port"]

_START_SECONDS = 120.0
_END_SECONDS = 30.0
_POLL_SECONDS = 0.002


def free_port() -> int:
    """Return a port that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """A server that was started; leaving the context ends it and what it started.

    Parameters
    ----------
    command : sequence of str
        The program and its arguments.
    log : Path
        File for what it prints; appended to.
    environment : mapping of str to str
        Beside this process's own.
    folder : Path, optional
        Where it runs.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        # As after an installation: without its bytecode a program is compiled at each start.
        inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        self._log = log
        self.began = time.perf_counter()
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**inherited, **(environment or {})},
                cwd=folder,
                start_new_session=True,
            )

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def wait_for(self, port: int, path: str, method: str = "GET", body: bytes = b"") -> float:
        """Ask until the answer's status is 200; return the seconds since the process's start.

        Raises
        ------
        TidegateError
            ``server_failed``: it ended, or did not answer in time.
        """
        headers = {"content-type": "application/json"} if body else {}
        while time.perf_counter() - self.began < _START_SECONDS and self._process.poll() is None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_START_SECONDS)
            with (
                contextlib.closing(connection),
                contextlib.suppress(OSError, http.client.HTTPException),
            ):
                connection.request(method, path, body or None, headers)
                response = connection.getresponse()
                answered = time.perf_counter() - self.began
                response.read()
                if response.status == 200:
                    return answered
            time.sleep(_POLL_SECONDS)
        raise self._failed(port)

    def wait_for_port(self, port: int) -> None:
        """Wait until it listens.

        Raises
        ------
        TidegateError
            ``server_failed``: it ended, or does not listen in time.
        """
        while time.perf_counter() - self.began < _START_SECONDS and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                return
            time.sleep(_POLL_SECONDS)
        raise self._failed(port)

    def pids(self) -> list[int]:
        """Return its process id and those of all that it started."""
        parents = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):  # it has ended
                parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        found = [self._process.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found

    def kill(self) -> None:
        """End it by SIGKILL, at once."""
        self._signal(signal.SIGKILL)
        self._process.wait()

    def end(self) -> None:
        """Ask it to end; after a while, make it."""
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_SECONDS)
        self.kill()  # whatever it started and left

    def _failed(self, port: int) -> TidegateError:
        said = self._log.read_text(errors="replace").strip().splitlines()[-5:]
        return TidegateError(
            "server_failed",
            f"no answer on port {port} after {time.perf_counter() - self.began:.0f} s; it said: "
            f"{' | '.join(said)}",
            hint=f"see {self._log}",
        )

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
