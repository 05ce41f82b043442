"""Files and folders that are written whole or not at all.

Content is written beside its place, synced and moved there: a reader, or a restart after a power
cut, finds the old one or the new one, never a part.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tidegate.errors import InputError

__all__ = ["HINT", "check_place", "new_folder", "refusals", "write_file", "write_folder"]

HINT = "check the path and the free space"

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_OCCUPIED = (errno.ENOTEMPTY, errno.EEXIST)
_NOT_SUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)


@contextmanager
def refusals(path: Path, hint: str = HINT) -> Iterator[None]:
    """Turn what the file system refuses into ``cannot_write``, naming `path`.

    Examples
    --------
    >>> with refusals(Path("/out")):
    ...     raise OSError(28, "No space left on device")
    Traceback (most recent call last):
        ...
    tidegate.errors.InputError: /out: [Errno 28] No space left on device (cannot_write); check the
    path and the free space
    """
    try:
        yield
    except OSError as error:
        raise InputError("cannot_write", str(error), field=str(path), hint=hint) from error


def check_place(path: Path) -> None:
    """Refuse a path where nothing can be made, before there is anything to write.

    Raises
    ------
    InputError
        ``cannot_write``: the nearest parent that exists is no folder, or may not be written to.
    """
    with refusals(path):
        parent = next(parent for parent in path.absolute().parents if parent.exists())
        if not parent.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(parent))
        if not os.access(parent, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(parent))


def write_file(path: Path, content: bytes | memoryview, mode: int = 0o666) -> None:
    """Write a file, or leave the old one as it was.

    Parameters
    ----------
    path : Path
        Where to; folders that are missing are made.
    content : bytes
        All of it.
    mode : int
        Who may read and write it, less the process's umask.

    Raises
    ------
    InputError
        ``cannot_write``.
    """
    with refusals(path), _staging(path) as staged:
        _write_synced(staged, content, mode)
        staged.replace(path)
        _sync_folder(path.parent)


def write_folder(path: Path, contents: Mapping[str, bytes], hint: str = HINT) -> None:
    """Write a folder of files, or leave the old one as it was.

    Parameters
    ----------
    path : Path
        Where to; folders that are missing are made. A folder that is there is replaced.
    contents : mapping of str to bytes
        The files.
    hint : str
        What to do when it fails.

    Raises
    ------
    InputError
        ``cannot_write``.

    Notes
    -----
    Old and new change places in one step of the kernel. Where the file system or the C library
    cannot do that (some network file systems), the old folder is moved aside first: a failure moves
    it back, but a kill between the two moves leaves it beside its place, under a hidden name that
    ends in ``.old``.
    """
    with new_folder(path, hint) as staged:
        for name, content in contents.items():
            _write_synced(staged / name, content)


@contextmanager
def new_folder(path: Path, hint: str = HINT) -> Iterator[Path]:
    """Give a folder to fill, which then takes its place; see `write_folder`.

    Nothing takes its place if the body raises. Files that are written there are the body's to sync.
    """
    with refusals(path, hint), _staging(path) as staged:
        staged.mkdir()
        yield staged
        _sync_folder(staged)
        try:
            staged.rename(path)
        except OSError as error:
            if error.errno not in _OCCUPIED:
                raise
            if not _exchange(staged, path):
                _replace_in_two_moves(staged, path)
        _sync_folder(path.parent)


@contextmanager
def _staging(path: Path) -> Iterator[Path]:
    """Give a path on the same file system; what is left there goes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f".{path.name}-", dir=path.parent, ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder, path.name)


def _exchange(new: Path, old: Path) -> bool:
    """Let two paths change places in one step; False where that is not possible."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    paths = (_AT_FDCWD, os.fsencode(new), _AT_FDCWD, os.fsencode(old))
    if renameat2(*paths, _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NOT_SUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(old))


def _replace_in_two_moves(new: Path, old: Path) -> None:
    aside = old.with_name(f"{new.parent.name}.old")
    old.rename(aside)
    try:
        new.rename(old)
    except BaseException:
        aside.rename(old)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _write_synced(path: Path, content: bytes | memoryview, mode: int = 0o666) -> None:
    with open(path, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
