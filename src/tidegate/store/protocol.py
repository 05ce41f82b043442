"""What every store does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

__all__ = ["Store"]


class Store(Protocol):
    """Values by key; both are bytes, and their meaning is nothing to the store.

    Any thread may use a store, one at a time. The methods raise `StoreError`: ``store_closed``
    after `close`, ``store_failed`` if the medium does, ``store_damaged`` if it has changed.
    """

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key, in the order of the keys; None for a key without one."""
        ...

    def commit(self, puts: Sequence[tuple[bytes, bytes]], deletes: Sequence[bytes] = ()) -> None:
        """Put values, then delete keys: all or nothing, and durable on return.

        A later put of the same key wins; to delete a key that has no value is no error. After an
        error the store has its old values, and the next commit tries again.
        """
        ...

    def scan(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Iterate over keys that begin with `prefix` and their values, in the order of the keys.

        Commits between two steps of the iterator may or may not be seen by it.
        """
        ...

    def close(self) -> None:
        """Let go of the store. To close it again does nothing."""
        ...
