"""Histograms that a hot path can afford.

`prometheus_client.Histogram` takes a lock and walks its bounds: about 1 us an observation. Here
one is a search among the bounds and two additions, about 0.15 us; what Prometheus wants to see is
made of them when it asks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

__all__ = ["SECONDS", "SIZES", "Distribution", "Distributions"]

SECONDS = (*(float(f"{digit}e{power}") for power in range(-6, 1) for digit in (1, 2, 5)), 10.0)
"""Bounds of times: 1 us to 10 s, three a decade."""

SIZES = tuple(float(2**power) for power in range(17))
"""Bounds of numbers of things: 1 to 65,536."""


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


class Distributions(Collector):
    """A histogram of Prometheus, with a `Distribution` for each value of its label, or just one.

    Parameters
    ----------
    name, help_text : str
        As Prometheus shows them.
    registry : CollectorRegistry
        Where it is shown.
    label : str, optional
        A label's name; its values are the keys of `members`.
    members : mapping of str to Distribution
        Without a label: one, under any key.
    """

    def __init__(
        self,
        name: str,
        help_text: str,
        registry: CollectorRegistry,
        members: Mapping[str, Distribution],
        label: str | None = None,
    ) -> None:
        self._name = name
        self._help = help_text
        self._members = members
        self._labels = [] if label is None else [label]
        registry.register(self)

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """Return what was seen so far."""
        family = HistogramMetricFamily(self._name, self._help, labels=self._labels)
        for value, member in self._members.items():
            family.add_metric([value] if self._labels else [], member.buckets(), member.total)
        return [family]

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """Return the name, so that it cannot be registered twice."""
        return [HistogramMetricFamily(self._name, self._help, labels=self._labels)]
