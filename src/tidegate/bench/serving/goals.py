"""What a run should reach, and what it did."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tidegate.bench.goals import Goal
from tidegate.bench.serving.results import Row, ServeResults, Start

__all__ = ["check"]

_PEER = "FastAPI + torch, dict"


def check(results: ServeResults) -> list[Goal]:
    """Compare results with the goals.

    Parameters
    ----------
    results : ServeResults
        One run. Of what it did not measure there is no goal.

    Notes
    -----
    A load with errors meets none.
    """
    return [*_single(results), *_bulk(results), *_lone(results), *_starts(results)]


def _single(results: ServeResults) -> Iterator[Goal]:
    rows = results.rows
    closed = _find(rows, "tidegate", "http", "single", lambda row: row.rate == 0)
    opened = _find(rows, "tidegate", "http", "single", lambda row: row.rate > 0)
    peer = _find(rows, _PEER, "http", "single", lambda row: row.rate == 0)
    case = "HTTP, one event a request, durable, 64 connections"
    if closed is not None:
        yield _rate(case, closed, 20_000)
        yield Goal(
            f"{case}: p99",
            "≤ 10 ms",
            f"{closed.p99_ms:.2f} ms",
            closed.p99_ms <= 10 and not closed.errors,
        )
    if opened is not None:
        yield Goal(
            f"{case}: p99, {opened.rate:,.0f} arrivals a second",
            "≤ 10 ms",
            f"{opened.p99_ms:.2f} ms",
            opened.p99_ms <= 10 and not opened.errors,
        )
    if closed is not None and peer is not None and peer.events_per_s:
        times = closed.events_per_s / peer.events_per_s
        yield Goal(f"{case}: beside {_PEER}", "≥ 4 ×", f"{times:.1f} ×", times >= 4)
    frames = _find(rows, "tidegate", "websocket", "stream")
    if frames is not None:
        yield _rate("WebSocket, 16 events a frame, durable, 64 connections", frames, 40_000)


def _bulk(results: ServeResults) -> Iterator[Goal]:
    lines = _find(results.rows, "tidegate", "ndjson", "bulk")
    if lines is not None:
        case = f"bulk NDJSON, {lines.sessions:,} sessions, {lines.seconds:g} s, durable"
        yield _rate(case, lines, 150_000)
        cuts = lines.metrics.get("tidegate_store_cuts_total", 0.0)
        yield Goal(f"{case}: the log is cut", "≥ 2 times", f"{cuts:.0f} times", cuts >= 2)
    for system, wanted in (("tidegate", 250_000), ("tidegate, memory:", 1_000_000)):
        row = _find(results.rows, system, "arrow", "bulk")
        if row is not None:
            where = "durable" if row.durable else "in memory"
            yield _rate(f"bulk Arrow IPC, {row.sessions:,} sessions, {where}", row, wanted)


def _lone(results: ServeResults) -> Iterator[Goal]:
    """Compare events that nobody else's disturb with the disk, each at the same pace."""
    sync = results.sync
    if sync is None:
        return
    rows, ours = results.rows, ("tidegate", "http", "single")
    for row, disk, pace in (
        (_find(rows, *ours, lambda row: row.rate == 0, 1), sync.p50_ms, "one after the other"),
        (
            _find(rows, *ours, lambda row: row.rate > 0, 1),
            sync.paced_p50_ms,
            f"{sync.rate:g} a second",
        ),
    ):
        if row is not None:
            yield Goal(
                f"a lone event, durable, {pace}: p50",
                f"≤ {disk:.2f} ms of a sync + 0.4 ms",
                f"{row.p50_ms:.2f} ms",
                row.p50_ms <= disk + 0.4 and not row.errors,
            )


def _starts(results: ServeResults) -> Iterator[Goal]:
    for start in results.starts:
        if start.system != "tidegate":
            continue
        if start.sessions:
            yield Goal(
                f"ready after kill -9 with {start.sessions:,} sessions",
                "≤ 2 s",
                f"{start.ready_ms / 1e3:.2f} s",
                start.ready_ms <= 2000,
            )
        else:
            yield from _cold(start)


def _cold(start: Start) -> Iterator[Goal]:
    found = f"{start.answer_ms:.0f} ms"
    yield Goal("cold start to the first HTTP answer", "≤ 300 ms", found, start.answer_ms <= 300)
    yield Goal("idle memory", "≤ 150 MB", f"{start.rss_mb:.0f} MB", start.rss_mb <= 150)


def _find(
    rows: list[Row],
    system: str,
    transport: str,
    mode: str,
    which: Callable[[Row], bool] = lambda _: True,
    connections: int | None = None,
) -> Row | None:
    """Return the row of a load; of HTTP, the one with 64 connections unless told."""
    wanted = connections or (64 if transport == "http" else None)
    for row in rows:
        if (row.system, row.transport, row.mode) != (system, transport, mode) or not which(row):
            continue
        if wanted in (None, row.connections):
            return row
    return None


def _rate(case: str, row: Row, least: float) -> Goal:
    met = row.events_per_s >= least and row.errors == 0
    errors = f", {row.errors:,} errors" if row.errors else ""
    return Goal(case, f"≥ {least:,.0f} events/s", f"{row.events_per_s:,.0f}{errors}", met)
