"""A server's life: start, serve, drain, end. One process, which owns the store."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import NoReturn

import msgspec

from tidegate import __version__, store
from tidegate import bundle as bundles
from tidegate.engine import Engine
from tidegate.errors import TidegateError
from tidegate.metrics import GateMetrics, StallMeter
from tidegate.serve.app import App, Served
from tidegate.serve.batcher import Batcher
from tidegate.serve.config import ServeSettings
from tidegate.serve.door import Door
from tidegate.serve.health import Watch, keep_watch
from tidegate.serve.identity import claim
from tidegate.serve.logs import Logs
from tidegate.serve.processor import Processor
from tidegate.serve.sessions import Limits

__all__ = ["leave", "serve"]

_log = logging.getLogger(__name__)

_PROBE_SECONDS = 1.0
_ABANDON_SECONDS = 1.0


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
        records = store.open(settings.store)
        opened.callback(records.close)
        metrics.recovery_seconds.set(perf_counter() - began)
        limits = Limits(
            answers=settings.kept_answers,
            answer_bytes=settings.kept_answer_bytes,
            tombstone_seconds=settings.tombstone_hours * 3600.0,
            cached_sessions=settings.cached_sessions,
        )
        claim(records, loaded, limits.tenant, reset=settings.on_new_model == "reset")
        processor = Processor(loaded, engine, records, metrics, time.time, limits)
        batcher = Batcher(
            processor.process,
            max_batch=settings.batch_events,
            max_queue=settings.queue_events,
        )
        opened.callback(batcher.close)
        if settings.stall_meter:
            meter = StallMeter(metrics.stall_seconds)
            opened.callback(meter.stop)
            meter.start()
        watch = Watch()
        app = App(
            {loaded.name: Served(loaded, batcher, lambda: processor.healthy)},
            metrics,
            time.time,
            body_limit=settings.body_bytes,
            authorize=door.authorize,
            stuck=watch.stuck,
        )
        ready: dict[str, str | int] = {
            "event": "ready",
            "url": door.url,
            "pid": os.getpid(),
            "model": loaded.name,
            "model_version": loaded.version,
        }
        opened.callback(app.close)
        asyncio.run(
            _live(
                app,
                door,
                processor,
                batcher,
                stop,
                watch,
                settings.grace_seconds,
                lambda: (announce or _announce)(ready),
            )
        )
        _log.info("drained")


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
    app: App,
    door: Door,
    processor: Processor,
    batcher: Batcher,
    stop: _Stop,
    watch: Watch,
    grace_seconds: float,
    announce: Callable[[], None],
) -> None:
    """Take events until a signal, then finish what was accepted."""
    loop = asyncio.get_running_loop()
    door.reload_in(loop)
    server = door.server(app)
    serving = loop.create_task(server.serve())
    probing = loop.create_task(_probe(processor, batcher))
    watching = loop.create_task(keep_watch(watch))
    app.phase = "ready"
    announce()
    stopped = loop.create_task(stop.wait())
    await asyncio.wait([serving, stopped], return_when=asyncio.FIRST_COMPLETED)
    _log.info("draining")
    app.phase = "draining"
    deadline = loop.time() + grace_seconds
    probing.cancel()
    stopped.cancel()
    await asyncio.wait([loop.create_task(app.idle())], timeout=grace_seconds)
    server.stop()  # type: ignore[no-untyped-call]
    # granian waits for requests whose body is still on its way; they would be refused anyway.
    await asyncio.wait([serving], timeout=max(deadline - loop.time(), 0.1))
    if not serving.done():
        loop.set_exception_handler(lambda _loop, _context: None)
        server.abandon()
        await asyncio.wait([serving], timeout=_ABANDON_SECONDS)
    watching.cancel()
    if not stop.asked:
        raise TidegateError(
            "http_failed", "the HTTP server ended by itself", hint="its log says why"
        ) from serving.exception()


async def _probe(processor: Processor, batcher: Batcher) -> None:
    """After a commit failed, try one each second, so that readiness comes back by itself."""
    while True:
        await asyncio.sleep(_PROBE_SECONDS)
        if not processor.healthy:
            await batcher.call(processor.probe)
