"""Copies of a store, of one moment of it, also while a server has it open.

Why a copy is consistent
------------------------
A segment never changes before its end, and `LogStore` opened read only knows where each one ended
at one moment: it has all of them open (so that what is cut away meanwhile can still be read), it
has read the newest one up to the end of the last whole group, and it has seen that CURRENT said the
same afterwards. The copy holds these bytes, and a CURRENT that says where they end. What was
committed before the backup began is in it. CURRENT comes last, so that a copy that was interrupted
is no store.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tidegate.errors import InputError, StoreError
from tidegate.store.folder import make_folder
from tidegate.store.log import LogStore
from tidegate.store.verify import verify

__all__ = ["backup", "restore"]

_CHUNK = 4 << 20
Progress = Callable[[int, int], None]


def backup(store: Path, target: Path, progress: Progress | None = None) -> int:
    """Copy a store, which may be open in another process or in this one.

    Parameters
    ----------
    store, target : Path
        The folders. That of the copy must be empty or new.
    progress : callable, optional
        Is told how many bytes are copied, and of how many.

    Returns
    -------
    int
        Bytes of the copy.

    Raises
    ------
    InputError
        ``target_exists``: the folder has something in it.
    StoreError
        ``store_damaged``, ``store_foreign``, ``store_version``: as in `LogStore`; ``store_failed``:
        the copy cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> with_server = LogStore(Path(folder.name, "store"))
    >>> with_server.commit([(b"key", b"value")])
    >>> copied = backup(Path(folder.name, "store"), Path(folder.name, "copy"))
    >>> with_server.close()
    >>> copy = LogStore(Path(folder.name, "copy"))
    >>> copy.get([b"key"])
    [b'value']
    >>> copy.close()
    >>> folder.cleanup()
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(
            "target_exists",
            f"{target} has something in it",
            field="target",
            hint="give the path of an empty folder or of a new one",
        )
    source = LogStore(store, read_only=True)
    try:
        return _copy(source, target, progress or (lambda _done, _all: None))
    except OSError as error:
        raise StoreError(
            "store_failed",
            f"{target} cannot be written: {error.strerror}",
            field="target",
            hint="remove what is there, free space on its disk, and try again",
        ) from error
    finally:
        source.close()


def restore(backup_: Path, target: Path, progress: Progress | None = None) -> int:
    """Make a store from a copy, after looking at every byte of it.

    Parameters and errors are those of `backup`; ``store_damaged`` also if a record is damaged.
    """
    report = verify(backup_)
    if report.damaged:
        first = report.damaged[0]
        raise StoreError(
            "store_damaged",
            f"{backup_}: {first.file} at byte {first.offset}: {first.what}",
            field="backup",
            hint="`tidegate store verify` lists all of it; use another backup, or `tidegate store "
            "export` what can be read",
        )
    return backup(backup_, target, progress)


def _copy(source: LogStore, target: Path, progress: Progress) -> int:
    make_folder(target)
    segments = source.log.segments()
    total, done = sum(end for _, end in segments), 0
    for i, (number, end) in enumerate(segments):
        with (target / f"{number:016}.log").open("xb") as file:
            for offset in range(0, end, _CHUNK):
                file.write(source.log.read_segment(i, offset, min(_CHUNK, end - offset)))
                done += min(_CHUNK, end - offset)
                progress(done, total)
            file.flush()
            os.fsync(file.fileno())
    _sync(target)
    beside = target / "CURRENT.tmp"
    with beside.open("xb") as file:
        file.write(source.log.current())
        file.flush()
        os.fsync(file.fileno())
    beside.replace(target / "CURRENT")
    _sync(target)
    return total


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
