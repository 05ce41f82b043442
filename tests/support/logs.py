"""Logs on disk that tests make, damage and look at."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from tidegate.errors import StoreError
from tidegate.store import LogStore


def contents(path: Path) -> dict[bytes, bytes]:
    """Return all that a store holds, and close it."""
    with contextlib.closing(LogStore(path, segment_size=4096)) as records:
        return dict(records.scan())


def contents_or_code(path: Path) -> dict[bytes, bytes] | str:
    """Return what a store holds, or the code of the error that refuses it."""
    try:
        return contents(path)
    except StoreError as error:
        return error.code if error.hint else "no hint"


def killed(path: Path, target: Path) -> Path:
    """Return a copy of an open store as a killed process would leave it.

    It may be cutting: the copy is of one moment if CURRENT stays the same.
    """
    current = None
    while current != (current := (path / "CURRENT").read_bytes()) or not target.exists():
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        for file in path.iterdir():
            with contextlib.suppress(FileNotFoundError):
                (target / file.name).write_bytes(file.read_bytes())
    return target


def files_of(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


def write_files(path: Path, files: Mapping[str, bytes]) -> None:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    for name, content in files.items():
        (path / name).write_bytes(content)


def states(
    commits: Iterable[tuple[Mapping[bytes, bytes], Iterable[bytes]]],
) -> list[dict[bytes, bytes]]:
    """Return what a store holds before the first commit and after each."""
    found: list[dict[bytes, bytes]] = [{}]
    for puts, deletes in commits:
        state = {**found[-1], **puts}
        for key in deletes:
            state.pop(key, None)
        found.append(state)
    return found


def newest(path: Path) -> Path:
    return max(path.glob("*.log"), key=lambda file: file.name)
