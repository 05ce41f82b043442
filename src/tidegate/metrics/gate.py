"""What a running gate counts and times."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from tidegate.metrics import sampled
from tidegate.metrics.instruments import SECONDS, SIZES, Count, Distribution, Family, Level
from tidegate.metrics.labels import CONTINUITY_KINDS, OUTCOMES, REFUSALS, REORDERS, TRANSPORTS

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

__all__ = ["GateMetrics"]

_Member = TypeVar("_Member", Count, Level)


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
    loop's for all but `stall_seconds`. `request_seconds` has one by transport. `ask_store` is to be
    set to what tells the store's figures.

    Examples
    --------
    >>> metrics = GateMetrics("0.1.0", {"late": "3"})
    >>> metrics.count_event("late", "answered", 2)
    >>> labels = {"model": "late", "outcome": "answered"}
    >>> metrics.registry.get_sample_value("tidegate_events_total", labels)
    2
    """

    def __init__(self, version: str, models: Mapping[str, str], *, memory_bound: int = 0) -> None:
        self._families: dict[str, Family] = {}
        self._sampled: list[Callable[[], Iterable[Family]]] = [
            partial(sampled.memory, memory_bound)
        ]
        self.ask_store: Callable[[], sampled.StoreFigures] | None = None
        self._build(version, models)
        self._count_by_label(models)
        self._time()
        self._sessions(models)
        self._server()

    # Every member of a family exists from the start: a counter that appears with its first error
    # cannot be told apart from a counter that is missing.

    def _build(self, version: str, models: Mapping[str, str]) -> None:
        built = {(version, name, model): Level(1) for name, model in models.items()}
        help_text = "Version of tidegate and of each model"
        self._add("gauge", "build_info", help_text, ("version", "model", "model_version"), built)

    def _count_by_label(self, models: Mapping[str, str]) -> None:
        self._events = {(m, o): Count() for m in models for o in OUTCOMES}
        help_text = "Events, by what became of them"
        self._add("counter", "events", help_text, ("model", "outcome"), self._events)
        self._continuity = {(m, k): Count() for m in models for k in CONTINUITY_KINDS}
        help_text = "Events that broke the thread of their session, or looked like it"
        self._add("counter", "continuity_errors", help_text, ("model", "kind"), self._continuity)
        help_text = "Requests that were refused as a whole"
        self._refused = self._labelled(
            {each: Count() for each in REFUSALS}, "counter", "requests_refused", help_text, "code"
        )
        help_text = "Operations that came in, by how"
        self._received = self._labelled(
            {each: Count() for each in TRANSPORTS},
            "counter",
            "received_events",
            help_text,
            "transport",
        )
        help_text = "Events that came before those before them"
        self._reordered = self._labelled(
            {each: Count() for each in REORDERS},
            "counter",
            "reordered_events",
            help_text,
            "outcome",
        )

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
        self._add(
            "histogram",
            "request_seconds",
            "One request (or frame of a WebSocket), from its body to its answer",
            ("transport",),
            {(name,): seen for name, seen in self.request_seconds.items()},
        )

    def _sessions(self, models: Mapping[str, str]) -> None:
        self.live_sessions = self._labelled(
            {name: Level() for name in models},
            "gauge",
            "live_sessions",
            "Sessions that live, in memory or not",
            "model",
        )
        self.cached_sessions = self._labelled(
            {name: Level() for name in models},
            "gauge",
            "cached_sessions",
            "Sessions and tombstones held in memory",
            "model",
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

    def _add(
        self,
        kind: Literal["counter", "gauge", "histogram"],
        name: str,
        help_text: str,
        labels: tuple[str, ...],
        members: Mapping[Any, Count | Level | Distribution],
    ) -> None:
        name = f"tidegate_{name}"
        assert name not in self._families, name
        self._families[name] = Family(kind, name, help_text, labels, members)

    def _counter(self, name: str, help_text: str) -> Count:
        made = Count()
        self._add("counter", name, help_text, (), {(): made})
        return made

    def _gauge(self, name: str, help_text: str) -> Level:
        made = Level()
        self._add("gauge", name, help_text, (), {(): made})
        return made

    def _labelled(
        self,
        made: dict[str, _Member],
        kind: Literal["counter", "gauge"],
        name: str,
        help_text: str,
        label: str,
    ) -> dict[str, _Member]:
        self._add(kind, name, help_text, (label,), {(value,): each for value, each in made.items()})
        return made

    def _distribution(
        self, name: str, help_text: str, bounds: tuple[float, ...] = SECONDS
    ) -> Distribution:
        made = Distribution(bounds)
        self._add("histogram", name, help_text, (), {(): made})
        return made

    def watch_port(self, port: int) -> None:
        """Tell the connections to a port, too."""
        self._sampled.append(partial(sampled.connections, port))

    def families(self) -> Iterator[Family]:
        """Iterate over everything that is told."""
        yield from self._families.values()
        for sample in self._sampled:
            yield from sample()
        if self.ask_store is not None:
            yield from sampled.store_size(self.ask_store())

    @cached_property
    def registry(self) -> CollectorRegistry:
        """What Prometheus' library asks; made, and the library loaded, when it is first wanted."""
        from tidegate.metrics.exposition import registry_of

        return registry_of(self.families)

    @property
    def content_type(self) -> str:
        """Of what `render` returns."""
        from tidegate.metrics.exposition import CONTENT_TYPE_LATEST

        return CONTENT_TYPE_LATEST

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
        from tidegate.metrics.exposition import generate_latest

        return generate_latest(self.registry)
