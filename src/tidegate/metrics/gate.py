"""What a running gate counts and times."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from tidegate.metrics.labels import CONTINUITY_KINDS, OUTCOMES, REFUSALS, REORDERS, TRANSPORTS
from tidegate.metrics.sampled import Connections, Memory, StoreSize
from tidegate.metrics.timings import SECONDS, SIZES, Distribution, Distributions

__all__ = ["GateMetrics"]


class GateMetrics:
    """The metrics of one server, in a registry of their own.

    Parameters
    ----------
    version : str
        Version of the package, told in ``tidegate_build_info``.
    models : mapping of str to str
        Version of each model that is served, by name.
    memory_bound : int
        Bytes of memory that the process may have; 0 is no bound.

    Notes
    -----
    Times are `Distribution` objects: each belongs to the thread that observes, which is the event
    loop's for all but `stall_seconds`. `request_seconds` has one by transport. `store_size.ask` is
    to be set to what tells the store's figures.

    Examples
    --------
    >>> metrics = GateMetrics("0.1.0", {"late": "3"})
    >>> metrics.count_event("late", "answered", 2)
    >>> labels = {"model": "late", "outcome": "answered"}
    >>> metrics.registry.get_sample_value("tidegate_events_total", labels)
    2.0
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, version: str, models: Mapping[str, str], *, memory_bound: int = 0) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        Memory(self.registry, memory_bound)
        self.store_size = StoreSize(self.registry)
        self._build(version, models)
        self._count_by_label(models)
        self._time()
        self._sessions()
        self._server()

    # Every child of a counter exists from the start: a counter that appears with its first error
    # cannot be told apart from a counter that is missing, and a lookup by label costs more than an
    # add.

    def _build(self, version: str, models: Mapping[str, str]) -> None:
        build = self._gauge(
            "build_info",
            "Version of tidegate and of each model",
            ["version", "model", "model_version"],
        )
        for name, model_version in models.items():
            build.labels(version, name, model_version).set(1)

    def _count_by_label(self, models: Mapping[str, str]) -> None:
        events = self._counter("events", "Events, by what became of them", ["model", "outcome"])
        self._events = {(m, o): events.labels(m, o) for m in models for o in OUTCOMES}
        continuity = self._counter(
            "continuity_errors",
            "Events that broke the thread of their session, or looked like it",
            ["model", "kind"],
        )
        self._continuity = {
            (m, k): continuity.labels(m, k) for m in models for k in CONTINUITY_KINDS
        }
        refused = self._counter(
            "requests_refused", "Requests that were refused as a whole", ["code"]
        )
        self._refused = {code: refused.labels(code) for code in REFUSALS}
        received = self._counter(
            "received_events", "Operations that came in, by how", ["transport"]
        )
        self._received = {name: received.labels(name) for name in TRANSPORTS}
        reordered = self._counter(
            "reordered_events", "Events that came before those before them", ["outcome"]
        )
        self._reordered = {outcome: reordered.labels(outcome) for outcome in REORDERS}

    def _time(self) -> None:
        self.batch_events = self._distribution("batch_events", "Operations stepped together", SIZES)
        self.group_events = self._distribution(
            "group_events", "Changed sessions in one group that the store was handed", SIZES
        )
        self.queue_seconds = self._distribution(
            "queue_seconds", "From the arrival of an event to its step"
        )
        self.load_seconds = self._distribution(
            "load_seconds", "Reading the sessions of one batch that were not in memory"
        )
        self.step_seconds = self._distribution(
            "step_seconds", "Rules, schema, engine and records of one batch"
        )
        self.write_seconds = self._distribution(
            "write_seconds", "One write of the store: all groups that waited"
        )
        self.sync_seconds = self._distribution("sync_seconds", "One sync of the store")
        self.commit_seconds = self._distribution(
            "commit_seconds", "From the beginning of a batch until its answers leave, sync included"
        )
        self.stall_seconds = self._distribution(
            "loop_stall_seconds",
            "How long the interpreter's lock was held by others (setting stall_meter)",
        )
        self.request_seconds = {name: Distribution(SECONDS) for name in TRANSPORTS}
        Distributions(
            "tidegate_request_seconds",
            "One request (or frame of a WebSocket), from its body to its answer",
            self.registry,
            self.request_seconds,
            "transport",
        )

    def _sessions(self) -> None:
        self.live_sessions = self._gauge(
            "live_sessions", "Sessions that live, in memory or not", ["model"]
        )
        self.cached_sessions = self._gauge(
            "cached_sessions", "Sessions and tombstones held in memory", ["model"]
        )
        self.evicted_sessions = self._counter(
            "evicted_sessions", "Sessions that memory let go of; the store has them"
        )
        self.loaded_sessions = self._counter(
            "loaded_sessions", "Sessions that were read from the store"
        )
        self.expired_sessions = self._counter(
            "expired_sessions",
            "Records of sessions that were silent for too long, dropped when cutting",
        )
        self.swept_sessions = self._counter(
            "swept_sessions", "Tombstones whose time was over and that were removed"
        )

    def _server(self) -> None:
        self.queued_events = self._gauge(
            "queued_events", "Operations accepted and not yet answered"
        )
        self.ready = self._gauge("ready", "1 while the server takes events")
        self.websocket_connections = self._gauge("websocket_connections", "WebSockets open now")
        self.store_failures = self._counter(
            "store_failures", "Reads and commits that the store refused"
        )
        self.recovery_seconds = self._gauge("recovery_seconds", "How long opening the store took")
        self.model_load_seconds = self._gauge(
            "model_load_seconds", "How long loading and checking the models took"
        )
        self.certificate_expires = self._gauge(
            "tls_certificate_expiry_timestamp_seconds",
            "When the TLS certificate expires, in unix seconds; 0 without TLS",
        )

    def _counter(self, name: str, help_text: str, labels: list[str] | None = None) -> Counter:
        return Counter(f"tidegate_{name}", help_text, labels or [], registry=self.registry)

    def _gauge(self, name: str, help_text: str, labels: list[str] | None = None) -> Gauge:
        return Gauge(f"tidegate_{name}", help_text, labels or [], registry=self.registry)

    def _distribution(
        self, name: str, help_text: str, bounds: tuple[float, ...] = SECONDS
    ) -> Distribution:
        made = Distribution(bounds)
        Distributions(f"tidegate_{name}", help_text, self.registry, {"": made})
        return made

    def watch_port(self, port: int) -> None:
        """Tell the connections to a port, too."""
        Connections(self.registry, port)

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

    def count_received(self, transport: str, n: int = 1) -> None:
        """Add `n` events that came in by one of `TRANSPORTS`.

        Raises
        ------
        KeyError
            The transport is not in the list.
        """
        self._received[transport].inc(n)

    def count_reordered(self, outcome: str, n: int = 1) -> None:
        """Add `n` early events with one of `REORDERS`.

        Raises
        ------
        KeyError
            The outcome is not in the list.
        """
        self._reordered[outcome].inc(n)

    def render(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)
