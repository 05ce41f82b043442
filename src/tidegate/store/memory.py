"""A store that forgets everything when it is closed, for sessions that may be lost."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

from tidegate import core
from tidegate.errors import StoreError
from tidegate.store.log import Timing, group_of

__all__ = ["MemoryStore"]


class MemoryStore:
    """A dictionary behind the protocol.

    Examples
    --------
    >>> store = MemoryStore()
    >>> store.commit([(b"b", b"2"), (b"a", b"1"), (b"c", b"3")], deletes=[b"c"])
    >>> sorted(store.scan())
    [(b'a', b'1'), (b'b', b'2')]
    >>> store.close()
    """

    volatile = True
    failed = False
    queued_bytes = 0

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] | None = {}
        self._ticket = 0
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def __del__(self) -> None:
        self.close()

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key, in the order of the keys; None for a key without one."""
        values = self._open_values()
        return [values.get(key) for key in keys]

    def commit(self, puts: Sequence[tuple[bytes, bytes]], deletes: Sequence[bytes] = ()) -> None:
        """Put values, then delete keys. Nothing here is durable."""
        self._open_values()
        self.append(group_of(puts, deletes))

    def append(self, group: core.Group) -> int:
        """Do what a group says, at once; return its ticket."""
        values = self._open_values()
        for key, value in group.items():
            if value is None:
                values.pop(key, None)
            else:
                values[key] = value
        group.clear()
        self._ticket += 1
        os.eventfd_write(self._event, 1)
        return self._ticket

    def progress(self) -> tuple[int, bool, list[Timing]]:
        """Return the last ticket, all of which are done."""
        self._open_values()
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._event)
        return self._ticket, False, []

    def fileno(self) -> int:
        """Return an eventfd that can be read whenever `progress` has news."""
        self._open_values()
        return self._event

    def wait(self, ticket: int, timeout: float | None = None) -> None:  # noqa: ARG002
        """Return: every ticket is done."""
        self._open_values()

    def recover(self) -> bool:
        """Return that nothing has failed."""
        self._open_values()
        return True

    def ages(self, live_seconds: float, tombstone_seconds: float, now: float | None = None) -> None:
        """Do nothing: there is no cutting here."""

    def scan(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Iterate over keys that begin with `prefix` and their values, in no order."""
        return iter([item for item in self._open_values().items() if item[0].startswith(prefix)])

    def close(self) -> None:
        """Forget everything."""
        if self._values is not None:
            self._values = None
            os.close(self._event)

    def _open_values(self) -> dict[bytes, bytes]:
        if self._values is None:
            raise StoreError("store_closed", "the store is closed", hint="open it again")
        return self._values
