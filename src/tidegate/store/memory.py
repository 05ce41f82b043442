"""A store that forgets everything when it is closed, for sessions that may be lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tidegate.errors import StoreError

__all__ = ["MemoryStore"]


class MemoryStore:
    """A dictionary behind the protocol.

    Examples
    --------
    >>> store = MemoryStore()
    >>> store.commit([(b"b", b"2"), (b"a", b"1"), (b"c", b"3")], deletes=[b"c"])
    >>> list(store.scan())
    [(b'a', b'1'), (b'b', b'2')]
    """

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] | None = {}

    volatile = True

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key, in the order of the keys; None for a key without one."""
        values = self._open_values()
        return [values.get(key) for key in keys]

    def commit(self, puts: Sequence[tuple[bytes, bytes]], deletes: Sequence[bytes] = ()) -> None:
        """Put values, then delete keys. Nothing here is durable."""
        values = self._open_values()
        values.update(puts)
        for key in deletes:
            values.pop(key, None)

    def scan(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Iterate over keys that begin with `prefix` and their values, in the order of the keys."""
        found = [item for item in self._open_values().items() if item[0].startswith(prefix)]
        return iter(sorted(found))

    def close(self) -> None:
        """Forget everything."""
        self._values = None

    def _open_values(self) -> dict[bytes, bytes]:
        if self._values is None:
            raise StoreError("store_closed", "the store is closed", hint="open it again")
        return self._values
