"""The folder of a store: made durably, taken by one process, and nobody else's."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import re
from pathlib import Path

from tidegate.errors import StoreError

__all__ = ["check_folder", "damaged", "foreign", "lock_folder", "make_folder"]

LOCK_FILE = "tidegate.lock"
# What a store's folder may hold: its files, a disk's own folder.
_OURS = re.compile(
    rf"{re.escape(LOCK_FILE)}|CURRENT(\.tmp)?|\d{{16}}\.(log|new|idx|idx\.tmp)|spare|lost\+found"
)
_ROCKSDB = re.compile(r"MANIFEST-\d+|IDENTITY|OPTIONS-\d+|\d{6}\.(sst|log)")


def make_folder(path: Path) -> None:
    """Make a folder and its parents, each of which survives the loss of power."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        parent = os.open(folder.parent, os.O_RDONLY)
        try:
            os.fsync(parent)
        finally:
            os.close(parent)


def lock_folder(path: Path) -> io.FileIO:
    """Take the folder for this process until the returned file is closed.

    Raises
    ------
    StoreError
        ``store_locked``: another has it; the message names its process.
    """
    lock = (path / LOCK_FILE).open("a+b", buffering=0)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.seek(0)
        owner = lock.read(20).decode(errors="replace")
        lock.close()
        raise _locked(path, f"process {owner}" if owner else "another process") from error
    with contextlib.suppress(OSError):  # the number only helps whoever finds the folder locked
        lock.truncate(0)
        lock.write(b"%d" % os.getpid())
    return lock


def check_folder(path: Path) -> None:
    """Refuse to begin a store among other files.

    Raises
    ------
    StoreError
        ``store_foreign``.
    """
    for name in sorted(entry.name for entry in path.iterdir()):
        if _ROCKSDB.fullmatch(name):
            raise foreign(
                path,
                "holds a RocksDB database, as tidegate wrote before its stores were logs",
                "begin a new store in another folder; the sessions of this one begin anew",
            )
        if not _OURS.fullmatch(name):
            raise foreign(path, f"has {name!r} in it, which is not a store's")


def foreign(
    path: Path,
    message: str,
    hint: str = "give the path of a store, of an empty folder or of a new one",
) -> StoreError:
    """Return what refuses a folder that is no store."""
    return StoreError("store_foreign", f"{path} {message}", field="store", hint=hint)


def damaged(path: Path, message: str) -> StoreError:
    """Return what refuses a store whose files have changed."""
    return StoreError(
        "store_damaged",
        f"{path}: {message}",
        field="store",
        hint="`tidegate store verify` says what is damaged; restore the folder from a backup, or "
        "move it away to begin with an empty store",
    )


def _locked(path: Path, owner: str) -> StoreError:
    return StoreError(
        "store_locked",
        f"{path} is open in {owner}",
        field="store",
        hint="stop it first, or give this one a folder of its own",
    )
