"""What every store does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from tidegate import core

__all__ = ["Store"]


class Store(Protocol):
    """Values by key; both are bytes, and their meaning is nothing to the store.

    Keys have 1 to 65,535 bytes. Any thread may use a store. The methods raise `StoreError`:
    ``store_closed`` after `close`, ``store_failed`` if the medium does, ``store_damaged`` if it has
    changed.
    """

    @property
    def volatile(self) -> bool:
        """Whether everything is lost at the end of the process: then nothing need be put here."""
        ...

    @property
    def failed(self) -> bool:
        """Whether the medium failed, and `recover` has not been called with success."""
        ...

    @property
    def queued_bytes(self) -> int:
        """Bytes that were appended and are not done."""
        ...

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key, in the order of the keys; None for a key without one."""
        ...

    def commit(self, puts: Sequence[tuple[bytes, bytes]], deletes: Sequence[bytes] = ()) -> None:
        """Put values, then delete keys: all or nothing, and durable on return.

        A later put of the same key wins; to delete a key that has no value is no error. After an
        error the store has its old values, and the next commit tries again.
        """
        ...

    def append(self, group: core.Group) -> int:
        """Queue a group of changes, and leave it empty; return its ticket.

        `get` and `scan` know nothing of it until it is done.
        """
        ...

    def progress(self) -> tuple[int, bool, list[tuple[float, float, int, int]]]:
        """Return the last ticket that is done, whether the store has failed, and new timings.

        A timing is of one write: seconds of the write and of the sync, bytes, frames.
        """
        ...

    def fileno(self) -> int:
        """Return a file descriptor that can be read when `progress` has news."""
        ...

    def wait(self, ticket: int, timeout: float | None = None) -> None:
        """Wait until a ticket is done; `TimeoutError` after `timeout` seconds."""
        ...

    def recover(self) -> bool:
        """Go on after a failure, if the medium lets us; return whether it did."""
        ...

    def ages(self, live_seconds: float, tombstone_seconds: float, now: float | None = None) -> None:
        """Let records go when they are old."""
        ...

    def scan(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Iterate over keys that begin with `prefix` and their values, in no order.

        Commits between two steps of the iterator may or may not be seen by it.
        """
        ...

    def close(self) -> None:
        """Let go of the store. To close it again does nothing."""
        ...
