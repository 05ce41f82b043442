"""What is asked for only when somebody looks: the store's size, the process's memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

__all__ = ["Memory", "StoreFigures", "StoreSize", "resident_bytes"]

_PAGE = os.sysconf("SC_PAGE_SIZE")
_STATM = Path("/proc/self/statm")


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


def resident_bytes() -> int:
    """Return how much memory this process has: about 5 us."""
    return int(_STATM.read_bytes().split()[1]) * _PAGE
