"""A crowd: many sessions, few of them often active, at a server that holds fewer in memory.

Every session is given as many events as the server keeps answers: its record grows no more. Then
events arrive one by one over HTTP, whatever the server does, at half the rate that it can take:
which session is next follows Zipf's law. Latencies count from the time that an event was due, so
that those that come during a stall are late too, and so are those that wait for the event before
them of their session.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression, median

import numpy as np
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families

from faults.tally import say
from tidegate.bench.serving import generator, model, systems
from tidegate.bench.serving.generator import Report
from tidegate.bench.serving.systems import Running, System

__all__ = ["Crowd", "crowd", "thirds"]

_SOURCES = Path(__file__).parents[3] / "benchmarks" / "load"
_EXPONENT = 1.0
_CONNECTIONS = 64
_SHARE = 0.5
_KEPT_ANSWERS = 8
_LOOKS = 1000
_GROWTH = 1.10


@dataclass(frozen=True)
class Crowd:
    """What was seen.

    Parameters
    ----------
    sessions, cached : int
        In all, and in memory.
    closed, load : Report
        Of the loads: to learn what the server can do, and of the crowd.
    rate : float
        Events a second that arrived.
    errors : int
        Of all loads, those before the crowd's included.
    first_error : str
        Empty if there was none.
    evicted, loaded : int
        Sessions, during the crowd's load.
    strayed : int
        Sessions that were looked at in the end and are not where their answers left them.
    memory : sequence of (float, float)
        Seconds since the load began, and the megabytes that the server had.
    """

    sessions: int
    cached: int
    closed: Report
    load: Report
    rate: float
    errors: int
    first_error: str
    evicted: int
    loaded: int
    strayed: int
    memory: Sequence[tuple[float, float]]

    @property
    def failures(self) -> list[str]:
        """Return what should not be."""
        first, last = thirds([mb for _, mb in self.memory])
        found = []
        if self.errors:
            found.append(f"{self.errors} errors; the first is {self.first_error}")
        if self.strayed:
            found.append(f"{self.strayed} sessions are not where their answers left them")
        if last > _GROWTH * first:
            found.append(f"memory grew from {first:.0f} to {last:.0f} MB")
        return found

    def __str__(self) -> str:
        load, memory = self.load, [mb for _, mb in self.memory]
        first, last = thirds(memory)
        slope = linear_regression(*zip(*self.memory, strict=True)).slope
        return (
            f"{self.sessions:,} sessions, {self.cached:,} in memory; {load.events:,} events "
            f"by Zipf's law (exponent {_EXPONENT:g})\n"
            f"  rate: {self.rate:,.0f} events/s asked, {load.events_per_s:,.0f} reached "
            f"({self.closed.events_per_s:,.0f} in a closed loop)\n"
            f"  latency from when each was due, ms: p50 {load.p50_ms:.2f}, p99 {load.p99_ms:.2f}, "
            f"p99.9 {load.p999_ms:.2f}, max {load.max_ms:.2f}\n"
            f"  {self.evicted:,} sessions evicted, {self.loaded:,} loaded; {self.errors} errors; "
            f"{self.strayed} of {_LOOKS:,} sessions not where they were left\n"
            f"  memory: {first:.0f} MB in the first third, {last:.0f} MB in the last, "
            f"{max(memory):.0f} MB at most; {60 * slope:+.2f} MB a minute"
        )


def crowd(
    folder: Path,
    *,
    sessions: int,
    cached: int,
    seconds: float,
    measured: float = 5.0,
) -> Crowd:
    """Load a server with a crowd.

    Parameters
    ----------
    folder : Path
        For the server's store, and what else is made; is made if it is not there.
    sessions, cached : int
        In all, at least 1,000, and in memory.
    seconds : float
        Of the load.
    measured : float
        Seconds before it, to learn what the server can do.
    """
    folder.mkdir(exist_ok=True)
    program = generator.build(_SOURCES, folder)
    model.save(folder / model.NAME)
    seqs = folder / "seqs"  # each load goes on with the sessions of the one before
    with systems.running(_system(folder / model.NAME, cached), folder) as running:
        running.wait()

        def load(mode: str, seconds: float, **options: float | bool) -> Report:
            return program.load(
                mode,
                running.port,
                model=model.NAME,
                seconds=seconds,
                watch=running.pids(),
                sessions=sessions,
                seqs=str(seqs),
                **options,
            )

        single = {"connections": _CONNECTIONS, "zipf": _EXPONENT}
        bulk = {"connections": 4, "events": min(2000, sessions // 4), "fill": True}
        fills = [load("ndjson", 0.01, seed=i, **bulk) for i in range(_KEPT_ANSWERS)]
        took = sum(each.fill_s for each in fills)
        say(f"crowd: {sessions:,} sessions in {took:.0f} s, {running.rss_mb():.0f} MB")
        closed = load("http", measured, seed=_KEPT_ANSWERS, **single)
        rate = max(_SHARE * closed.events_per_s, 1.0)
        say(f"crowd: {closed.events_per_s:,.0f} events/s in a closed loop")
        before = _evicted_and_loaded(running.port)
        with _watched(running) as memory:
            opened = load("http", seconds, seed=_KEPT_ANSWERS + 1, rate=rate, **single)
        after = _evicted_and_loaded(running.port)
        loads = (*fills, closed, opened)
        return Crowd(
            sessions=sessions,
            cached=cached,
            closed=closed,
            load=opened,
            rate=rate,
            errors=sum(each.errors for each in loads),
            first_error=next((each.first_error for each in loads if each.errors), ""),
            evicted=after[0] - before[0],
            loaded=after[1] - before[1],
            strayed=_strayed(running.port, np.fromfile(seqs, np.uint32)),
            memory=memory,
        )


def thirds(values: Sequence[float]) -> tuple[float, float]:
    """Return the medians of the first third and of the last."""
    third = max(len(values) // 3, 1)
    return median(values[:third]), median(values[-third:])


def _system(bundle: Path, cached: int) -> System:
    serve = (sys.executable, "-W", "error", "-m", "tidegate", "serve", str(bundle))
    sizes = ("--cached-sessions", str(cached), "--kept-answers", str(_KEPT_ANSWERS))
    places = ("--store", "{folder}/store", "--port", "{port}")
    return System("tidegate", (*serve, *sizes, *places), durable=True)


@contextlib.contextmanager
def _watched(running: Running) -> Iterator[list[tuple[float, float]]]:
    """Give a list that is filled with a server's memory, second by second."""
    found: list[tuple[float, float]] = []
    began, ended = time.monotonic(), threading.Event()

    def look() -> None:
        found.append((time.monotonic() - began, running.rss_mb()))
        while not ended.wait(1.0):
            found.append((time.monotonic() - began, running.rss_mb()))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


def _evicted_and_loaded(port: int) -> tuple[int, int]:
    """Ask how many sessions were, so far."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    values = {
        sample.name: int(sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    return values["tidegate_evicted_sessions_total"], values["tidegate_loaded_sessions_total"]


def _strayed(port: int, seqs: NDArray[np.uint32]) -> int:
    """Count those that are not where they were left, of the busiest sessions and of the rest."""
    rest, busiest = np.split(np.argsort(seqs), [-_LOOKS // 2])
    chosen = [*busiest, *np.random.default_rng(0).choice(rest, _LOOKS // 2, replace=False)]
    strayed = 0
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        for session in chosen:
            connection.request("GET", f"/v1/models/{model.NAME}/sessions/s{session:08d}")
            content = json.loads(connection.getresponse().read())
            strayed += content.get("seq") != seqs[session] - 1  # an error has none
    return strayed
