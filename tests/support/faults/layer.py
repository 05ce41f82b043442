"""The test's side of preload/: build it, arm its rules, read its counters."""

from __future__ import annotations

import errno
import mmap
import os
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["ACTIONS", "KINDS", "Layer", "Rule", "library", "until"]

KINDS = (
    "write",
    "sync",
    "dirsync",
    "create",
    "open",
    "rename",
    "unlink",
    "truncate",
    "read",
    "send",
    "mkdir",
)
ACTIONS = ("nothing", "kill", "fail", "short", "delay", "swallow")

_SOURCES = sorted(Path(__file__).with_name("preload").glob("*.c"))
_MAGIC = 0x7466617530303031
_COUNTS_AT = 8
_RULES_AT = _COUNTS_AT + 16 * 8
_RULE = struct.Struct("<9Q64s")
_RULES = 16
_SIZE = _RULES_AT + _RULES * _RULE.size


@cache
def library() -> Path:
    """Compile the library, once a process, and return its path."""
    target = Path(tempfile.mkdtemp(prefix="faults-")) / "preload.so"
    flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    flags += ["-fvisibility=hidden", "-pthread"]
    subprocess.run(["cc", *flags, "-o", str(target), *map(str, _SOURCES)], check=True)
    return target


def until(condition: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    """Wait for what another process will bring about."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s for {what}")
        time.sleep(0.001)


@dataclass(frozen=True)
class Rule:
    """A rule that is armed: what it saw, and whether it acted."""

    layer: Layer
    index: int

    @property
    def seen(self) -> int:
        """How many calls it was asked about."""
        return self.layer.word(self._at + 7 * 8)

    @property
    def fired(self) -> int:
        """How often it acted."""
        return self.layer.word(self._at + 8 * 8)

    def disarm(self) -> None:
        """Let every later call go past it; its counters stay."""
        self.layer.set_word(self._at, 0)

    @property
    def _at(self) -> int:
        return _RULES_AT + self.index * _RULE.size


class Layer:
    """A page shared with the processes that run under the library.

    Parameters
    ----------
    folder : Path
        Where the page and the recording are kept: not below `prefix`.
    prefix : Path
        Calls on files below it are counted and may fail.
    recorded : bool
        Whether what is done to the files is written down.
    """

    def __init__(self, folder: Path, prefix: Path, *, recorded: bool = True) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        prefix.mkdir(parents=True, exist_ok=True)
        self.prefix = Path(os.path.realpath(prefix))
        self.recording = folder / "recording" if recorded else None
        self._path = folder / "control"
        self._path.write_bytes(bytes(_SIZE))
        with self._path.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), _SIZE)
        self._used = 0

    def environment(self) -> dict[str, str]:
        """Return what to add to a process's environment."""
        self.set_word(0, 0)
        made = {
            "LD_PRELOAD": str(library()),
            "FAULTS_PREFIX": str(self.prefix),
            "FAULTS_CONTROL": str(self._path),
        }
        if self.recording is not None:
            made["FAULTS_RECORDING"] = str(self.recording)
        return made

    @property
    def attached(self) -> bool:
        """Whether a process has run under the library since `environment` was asked for."""
        return self.word(0) == _MAGIC

    def count(self, kind: str) -> int:
        """Return how many calls of a kind there were so far."""
        return self.word(_COUNTS_AT + 8 * KINDS.index(kind))

    def arm(
        self,
        kind: str,
        action: str,
        *,
        after: bool = False,
        nth: int = 1,
        count: int = 1,
        argument: int = 0,
        name: str = "*",
    ) -> Rule:
        """Add a rule, which is in force at once, also in a process that runs.

        Parameters
        ----------
        kind : str
            One of `KINDS`.
        action : str
            One of `ACTIONS`.
        after : bool
            Act when the call has been made, not before.
        nth : int
            The first matching call, counted from now on, that it acts on.
        count : int
            How many it acts on; 0 for all.
        argument : int
            ``fail``: the error number; ``short``: bytes to write; ``delay``: nanoseconds.
        name : str
            Pattern of the names of files (not for ``send``).
        """
        if self._used == _RULES:
            raise AssertionError("all rules are in use; clear them first")
        rule = Rule(self, self._used)
        self._used += 1
        body = _RULE.pack(
            0,
            KINDS.index(kind),
            int(after),
            ACTIONS.index(action),
            nth,
            count,
            argument,
            0,
            0,
            name.encode(),
        )
        at = _RULES_AT + rule.index * _RULE.size
        self._page[at : at + _RULE.size] = body
        self.set_word(at, 1)
        return rule

    def kill(self, kind: str, *, after: bool = False, nth: int = 1, name: str = "*") -> Rule:
        """Kill the process with SIGKILL at its nth call from now on."""
        return self.arm(kind, "kill", after=after, nth=nth, name=name)

    def fail(self, kind: str, number: int = errno.EIO, *, nth: int = 1, count: int = 1) -> Rule:
        """Fail calls from the nth on."""
        return self.arm(kind, "fail", nth=nth, count=count, argument=number)

    def clear(self) -> None:
        """Take all rules back."""
        for index in range(self._used):
            self.set_word(_RULES_AT + index * _RULE.size, 0)
        self._used = 0

    def close(self) -> None:
        """Let go of the page."""
        self._page.close()

    def word(self, at: int) -> int:
        """Return a number of the page."""
        return int.from_bytes(self._page[at : at + 8], "little")

    def set_word(self, at: int, value: int) -> None:
        """Set a number of the page."""
        self._page[at : at + 8] = value.to_bytes(8, "little")
