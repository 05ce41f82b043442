"""What is told to Prometheus; loaded when it first asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from tidegate.metrics.instruments import Distribution, Family

__all__ = ["CONTENT_TYPE_LATEST", "generate_latest", "registry_of"]

_SIMPLE = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}


class _Told(Collector):
    """Tells what families hold."""

    def __init__(self, families: Callable[[], Iterable[Family]]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return [_metric(family) for family in self._families()]


def registry_of(families: Callable[[], Iterable[Family]]) -> CollectorRegistry:
    """Return a registry that asks for families, and for what the process uses, at each look."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(_Told(families))
    return registry


def _metric(family: Family) -> Metric:
    kind, name, help_text, labels, members = family
    if kind == "histogram":
        histogram = HistogramMetricFamily(name, help_text, labels=labels)
        for values, member in members.items():
            assert isinstance(member, Distribution)
            histogram.add_metric(values, member.buckets(), member.total)
        return histogram
    simple: CounterMetricFamily | GaugeMetricFamily = _SIMPLE[kind](name, help_text, labels=labels)
    for values, member in members.items():
        assert not isinstance(member, Distribution)
        simple.add_metric(values, member.value)
    return simple
