"""Where records live: one small protocol, and stores in memory and on disk."""

from __future__ import annotations

import os
from pathlib import Path

from tidegate.errors import InputError
from tidegate.store.keys import meta_key, session_key, session_prefix, split_session_key
from tidegate.store.log import LogStats, LogStore
from tidegate.store.memory import MemoryStore
from tidegate.store.protocol import Store

__all__ = [
    "LogStats",
    "LogStore",
    "MemoryStore",
    "Store",
    "meta_key",
    "open",
    "session_key",
    "session_prefix",
    "split_session_key",
]


def open(  # noqa: A001 - read as store.open
    where: str | os.PathLike[str],
    *,
    sync_ms: int = 0,
    segment_size: int = 64 << 20,
    space: float = 3.0,
) -> Store:
    """Open a store, or begin a new one.

    Parameters
    ----------
    where : str or path
        ``"memory:"``, or the folder of a store on disk (`LogStore`). A folder that does not exist
        is made.
    sync_ms, segment_size, space
        Of a store on disk, as in `LogStore`; `sync_ms` 0 syncs every group before it is done.

    Returns
    -------
    Store
        Close it when done: until then no other process can open its folder.

    Raises
    ------
    InputError
        ``bad_store``: neither ``memory:`` nor a path.
    StoreError
        ``store_locked``, ``store_unwritable``, ``store_foreign``, ``store_version`` or
        ``store_damaged``, as in `LogStore`.

    Examples
    --------
    >>> store = open("memory:")
    >>> store.commit([(session_key("default", "flights", "JFK/B6"), b"record")])
    >>> store.get([session_key("default", "flights", "JFK/B6"), b"nothing"])
    [b'record', None]
    """
    name = os.fspath(where)
    if name == "memory:":
        return MemoryStore()
    if not name or "://" in name or "\0" in name:
        raise InputError(
            "bad_store",
            f"{name!r} is no store",
            field="store",
            hint="use memory: or the path of a folder",
        )
    return LogStore(
        Path(name),
        sync="interval" if sync_ms else "every",
        sync_ms=sync_ms,
        segment_size=segment_size,
        space=space,
    )
