"""A server's life: start, serve, drain, end. One process, which owns the store."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import math
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, NoReturn

import msgspec
import uvloop

from tidegate import __version__, store
from tidegate import bundle as bundles
from tidegate.engine import Engine
from tidegate.errors import TidegateError
from tidegate.metrics import GateMetrics, StallMeter, StoreFigures
from tidegate.serve.app import App
from tidegate.serve.batcher import Batcher
from tidegate.serve.config import ServeSettings
from tidegate.serve.door import Door
from tidegate.serve.early import EarlyEvent
from tidegate.serve.health import Watch, keep_watch
from tidegate.serve.identity import claim
from tidegate.serve.intake import Intake
from tidegate.serve.limits import Limits
from tidegate.serve.logs import Logs
from tidegate.serve.model import Model
from tidegate.serve.processor import Processor
from tidegate.serve.reorder import Window
from tidegate.store import LogStore, Store

if TYPE_CHECKING:
    from tidegate.bundle import Bundle

__all__ = ["leave", "serve"]

_log = logging.getLogger(__name__)

_PROBE_SECONDS = 1.0
_ABANDON_SECONDS = 1.0
_STUCK_SECONDS = 60.0
_MIB = 1024 * 1024


def serve(
    bundle: str | Path,
    settings: ServeSettings,
    *,
    announce: Callable[[dict[str, str | int]], None] | None = None,
) -> None:
    """Serve a bundle until SIGTERM or SIGINT, then drain and return.

    Parameters
    ----------
    bundle : str or Path
        The bundle's folder.
    settings : ServeSettings
        How to listen, and what to bound.
    announce : callable, optional
        Called once events are taken, with ``event`` ("ready"), ``url``, ``pid``, ``model`` and
        ``model_version``. By default a line of JSON on stdout.

    Raises
    ------
    InputError
        What `Door` raises; ``bundle_changed``: the store's sessions belong to another model and
        `on_new_model` is "refuse".
    BundleError, EngineError
        The bundle cannot be used.
    StoreError
        The store cannot be opened: ``store_locked`` if another process has it.

    Notes
    -----
    To be called in the main thread: it handles the process's signals. A program should end with
    `leave` after it.
    """
    with ExitStack() as opened:
        opened.enter_context(Logs(settings.log_format, settings.log_level))
        stop = opened.enter_context(_Stop())
        # Before the store: a port in use must not cost the other server its store.
        door = opened.enter_context(Door(settings))
        began = perf_counter()
        loaded = bundles.load(bundle)
        engine = Engine.open(loaded)
        metrics = GateMetrics(
            __version__,
            {loaded.name: loaded.version},
            memory_bound=settings.memory_mb * 1024 * 1024,
        )
        metrics.watch_port(door.port)
        metrics.certificate_expires.set(door.certificate_expires)
        metrics.model_load_seconds.set(perf_counter() - began)
        began = perf_counter()
        limits = _limits(settings)
        records = _open_store(settings, limits)
        opened.callback(records.close)
        metrics.recovery_seconds.set(perf_counter() - began)
        claim(records, loaded, limits.tenant, reset=settings.on_new_model == "reset")
        processor = Processor(loaded, engine, records, metrics, time.time, limits)
        if settings.stall_meter:
            meter = StallMeter(metrics.stall_seconds)
            opened.callback(meter.stop)
            meter.start()
        _tune_collector()
        uvloop.run(_live(settings, door, processor, records, metrics, stop, announce or _announce))
        _log.info("drained")


def _tune_collector() -> None:
    """Let the collector of cycles run less often: requests make few, and it takes a fifth."""
    gc.collect()
    gc.freeze()  # what is there by now stays
    gc.set_threshold(20_000, 20, 50)


def _limits(settings: ServeSettings) -> Limits:
    return Limits(
        answers=settings.kept_answers,
        answer_bytes=settings.kept_answer_bytes,
        ttl_seconds=settings.session_ttl_days * 86_400.0 or math.inf,
        tombstone_seconds=settings.tombstone_hours * 3600.0,
        cached_sessions=settings.cached_sessions,
        memory_bytes=settings.memory_mb * _MIB,
    )


def _open_store(settings: ServeSettings, limits: Limits) -> Store:
    opened = store.open(
        settings.store,
        sync_ms=math.ceil(settings.commit_interval_ms) if settings.commit == "interval" else 0,
        segment_size=settings.segment_mb * _MIB,
        space=settings.store_space,
    )
    opened.ages(limits.ttl_seconds, limits.tombstone_seconds)
    return opened


def leave() -> NoReturn:
    """End the process with status 0, after `serve` has returned.

    Everything that must be closed is. The HTTP server's threads may still be ending, and would meet
    an interpreter that is being taken down: it is left as it stands instead.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


class _Stop:
    """SIGTERM and SIGINT, from before the store is opened until after it is closed.

    The first one asks to stop. Further ones change nothing: an event loop's own handlers would be
    gone before the store is closed, and the second signal would kill the process there.
    """

    def __init__(self) -> None:
        self.asked = False
        self._wake: Callable[[], object] | None = None

    def __enter__(self) -> _Stop:
        self._before = {n: signal.signal(n, self._ask) for n in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            # Where it was asked to end, the process does: the interpreter would give handlers of
            # ours back to the system, which kills, before it is gone.
            signal.signal(number, signal.SIG_IGN if self.asked else handler)

    async def wait(self) -> None:
        """Wait until it is asked for."""
        loop, asked = asyncio.get_running_loop(), asyncio.Event()
        self._wake = lambda: loop.call_soon_threadsafe(asked.set)
        try:
            if not self.asked:
                await asked.wait()
        finally:
            self._wake = None

    def _ask(self, *_: object) -> None:
        self.asked = True
        if self._wake is not None:
            self._wake()


def _announce(members: dict[str, str | int]) -> None:
    sys.stdout.write(msgspec.json.encode(members).decode() + "\n")
    sys.stdout.flush()


async def _live(
    settings: ServeSettings,
    door: Door,
    processor: Processor,
    records: Store,
    metrics: GateMetrics,
    stop: _Stop,
    announce: Callable[[dict[str, str | int]], None],
) -> None:
    """Take events until a signal, then finish what was accepted."""
    loop = asyncio.get_running_loop()
    watch = Watch()
    batcher = _batcher(settings, processor, records, metrics)
    model = Model(processor.bundle, processor, batcher, metrics)
    app = _app(settings, model, metrics, watch, door, records)
    server = door.server(app)
    door.reload_in(loop)
    serving = loop.create_task(server.serve())
    helping = [
        loop.create_task(_recover(records, batcher)),
        loop.create_task(keep_watch(watch)),
        loop.create_task(_watch_commits(watch, batcher)),
    ]
    if isinstance(records, LogStore):
        helping.append(loop.create_task(_watch_cutting(records)))
    stopped = loop.create_task(stop.wait())
    app.phase = "ready"
    announce(_about(processor.bundle, door.url))
    await asyncio.wait([serving, stopped], return_when=asyncio.FIRST_COMPLETED)
    _log.info("draining")
    app.phase = "draining"
    deadline = loop.time() + settings.grace_seconds
    await asyncio.wait([loop.create_task(app.idle())], timeout=settings.grace_seconds)
    server.stop()  # type: ignore[no-untyped-call]
    # granian waits for requests whose body is still on its way; they would be refused anyway.
    await asyncio.wait([serving], timeout=max(deadline - loop.time(), 0.1))
    if not serving.done():
        loop.set_exception_handler(lambda _loop, _context: None)
        server.abandon()
        await asyncio.wait([serving], timeout=_ABANDON_SECONDS)
    for task in [*helping, stopped]:
        task.cancel()
    batcher.close()
    app.close()
    if not stop.asked:
        raise TidegateError(
            "http_failed", "the HTTP server ended by itself", hint="its log says why"
        ) from serving.exception()


def _about(bundle: Bundle, url: str) -> dict[str, str | int]:
    return {
        "event": "ready",
        "url": url,
        "pid": os.getpid(),
        "model": bundle.name,
        "model_version": bundle.version,
    }


def _batcher(
    settings: ServeSettings, processor: Processor, records: Store, metrics: GateMetrics
) -> Batcher:
    window: Window[EarlyEvent] | None = None
    if settings.reorder_ms:
        window = Window(settings.reorder_ms / 1000.0, settings.reorder_max)
    return Batcher(
        processor,
        records,
        metrics,
        max_batch=settings.batch_events,
        max_queue=settings.queue_events,
        wait_seconds=settings.batch_wait_us / 1e6,
        window=window,
    )


def _app(
    settings: ServeSettings,
    model: Model,
    metrics: GateMetrics,
    watch: Watch,
    door: Door,
    records: Store,
) -> App:
    intake = Intake(
        body_bytes=settings.body_bytes,
        memory_bytes=settings.max_body_memory_mb * _MIB,
        seconds=settings.body_seconds,
    )
    return App(
        {model.bundle.name: model},
        metrics,
        intake,
        line_bytes=settings.line_bytes,
        deadline_seconds=settings.deadline_ms / 1000.0,
        authorize=door.authorize,
        stuck=watch.stuck,
        refresh=_refreshing(model, metrics, records),
    )


def _refreshing(model: Model, metrics: GateMetrics, records: Store) -> Callable[[], None]:
    """Return what brings the metrics up to date that somebody else counts."""
    name, table = model.bundle.name, model.processor.table
    told = {"expired": 0, "swept": 0}

    def refresh() -> None:
        live = table.live
        if isinstance(records, LogStore):
            found = records.stats()
            live = found.sessions - found.tombstones
            metrics.expired_sessions.inc(found.expired - told["expired"])
            metrics.swept_sessions.inc(found.swept - told["swept"])
            told.update(expired=found.expired, swept=found.swept)
        metrics.live_sessions[name].set(live)
        metrics.cached_sessions[name].set(len(table))

    if isinstance(records, LogStore):
        metrics.ask_store = lambda: _figures(records)
    return refresh


def _figures(records: LogStore) -> StoreFigures:
    found = records.stats()
    return StoreFigures(
        bytes=found.bytes,
        live_bytes=found.live_bytes,
        segments=found.segments,
        cuts=found.cuts,
        records=found.sessions,
        cut_error=found.cut_error,
    )


async def _recover(records: Store, batcher: Batcher) -> None:
    """After a commit failed, try the store each second, so that readiness comes back by itself."""
    while True:
        await asyncio.sleep(_PROBE_SECONDS)
        batcher.look()  # what failed must be known to be lost before the store goes on
        if batcher.failed:
            if await asyncio.to_thread(records.recover):
                _log.warning("the store works again")
                batcher.recovered()
            else:
                _log.warning("the store does not work yet")


async def _watch_commits(watch: Watch, batcher: Batcher) -> None:
    """Let liveness know whether what was stepped reaches the store."""
    committing = watch.expect("commits", _STUCK_SECONDS)
    while True:
        await asyncio.sleep(_PROBE_SECONDS)
        if batcher.is_moving():
            committing.beat()


async def _watch_cutting(records: LogStore) -> None:
    """Log when something keeps outdated records on the disk, and when nothing does any more."""
    known = 0
    while True:
        found = records.stats().cut_error
        if found and found != known:
            why = os.strerror(found)
            if found == errno.EBADMSG:
                why = "a current record in its oldest file cannot be read"
            _log.warning("the store cannot cut off outdated records: %s", why)
        elif known and not found:
            _log.warning("the store cuts off outdated records again")
        known = found
        await asyncio.sleep(_PROBE_SECONDS)
