"""What a running gate counts and times."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

__all__ = ["CONTINUITY_KINDS", "OUTCOMES", "REFUSALS", "GateMetrics"]

OUTCOMES = (
    "answered",
    "repeat",
    "payload_conflict",
    "seq_stale",
    "seq_gap",
    "session_ended",
    "session_deleted",
    "session_expired",
    "previous_failed",
    "bad_input",
    "not_finite_output",
    "record_damaged",
    "store_failed",
    "overloaded",
    "draining",
    "internal",
)
"""What can become of an event; the values of the label ``outcome``."""

CONTINUITY_KINDS = (
    "gap",
    "stale",
    "conflict",
    "ended",
    "deleted",
    "expired",
    "start_on_live",
    "start_on_tombstone",
    "reset",
    "record_damaged",
    "time_backwards",
)
"""What can break a session's thread, or looks like it; the values of the label ``kind``."""

REFUSALS = (
    "route_unknown",
    "model_unknown",
    "session_unknown",
    "method_not_allowed",
    "bad_session_id",
    "bad_json",
    "body_too_large",
    "too_many_events",
    "length_required",
    "overloaded",
    "draining",
    "internal",
)
"""What can refuse a whole request, events or none; the values of the label ``code``."""

_SECONDS = (
    *(1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3),
    *(1e-2, 2e-2, 5e-2, 1e-1, 2e-1, 5e-1, 1.0, 2.0, 5.0, 10.0),
)
_BATCH = tuple(float(2**power) for power in range(13))


class GateMetrics:
    """The metrics of one server, in a registry of their own.

    Parameters
    ----------
    version : str
        Version of the package, told in ``tidegate_build_info``.
    models : mapping of str to str
        Version of each model that is served, by name.

    Examples
    --------
    >>> metrics = GateMetrics("0.1.0", {"late": "3"})
    >>> metrics.count_event("late", "answered", 2)
    >>> labels = {"model": "late", "outcome": "answered"}
    >>> metrics.registry.get_sample_value("tidegate_events_total", labels)
    2.0
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, version: str, models: Mapping[str, str]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        events = Counter(
            "tidegate_events",
            "Events, by what became of them",
            ["model", "outcome"],
            registry=self.registry,
        )
        continuity = Counter(
            "tidegate_continuity_errors",
            "Events that broke the thread of their session, or looked like it",
            ["model", "kind"],
            registry=self.registry,
        )
        refused = Counter(
            "tidegate_requests_refused",
            "Requests that were refused as a whole",
            ["code"],
            registry=self.registry,
        )
        # Every child exists from the start: a counter that appears with its first error cannot be
        # told apart from a counter that is missing, and a lookup by label costs more than an add.
        self._events = {(m, o): events.labels(m, o) for m in models for o in OUTCOMES}
        self._continuity = {
            (m, k): continuity.labels(m, k) for m in models for k in CONTINUITY_KINDS
        }
        self._refused = {code: refused.labels(code) for code in REFUSALS}
        self.batch_events = Histogram(
            "tidegate_batch_events",
            "Operations in one micro-batch",
            buckets=_BATCH,
            registry=self.registry,
        )
        self.step_seconds = self._seconds("step", "Schema, engine and wording of one micro-batch")
        self.commit_seconds = self._seconds("commit", "One commit to the store, its sync included")
        self.request_seconds = self._seconds("request", "One request, from its body to its answer")
        self.cached_sessions = Gauge(
            "tidegate_cached_sessions",
            "Live sessions held in memory",
            ["model"],
            registry=self.registry,
        )
        self.queued_events = Gauge(
            "tidegate_queued_events",
            "Operations accepted and not yet answered",
            registry=self.registry,
        )
        self.ready = Gauge(
            "tidegate_ready", "1 while the server takes events", registry=self.registry
        )
        self.store_failures = Counter(
            "tidegate_store_failures",
            "Reads and commits that the store refused",
            registry=self.registry,
        )
        build = Gauge(
            "tidegate_build_info",
            "Version of tidegate and of each model",
            ["version", "model", "model_version"],
            registry=self.registry,
        )
        for name, model_version in models.items():
            build.labels(version, name, model_version).set(1)

    def _seconds(self, name: str, help_text: str) -> Histogram:
        return Histogram(
            f"tidegate_{name}_seconds", help_text, buckets=_SECONDS, registry=self.registry
        )

    def count_event(self, model: str, outcome: str, n: int = 1) -> None:
        """Add `n` events with one of `OUTCOMES`.

        Raises
        ------
        KeyError
            The model is not served, or the outcome is not in the list.
        """
        self._events[model, outcome].inc(n)

    def count_continuity(self, model: str, kind: str, n: int = 1) -> None:
        """Add `n` breaks of one of `CONTINUITY_KINDS`.

        Raises
        ------
        KeyError
            The model is not served, or the kind is not in the list.
        """
        self._continuity[model, kind].inc(n)

    def count_refused(self, code: str) -> None:
        """Add a request that was refused with one of `REFUSALS`.

        Raises
        ------
        KeyError
            The code is not in the list.
        """
        self._refused[code].inc()

    def render(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)
