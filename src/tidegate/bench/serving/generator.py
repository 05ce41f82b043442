"""The load generator: a C program of the checkout, compiled where it is used."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tidegate.errors import InputError, TidegateError

__all__ = ["Generator", "Report", "build"]

_FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra")
_SPARE_SECONDS = 300.0


class Report(msgspec.Struct, frozen=True):
    """What the generator saw; see `tidegate.bench.serving.results.Row`."""

    events: int
    events_per_s: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    cpu_s: float
    server_cpu_s: float
    rss_mb: float
    bytes_sent: int
    bytes_received: int
    fill_s: float
    fill_events: int
    lost_connections: int
    errors: int
    error_kinds: dict[str, int]
    first_error: str
    by_second: list[int]


class Generator:
    """The compiled program.

    Parameters
    ----------
    path : Path
        Of the program.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(
        self,
        mode: str,
        port: int,
        *,
        model: str,
        seconds: float,
        watch: Sequence[int] = (),
        **options: str | int | float | bool,
    ) -> Report:
        """Load a server of this machine and return what was seen.

        Parameters
        ----------
        mode : {"http", "websocket", "ndjson", "arrow"}
            How events travel.
        port : int
            Of the server.
        model : str
            Name in the routes.
        seconds : float
            To be measured.
        watch : sequence of int
            Process ids whose CPU seconds and memory are added up.
        **options
            Of the program, such as ``connections=64``; True stands for one without a value.

        Raises
        ------
        TidegateError
            ``load_failed``: the server did not take the connections, or lost all of them.
        """
        words = [mode, "--port", str(port), "--model", model, "--seconds", f"{seconds:g}"]
        if watch:
            words += ["--watch", ",".join(map(str, watch))]
        for name, value in options.items():
            if value is True:
                words.append(f"--{name}")
            elif value is not False:
                words += [f"--{name}", str(value)]
        warmup = float(options.get("warmup", 0))
        return msgspec.json.decode(self._run(words, seconds + warmup), type=Report)

    def sync(self, file: Path, seconds: float, rate: float = 0.0) -> tuple[float, float]:
        """Time an append of 1 kB and its fdatasync: p50 and p99 in ms.

        Parameters
        ----------
        file : Path
            To be made, and removed.
        seconds : float
            How long.
        rate : float
            How many a second; 0: one after the other.
        """
        words = ["sync", "--file", str(file), "--seconds", f"{seconds:g}", "--rate", f"{rate:g}"]
        report = msgspec.json.decode(self._run(words, seconds))
        return report["p50_ms"], report["p99_ms"]

    def _run(self, words: Sequence[str], seconds: float) -> bytes:
        try:
            done = subprocess.run(  # noqa: S603
                [str(self.path), *words],
                capture_output=True,
                check=False,
                timeout=seconds + _SPARE_SECONDS,
            )
        except subprocess.TimeoutExpired as expired:
            raise _failed(f"no end after {expired.timeout:g} s") from expired
        if done.returncode:
            raise _failed(done.stderr.decode(errors="replace").strip().removeprefix("load: "))
        return done.stdout


def build(sources: Path, folder: Path, flags: Sequence[str] = ()) -> Generator:
    """Compile the program, unless it is there and newer than its sources.

    Parameters
    ----------
    sources : Path
        Folder of the C files: ``benchmarks/load`` of the checkout.
    folder : Path
        Where the program goes.
    flags : sequence of str
        More of the compiler's.

    Raises
    ------
    InputError
        ``missing_sources``, ``missing_compiler``, ``cannot_compile``.
    """
    found = sorted(sources.glob("*.[ch]"))
    if not found:
        raise InputError(
            "missing_sources",
            f"there is no load generator in {str(sources)!r}",
            field="--benchmarks",
            hint="run this in a checkout of the source, or give --benchmarks DIR",
        )
    program = folder / "load"
    if program.is_file() and program.stat().st_mtime > max(f.stat().st_mtime for f in found):
        return Generator(program)
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise InputError(
            "missing_compiler",
            "there is no C compiler (cc, gcc or clang)",
            hint="the load generator is a C program: apt-get install build-essential",
        )
    folder.mkdir(parents=True, exist_ok=True)
    files = [str(file) for file in found if file.suffix == ".c"]
    done = subprocess.run(  # noqa: S603
        [compiler, *_FLAGS, *flags, "-o", str(program), *files, "-lm"],
        capture_output=True,
        check=False,
        text=True,
    )
    if done.returncode:
        raise InputError("cannot_compile", done.stderr.strip(), hint="a C11 compiler is needed")
    return Generator(program)


def _failed(what: str) -> TidegateError:
    return TidegateError("load_failed", what, hint="the server's log may say why")
