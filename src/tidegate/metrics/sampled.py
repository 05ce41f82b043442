"""What is asked for only when somebody looks: the store's size, memory, connections."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

__all__ = ["Connections", "Memory", "StoreFigures", "StoreSize", "resident_bytes"]

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
    """

    bytes: int = 0
    live_bytes: int = 0
    segments: int = 0
    cuts: int = 0
    records: int = 0


_STORE = {
    "bytes": "Size of the store's files",
    "live_bytes": "Size of the store's current records",
    "segments": "Files of the store",
    "cuts": "Files that the store has cut off",
    "records": "Sessions and tombstones in the store",
}


class StoreSize(Collector):
    """``tidegate_store_bytes`` and so on.

    Parameters
    ----------
    registry : CollectorRegistry
        Where it is shown.

    Notes
    -----
    `ask` gives the figures; until it is set, there are none.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.ask: Callable[[], StoreFigures] | None = None
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """Return the names, so that they cannot be registered twice."""
        return self._families(StoreFigures())

    def collect(self) -> Iterable[Metric]:
        """Ask the store."""
        return () if self.ask is None else self._families(self.ask())

    def _families(self, figures: StoreFigures) -> Iterable[Metric]:
        for field in fields(figures):
            is_count = field.name == "cuts"
            kind = CounterMetricFamily if is_count else GaugeMetricFamily
            name = f"tidegate_store_{field.name}"
            yield kind(name, _STORE[field.name], value=getattr(figures, field.name))


class Memory(Collector):
    """``tidegate_memory_bytes`` and its bound.

    Parameters
    ----------
    registry : CollectorRegistry
        Where it is shown.
    bound : int
        Bytes; 0 is none, and then there is no ``tidegate_memory_bound_bytes``.
    """

    def __init__(self, registry: CollectorRegistry, bound: int) -> None:
        self._bound = bound
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """Ask the system."""
        yield GaugeMetricFamily(
            "tidegate_memory_bytes", "Resident memory of the process", value=resident_bytes()
        )
        if self._bound:
            yield GaugeMetricFamily(
                "tidegate_memory_bound_bytes",
                "Memory above which sessions are evicted",
                value=self._bound,
            )

    def describe(self) -> Iterable[Metric]:
        """Return the names, so that they cannot be registered twice."""
        return self.collect()


class Connections(Collector):
    """``tidegate_connections``: those to a port, of which the HTTP server does not tell.

    Parameters
    ----------
    registry : CollectorRegistry
        Where it is shown.
    port : int
        The port that is listened on.
    """

    def __init__(self, registry: CollectorRegistry, port: int) -> None:
        self._local = f":{port:04X}".encode()
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """Ask the system."""
        open_now = sum(self._count(table) for table in _TCP_TABLES if table.exists())
        yield self._family(open_now)

    def describe(self) -> Iterable[Metric]:
        """Return the name, so that it cannot be registered twice."""
        yield self._family(0)

    def _family(self, value: int) -> Metric:
        help_text = "Connections that are open, those that wait to be served included"
        return GaugeMetricFamily("tidegate_connections", help_text, value=value)

    def _count(self, table: Path) -> int:
        with table.open("rb") as lines:
            next(lines)
            # Their columns: number, local address, remote address, state.
            rows = (line.split(maxsplit=4) for line in lines)
            return sum(row[1].endswith(self._local) and row[3] in _OPEN_STATES for row in rows)


def resident_bytes() -> int:
    """Return how much memory this process has: about 5 us."""
    return int(_STATM.read_bytes().split()[1]) * _PAGE
