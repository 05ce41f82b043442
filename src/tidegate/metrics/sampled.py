"""What is asked for only when somebody looks: the store's size, memory, connections."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

from tidegate.metrics.instruments import Count, Family, Level

__all__ = ["StoreFigures", "connections", "memory", "resident_bytes", "store_size"]

_PAGE = os.sysconf("SC_PAGE_SIZE")
_STATM = Path("/proc/self/statm")
_TCP_TABLES = (Path("/proc/self/net/tcp"), Path("/proc/self/net/tcp6"))
_OPEN_STATES = (b"01", b"08")  # ESTABLISHED, CLOSE_WAIT


@dataclass(frozen=True)
class StoreFigures:
    """What a store says of itself.

    Parameters
    ----------
    bytes : int
        Size of its files.
    live_bytes : int
        Size of the records that are current.
    segments : int
        Number of its files.
    cuts : int
        Files that were cut off since the process began.
    records : int
        Sessions and tombstones in it.
    cut_error : int
        The ``errno`` that keeps the oldest file from being cut off; 0 if nothing does.
    """

    bytes: int = 0
    live_bytes: int = 0
    segments: int = 0
    cuts: int = 0
    records: int = 0
    cut_error: int = 0


_STORE = {
    "bytes": "Size of the store's files",
    "live_bytes": "Size of the store's current records",
    "segments": "Files of the store",
    "cuts": "Files that the store has cut off",
    "records": "Sessions and tombstones in the store",
    "cut_error": "errno that keeps the oldest file from being cut off, 0 if nothing does",
}


def store_size(figures: StoreFigures) -> Iterable[Family]:
    """Tell a store's figures: ``tidegate_store_bytes`` and so on."""
    for field in fields(figures):
        name, value = f"tidegate_store_{field.name}", getattr(figures, field.name)
        if field.name == "cuts":
            yield Family("counter", name, _STORE[field.name], (), {(): Count(value)})
        else:
            yield _gauge(name, _STORE[field.name], value)


def memory(bound: int) -> Iterable[Family]:
    """Tell ``tidegate_memory_bytes``, and its bound if that is not 0."""
    yield _gauge("tidegate_memory_bytes", "Resident memory of the process", resident_bytes())
    if bound:
        name = "tidegate_memory_bound_bytes"
        yield _gauge(name, "Memory above which sessions are evicted", bound)


def connections(port: int) -> Iterable[Family]:
    """Tell ``tidegate_connections``: those to a port, of which the HTTP server does not tell."""
    local = f":{port:04X}".encode()
    open_now = sum(_open_connections(table, local) for table in _TCP_TABLES if table.exists())
    help_text = "Connections that are open, those that wait to be served included"
    yield _gauge("tidegate_connections", help_text, open_now)


def _open_connections(table: Path, local: bytes) -> int:
    with table.open("rb") as lines:
        next(lines)
        # Their columns: number, local address, remote address, state.
        rows = (line.split(maxsplit=4) for line in lines)
        return sum(row[1].endswith(local) and row[3] in _OPEN_STATES for row in rows)


def _gauge(name: str, help_text: str, value: float) -> Family:
    return Family("gauge", name, help_text, (), {(): Level(value)})


def resident_bytes() -> int:
    """Return how much memory this process has: about 5 us."""
    return int(_STATM.read_bytes().split()[1]) * _PAGE
