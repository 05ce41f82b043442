"""A store whose disk is as slow as a test says, behind the protocol of the real ones."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterator, Sequence

from tidegate import core
from tidegate.errors import StoreError

Change = tuple[bytes, bytes | None]


class HeldStore:
    """Takes groups at once, and makes them durable when `let` says so, or loses them with `fail`.

    As with the log, what is not durable cannot be read, no ticket is given twice, and after a
    failure nothing is taken until `recover`.
    """

    volatile = False
    queued_bytes = 0

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.pending: deque[tuple[int, list[Change]]] = deque()
        self.failed = False
        self.free = False
        self._issued = self._done = 0
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def let(self, groups: int = 1) -> None:
        """Let the disk take so many groups."""
        for _ in range(groups):
            self._done, changes = self.pending.popleft()
            for key, value in changes:
                if value is None:
                    self.values.pop(key, None)
                else:
                    self.values[key] = value
        os.eventfd_write(self._event, 1)

    def let_all(self) -> None:
        """From now on the disk is as fast as memory."""
        self.free = True
        self.let(len(self.pending))

    def fail(self) -> None:
        """Lose what is not durable."""
        self.failed = True
        self.pending.clear()
        os.eventfd_write(self._event, 1)

    def append(self, group: core.Group) -> int:
        self._refuse_failed()
        self._issued += 1
        self.pending.append((self._issued, group.items()))
        group.clear()
        if self.free:
            self.let()
        return self._issued

    def progress(self) -> tuple[int, bool, list[tuple[float, float, int, int]]]:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._event)
        return self._done, self.failed, []

    def fileno(self) -> int:
        return self._event

    def wait(self, ticket: int, timeout: float | None = None) -> None:
        if ticket > self._done:
            self._refuse_failed()
            self.let(ticket - self._done)

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return [self.values.get(key) for key in keys]

    def commit(self, puts: Sequence[tuple[bytes, bytes]], deletes: Sequence[bytes] = ()) -> None:
        self.values.update(puts)
        for key in deletes:
            self.values.pop(key, None)

    def recover(self) -> bool:
        self.failed = False
        self._done = self._issued
        return True

    def ages(self, live_seconds: float, tombstone_seconds: float, now: float | None = None) -> None:
        pass

    def scan(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        return iter([item for item in self.values.items() if item[0].startswith(prefix)])

    def close(self) -> None:
        os.close(self._event)

    def _refuse_failed(self) -> None:
        if self.failed:
            raise StoreError("store_failed", "the disk is gone")
