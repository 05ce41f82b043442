"""A store on disk: RocksDB, through rocksdict.

A commit is one RocksDB batch, written to its log and synced (``fdatasync``) before it returns.

What fails, and what happens then
---------------------------------
A write fails (a full disk, a file too large)
    RocksDB then refuses every later write for as long as it is open, even when there is room again.
    The store keeps it open, because it still reads the old values; the next commit reopens it. If
    the disk has no room for that yet, the commit fails like the one before, and reads go on. Should
    RocksDB not come up again all the same, then reads fail too, and each later call tries anew.
A write succeeds and the sync of it fails
    The commit fails and reads give the old values, but the disk may have the batch, whole. So the
    old values are put back when RocksDB is reopened. Only if the store is closed or the process
    dies before that may the batch be found applied, though nobody was told that it was.
The process or the machine dies
    The log's last batch may be incomplete. It was not acknowledged, and is dropped on opening.
A file is damaged
    On opening, or when the damaged block is read: ``store_damaged``. RocksDB's usual mode would
    drop a damaged batch and, silently, every acknowledged one after it; the one set here refuses.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

from rocksdict import (
    BlockBasedOptions,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
    WriteBatch,
    WriteOptions,
)

from tidegate.errors import StoreError
from tidegate.store.keys import FORMAT_KEY

__all__ = ["FORMAT", "RocksStore"]

FORMAT = 1
"""Version of the layout of keys. A store of a later one is refused."""

_LOCK_FILE = "tidegate.lock"
# What a new folder may hold: a disk's own folder, and what is left if we die before the first key.
_NOTHING_YET = re.compile(
    rf"lost\+found|{re.escape(_LOCK_FILE)}|LOCK|LOG.*|IDENTITY|MANIFEST-000001|OPTIONS-.*|.*\.dbtmp"
    r"|rocksdict-config\.json"
)
_SCAN_CHUNK = 256
_SPARE_BYTES = 64 * 1024


class RocksStore:
    """A folder that one process at a time has open.

    Parameters
    ----------
    path : Path
        The folder. It is made if it does not exist.

    Raises
    ------
    StoreError
        ``store_locked``: another process has it open. ``store_unwritable``: it cannot be made or
        written. ``store_foreign``: the folder has something else in it. ``store_version``: a newer
        tidegate made it. ``store_damaged``: its files are damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._closed = False
        self._failed = False
        self._undo: list[tuple[bytes, bytes | None]] = []
        self._db: Rdict | None = None
        self._sync = WriteOptions()
        self._sync.sync = True
        try:
            _make_folder(path)
            _check_folder(path)
            self._lock = _lock(path)
        except OSError as error:
            raise StoreError(
                "store_unwritable",
                f"{path} cannot be written: {error.strerror}",
                field="store",
                hint="give the path of a folder that this user may write",
            ) from error
        had_tables = any(path.glob("*.sst"))
        try:
            self._db = self._open("store_unwritable")
            self._check_format(had_tables)
        except BaseException:
            self.close()
            raise

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key, in the order of the keys; None for a key without one."""
        db = self._usable()
        try:
            return cast("list[bytes | None]", db.get(list(keys)))
        except Exception as error:
            raise self._error(error, "store_failed") from error

    def commit(self, puts: Sequence[tuple[bytes, bytes]], deletes: Sequence[bytes] = ()) -> None:
        """Put values, then delete keys: all or nothing, and durable on return."""
        db = self._usable()
        if self._failed:
            db = self._reopen()
        batch = _batch(puts, deletes)
        try:
            db.write(batch, self._sync)
        except Exception as error:
            self._failed = True
            keys = [*(key for key, _ in puts), *deletes]
            with contextlib.suppress(StoreError):  # what cannot be read cannot be put back
                self._undo = list(zip(keys, self.get(keys), strict=True))
            raise self._error(error, "store_failed") from error

    def scan(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Iterate over keys that begin with `prefix` and their values, in the order of the keys."""
        self._usable()
        return self._scan(prefix)

    def close(self) -> None:
        """Let go of the folder. To close it again does nothing."""
        if self._closed:
            return
        self._closed = True
        self._let_go()
        self._lock.close()

    def _scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        start = prefix
        while chunk := self._chunk(start, prefix):
            yield from chunk
            start = chunk[-1][0] + b"\0"

    def _chunk(self, start: bytes, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """Return some items from `start` on.

        RocksDB's iterator ends here: as long as one lives, RocksDB cannot be closed and reopened.
        """
        db = self._usable()
        found: list[tuple[bytes, bytes]] = []
        try:
            items = db.iter()
            items.seek(start)
            while items.valid() and len(found) < _SCAN_CHUNK:
                key = items.key()
                if not key.startswith(prefix):
                    break
                if key != FORMAT_KEY:
                    found.append((key, items.value()))
                items.next()
            items.status()  # a damaged block ends the loop like the last key does; this tells
        except Exception as error:
            raise self._error(error, "store_failed") from error
        return found

    def _usable(self) -> Rdict:
        if self._closed:
            raise StoreError("store_closed", f"{self._path} is closed", hint="open it again")
        if self._db is None:
            self._db = self._open("store_failed")
        return self._db

    def _open(self, code: str) -> Rdict:
        try:
            db = Rdict(os.fspath(self._path), _options())
        except Exception as error:
            raise self._error(error, code) from error
        if self._undo:
            self._put_back(db)
        self._failed = False
        return db

    def _put_back(self, db: Rdict) -> None:
        """Undo the commit that failed, in case the disk has it all the same."""
        puts = [(key, value) for key, value in self._undo if value is not None]
        deletes = [key for key, value in self._undo if value is None]
        try:
            db.write(_batch(puts, deletes), self._sync)
        except Exception as error:
            _close(db)
            raise self._error(error, "store_failed") from error
        self._undo = []

    def _reopen(self) -> Rdict:
        """Open RocksDB anew after a failed write."""
        self._check_room()
        self._let_go()
        return self._usable()

    def _check_room(self) -> None:
        """Refuse to reopen before the disk has room to: what is open still reads, and stays so.

        On opening, RocksDB writes the contents of its log into a table.
        """
        try:
            needed = sum(log.stat().st_size for log in self._path.glob("*.log")) + _SPARE_BYTES
            with tempfile.TemporaryFile(dir=self._path) as spare:
                os.posix_fallocate(spare.fileno(), 0, needed)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # a file system without it
                raise self._error(error, "store_failed") from error

    def _let_go(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            _close(db)

    def _check_format(self, had_tables: bool) -> None:
        (marker,) = self.get([FORMAT_KEY])
        if marker is None:
            if next(self.scan(), None) is not None:
                raise _foreign(self._path, "holds keys that are not tidegate's")
            if had_tables:  # RocksDB takes a cut list of tables for a young one
                raise _damaged(self._path, "the list of its tables is cut off")
            self.commit([(FORMAT_KEY, b"%d" % FORMAT)])
        elif not marker.isdigit():
            raise _damaged(self._path, f"{marker!r} is no format")
        elif int(marker) > FORMAT:
            raise StoreError(
                "store_version",
                f"{self._path} has format {int(marker)}; this tidegate reads up to {FORMAT}",
                field="store",
                hint="it was made by a newer tidegate: run that version or a later one",
            )

    def _error(self, error: Exception, code: str) -> StoreError:
        """Turn what RocksDB says into a typed error; `code` if it is nothing special."""
        text = str(error)
        if text.startswith("Corruption"):
            return _damaged(self._path, text)
        if "While lock file: " in text:
            return _locked(self._path, "another program")
        return StoreError(
            code,
            f"{self._path}: {text}",
            field="store",
            hint="free space on its disk, or see what is wrong with it; then try again",
        )


def _options() -> Options:
    """Return options for values of about 1.3 kB that are read one by one and often replaced."""
    table = BlockBasedOptions()
    table.set_bloom_filter(10, False)  # whole keys: an unknown session costs no read
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(table)
    options.set_compression_type(DBCompressionType.lz4())  # states are noise, answers are text
    options.set_wal_recovery_mode(DBRecoveryMode.tolerate_corrupted_tail_records())
    options.set_manifest_preallocation_size(64 * 1024)
    options.set_keep_log_file_num(2)
    options.set_max_log_file_size(1024 * 1024)
    options.set_stats_dump_period_sec(0)
    return options


def _batch(puts: Sequence[tuple[bytes, bytes]], deletes: Sequence[bytes]) -> WriteBatch:
    batch = WriteBatch(raw_mode=True)
    for key, value in puts:
        batch.put(key, value)
    for key in deletes:
        batch.delete(key)
    return batch


def _close(db: Rdict) -> None:
    # It cannot write its last table if the disk is full. The log has all of it.
    with contextlib.suppress(Exception):
        db.close()


def _make_folder(path: Path) -> None:
    """Make a folder and its parents, each of which survives the loss of power."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        parent = os.open(folder.parent, os.O_RDONLY)
        try:
            os.fsync(parent)
        finally:
            os.close(parent)


def _lock(path: Path) -> io.FileIO:
    """Take the folder for this process until the returned file is closed.

    RocksDB has a lock of its own, but lets go of it between closing and reopening, and tells of it
    only in prose.
    """
    lock = (path / _LOCK_FILE).open("a+b", buffering=0)
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


def _check_folder(path: Path) -> None:
    """Refuse to begin a store among other files."""
    names = sorted(entry.name for entry in path.iterdir())
    if "CURRENT" not in names:
        for name in names:
            if not _NOTHING_YET.fullmatch(name):
                raise _foreign(path, f"has {name!r} in it, but no store")


def _foreign(path: Path, message: str) -> StoreError:
    return StoreError(
        "store_foreign",
        f"{path} {message}",
        field="store",
        hint="give the path of a store, of an empty folder or of a new one",
    )


def _damaged(path: Path, message: str) -> StoreError:
    return StoreError(
        "store_damaged",
        f"{path}: {message}",
        field="store",
        hint="restore the folder from a backup, or move it away to begin with an empty store",
    )


def _locked(path: Path, owner: str) -> StoreError:
    return StoreError(
        "store_locked",
        f"{path} is open in {owner}",
        field="store",
        hint="stop it first, or give this one a folder of its own",
    )
