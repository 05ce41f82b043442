"""Counters, levels and histograms that a hot path can afford.

Those of `prometheus_client` cost about 1 us a call, and a tenth of a server's start to load. These
cost a seventh of that; `exposition` makes of them what Prometheus wants to see when it asks.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any, Literal, NamedTuple

__all__ = ["SECONDS", "SIZES", "Count", "Distribution", "Family", "Level"]

SECONDS = (*(float(f"{digit}e{power}") for power in range(-6, 1) for digit in (1, 2, 5)), 10.0)
"""Bounds of times: 1 us to 10 s, three a decade."""

SIZES = tuple(float(2**power) for power in range(17))
"""Bounds of numbers of things: 1 to 65,536."""


class Count:
    """How often something happened; any thread may count.

    Examples
    --------
    >>> count = Count()
    >>> count.inc()
    >>> count.inc(2)
    >>> count.value
    3
    """

    __slots__ = ("_lock", "value")

    def __init__(self, value: float = 0) -> None:
        self.value = value
        self._lock = threading.Lock()

    def inc(self, n: int = 1) -> None:
        """Count so many."""
        with self._lock:  # an addition is not one step of the interpreter
            self.value += n


class Level:
    """How high something stands; it belongs to one thread, and any may read.

    Examples
    --------
    >>> level = Level()
    >>> level.set(3)
    >>> level.value
    3
    """

    __slots__ = ("value",)

    def __init__(self, value: float = 0) -> None:
        self.value = value

    def set(self, value: float) -> None:
        """Say where it stands now."""
        self.value = value

    def inc(self, n: int = 1) -> None:
        """Let it rise, or sink by a negative number."""
        self.value += n


class Distribution:
    """How often which values were seen.

    Parameters
    ----------
    bounds : sequence of float
        Upper bounds of the buckets, each belonging to its bucket; beyond the last is one more.

    Notes
    -----
    It belongs to one thread, which alone may observe: an addition is not one step of the
    interpreter, and there is no lock. Any thread may read; it may miss what is being added.

    Examples
    --------
    >>> seen = Distribution((1.0, 2.0))
    >>> seen.observe(1.0)
    >>> seen.observe_many([1.5, 3.0])
    >>> seen.counts, seen.total
    ([1, 1, 1], 5.5)
    """

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self._bounds = tuple(bounds)
        self.counts = [0] * (len(self._bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Add a value."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def observe_many(self, values: Iterable[float]) -> None:
        """Add values."""
        bounds, counts, total = self._bounds, self.counts, 0.0
        for value in values:
            counts[bisect_left(bounds, value)] += 1
            total += value
        self.total += total

    def buckets(self) -> list[tuple[str, float]]:
        """Return bounds and cumulative counts as Prometheus wants them."""
        names = [*map(str, self._bounds), "+Inf"]
        return list(zip(names, map(float, accumulate(self.counts)), strict=True))


class Family(NamedTuple):
    """A metric as it is told: its name without what its kind adds, and its members by label.

    Parameters
    ----------
    kind : {"counter", "gauge", "histogram"}
        Whose members are `Count`, `Level` or `Distribution`.
    name, help_text : str
        As Prometheus shows them.
    labels : tuple of str
        Names of the labels.
    members : mapping of tuple of str to an instrument
        By the values of the labels.
    """

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    help_text: str
    labels: tuple[str, ...]
    members: Mapping[Any, Count | Level | Distribution]
