"""A store on disk: a log, and an index in memory of where the newest frame of each key lies.

All that changes a store goes to the end of its log, and is read from there. What the files hold is
said in ``native/log_internal.h``, in short:

- A commit is a group of frames. One write and one sync make durable all groups that wait, in a
  thread of their own, without the interpreter's lock. Only then are they read and reported done.
- On opening, the log is read again: index files of the segments that were full, and the frames of
  the last one. A group that was not whole when the process or the machine died was not
  acknowledged, and is void. Anything else that is not as it was written is damage, and refused.
- Segments that are mostly outdated are cut away, the oldest first.

What fails, and what happens then
---------------------------------
A write or a sync fails (a full disk, an error of it)
    No group that waits is ever done; `append` and `commit` raise, reads go on. `recover` never
    syncs that file again: it begins a new segment, whose header says where the last durable group
    ended. What lies behind is void for good, whether or not the disk has it.
The disk is full
    As above. What was taken in advance for the segment that failed is given back first. A spare
    file of a segment's size is kept for this: `recover` gives it up, so that cutting has room to
    copy to, and it is made again when there is room for it. A disk that is full of current records
    stays full: it needs a larger disk, or sessions deleted while there was room.
The process or the machine dies
    The last groups may be incomplete. They were not acknowledged. Those that are whole are written
    anew on opening, because nobody knows whether the disk has them. A group that was told to have
    failed may be found whole then, if the process dies before it has recovered.
A file is damaged
    ``store_damaged`` on opening, or when the frame is read. A value that is not as it was written
    is returned as it is: records have a checksum of their own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NoReturn, TypeVar

import msgspec

from tidegate import core
from tidegate.errors import InputError, StoreError
from tidegate.store.folder import check_folder, damaged, foreign, lock_folder, make_folder

__all__ = ["SHARDS", "LogStats", "LogStore", "Timing"]

SHARDS = 256
"""Parts of the index that a scan walks through."""

_DAMAGED, _VERSION = 2, 3
_LATE, _LOST = 1, 2
_T = TypeVar("_T")

Timing = tuple[float, float, int, int]
"""Of one write: seconds of the write, seconds of the sync, bytes, frames."""


class LogStats(msgspec.Struct, frozen=True):
    """What a store holds and what it did since it was opened.

    Parameters
    ----------
    keys : int
        Keys that have a value.
    sessions, tombstones : int
        Those that are records of sessions; and of them, of sessions that are over.
    bytes, live_bytes : int
        Of all segments, and of the frames in them that are current.
    segments : int
        Files of the log.
    cuts : int
        Segments that were cut away.
    swept, expired : int
        Tombstones and live records that were dropped for their age.
    copied_bytes : int
        Frames that cutting wrote again.
    queued_bytes : int
        Appended and not yet written.
    frames_scanned, frames_indexed : int
        On opening, frames that were read from segments and from index files.
    open_seconds : float
        How long the opening took.
    cut_error : int
        The ``errno`` that holds up the cutting; 0 if nothing does.
    """

    keys: int
    sessions: int
    tombstones: int
    bytes: int
    live_bytes: int
    segments: int
    cuts: int
    swept: int
    expired: int
    copied_bytes: int
    queued_bytes: int
    frames_scanned: int
    frames_indexed: int
    open_seconds: float
    cut_error: int


class LogStore:
    """A folder that one process at a time has open.

    Parameters
    ----------
    path : Path
        The folder. It is made if it does not exist.
    sync : {"every", "interval"}
        Whether a group is done when it is durable, or as soon as it is written; then a loss of
        power loses what was written in the last `sync_ms`, the death of the process nothing.
    sync_ms : int
        Milliseconds between syncs, for ``"interval"``.
    segment_size : int
        Bytes at which a new segment begins.
    space : float
        Bytes on disk, at most, for each byte of current frames; four segments are always allowed.
    read_only : bool
        Look at it as it is, perhaps while another process has it open. Nothing is written.
    tolerant : bool
        With `read_only`: go on where something is damaged, and tell it in `damages`.

    Raises
    ------
    StoreError
        ``store_locked``: another process has it open. ``store_unwritable``: it cannot be made or
        written. ``store_foreign``: the folder has something else in it. ``store_version``: a newer
        tidegate made it. ``store_damaged``: its files are damaged.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> store = LogStore(Path(folder.name))
    >>> group = core.Group()
    >>> group.add(b"key", b"value")
    >>> ticket = store.append(group)
    >>> store.wait(ticket)
    >>> store.progress()[:2], store.get([b"key", b"other"])
    ((1, False), [b'value', None])
    >>> store.close()
    >>> folder.cleanup()
    """

    volatile = False

    def __init__(
        self,
        path: Path,
        *,
        sync: Literal["every", "interval"] = "every",
        sync_ms: int = 100,
        segment_size: int = 64 << 20,
        space: float = 3.0,
        read_only: bool = False,
        tolerant: bool = False,
    ) -> None:
        self.path = path
        self._lock = None
        try:
            if not read_only:
                make_folder(path)
            check_folder(path)
            if not read_only:
                self._lock = lock_folder(path)
            elif not any(path.glob("*.log")) and not (path / "CURRENT").exists():
                raise foreign(path, "holds no store")
        except OSError as error:
            verb = "read" if read_only else "written"
            raise StoreError(
                "store_unwritable",
                f"{path} cannot be {verb}: {error.strerror}",
                field="store",
                hint=f"give the path of a folder that this user may {verb.replace('tten', 'te')}",
            ) from error
        period = 0 if sync == "every" else max(sync_ms, 1)
        try:
            self._log = core.Log(
                os.fsencode(path), segment_size, space, period, read_only, tolerant
            )
        except core.LogError as error:
            self._unlock()
            self._refuse(error, "store_unwritable")
        except BaseException:
            self._unlock()
            raise

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key, in the order of the keys; None for a key without one."""
        try:
            return self._log.get(keys)
        except core.LogError as error:
            self._refuse(error)

    def commit(self, puts: Sequence[tuple[bytes, bytes]], deletes: Sequence[bytes] = ()) -> None:
        """Put values, then delete keys: all or nothing, and durable on return.

        After an error of the medium the next commit recovers first.
        """
        group = group_of(puts, deletes)
        if self.failed and not self.recover():
            self._refuse_failed()
        self.wait(self.append(group))

    def append(self, group: core.Group) -> int:
        """Queue a group, which is empty after that; return the ticket that says when it is done.

        Raises
        ------
        StoreError
            ``store_failed``: an earlier group failed, and nothing is taken until `recover`.
        """
        try:
            return self._log.append(group)
        except core.LogError as error:
            self._refuse(error)

    def progress(self) -> tuple[int, bool, list[Timing]]:
        """Return the last ticket that is done, whether the store has failed, and new timings.

        All tickets up to that one are done, but for those that a failure dropped: whoever sees that
        the store failed must take all that he waits for as lost, before he calls `recover`.
        """
        try:
            return self._log.progress()
        except core.LogError as error:
            self._refuse(error)

    def wait(self, ticket: int, timeout: float | None = None) -> None:
        """Wait until a ticket is done.

        Raises
        ------
        StoreError
            ``store_failed``: it never will be.
        TimeoutError
            It is not done after `timeout` seconds.
        """
        try:
            result = self._log.wait(ticket, -1.0 if timeout is None else timeout)
        except core.LogError as error:
            self._refuse(error)
        if result == _LOST:
            self._refuse_failed()
        if result == _LATE:
            raise TimeoutError(f"ticket {ticket} is not done after {timeout} s")

    def recover(self) -> bool:
        """Go on after a failure, if the medium lets us; return whether it did.

        Waits for the disk. Without a failure there is nothing to do.
        """
        try:
            return self._log.recover()
        except core.LogError as error:
            self._refuse(error)

    @property
    def failed(self) -> bool:
        """Whether a write or a sync failed, and `recover` has not been called with success."""
        try:
            return self._log.failed
        except core.LogError as error:
            self._refuse(error)

    @property
    def queued_bytes(self) -> int:
        """Bytes that were appended and are not done."""
        try:
            return self._log.queued_bytes
        except core.LogError as error:
            self._refuse(error)

    def fileno(self) -> int:
        """Return an eventfd that can be read whenever `progress` has news."""
        try:
            return self._log.fileno()
        except core.LogError as error:
            self._refuse(error)

    def ages(self, live_seconds: float, tombstone_seconds: float, now: float | None = None) -> None:
        """Let records go when they are old; cutting drops them from then on.

        Parameters
        ----------
        live_seconds, tombstone_seconds : float
            A tombstone goes after `tombstone_seconds`, the record of a live session after both:
            until then it can be told that it expired. ``math.inf``: they stay.
        now : float, optional
            Unix seconds that count as the present. Default: the system's clock.
        """
        try:
            self._log.ages(live_seconds, tombstone_seconds, now or 0.0)
        except core.LogError as error:
            self._refuse(error)

    def cut(self) -> None:
        """Begin a new segment, and cut all older ones away now.

        Raises
        ------
        StoreError
            ``store_failed``: the medium has, or ``store_damaged``: a frame cannot be read.
        """
        try:
            if self._log.cut():
                return
        except core.LogError as error:
            self._refuse(error)
        if self.failed:
            self._refuse_failed()
        raise damaged(self.path, "a frame that should be copied cannot be read")

    def scan(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Iterate over keys that begin with `prefix` and their values, in no order.

        Every key that has a value all the while comes once, with a value that it had meanwhile.
        """
        self.stats()  # a closed store refuses at once
        return ((key, value) for key, value, *_ in self.frames(prefix))

    def frames(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes, int, int, int, bool]]:
        """Iterate as `scan` does over keys, values, kinds, segments, offsets, and soundness."""
        for shard in range(SHARDS):
            try:
                found = self._log.scan(shard, prefix)
            except core.LogError as error:
                self._refuse(error)
            yield from found

    def stats(self) -> LogStats:
        """Return what the store holds and did."""
        try:
            return msgspec.convert(self._log.stats(), LogStats)
        except core.LogError as error:
            self._refuse(error)

    @property
    def damages(self) -> list[tuple[int, int, str]]:
        """Segment, offset and description of what was damaged on opening (`tolerant`)."""
        return self._log.damages()

    @property
    def log(self) -> core.Log:
        """The log itself, for tools."""
        return self._log

    def close(self) -> None:
        """Make durable what waits, and let go of the folder. To close it again does nothing.

        Raises
        ------
        StoreError
            ``store_failed``: what was not yet done may be lost. The folder is let go of.
        """
        if self._log.closed:
            return
        number = self._log.close()
        self._unlock()
        if number:
            raise self._failed_with(f"closing it: {os.strerror(number)}")

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _refuse_failed(self) -> NoReturn:
        _, number, text = self._log.failure()
        raise self._failed_with(f"{text}: {os.strerror(number)}")

    def _failed_with(self, message: str, code: str = "store_failed") -> StoreError:
        return StoreError(
            code,
            f"{self.path}: {message}",
            field="store",
            hint="free space on its disk, or see what is wrong with it; then try again",
        )

    def _refuse(self, error: core.LogError, otherwise: str = "store_failed") -> NoReturn:
        """Raise what the log says as a typed error; `otherwise`: the medium's."""
        code, number, text = error.args
        if code == _DAMAGED:
            raise damaged(self.path, text) from error
        if code == _VERSION:
            raise StoreError(
                "store_version",
                f"{self.path}: {text}",
                field="store",
                hint="it was made by a newer tidegate: run that version or a later one",
            ) from error
        if not code:
            raise StoreError(
                "store_closed", f"{self.path} is closed", hint="open it again"
            ) from error
        raise self._failed_with(f"{text}: {os.strerror(number)}", otherwise) from error


def group_of(puts: Sequence[tuple[bytes, bytes]], deletes: Sequence[bytes] = ()) -> core.Group:
    """Return a group of puts and, behind them, deletes.

    Raises
    ------
    InputError
        ``bad_key``: a key is empty, or has more than 65,535 bytes.
    """
    group = core.Group()
    try:
        for key, value in puts:
            group.add(key, value)
        for key in deletes:
            group.delete(key)
    except ValueError as error:
        raise InputError(
            "bad_key", str(error), field="key", hint="use keys of 1 to 65,535 bytes"
        ) from error
    return group
