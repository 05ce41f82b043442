"""Results in words: the Markdown that the docs hold, and its parts."""

from __future__ import annotations

from tidegate.bench.goals import section
from tidegate.bench.markdown import lines
from tidegate.bench.serving.goals import check
from tidegate.bench.serving.results import Row, ServeResults

__all__ = ["PRICE", "facts", "load", "render", "table"]

PRICE = 0.04
"""Assumed: US dollars that an hour of one virtual processor costs."""

_HEADER = (
    *("server", "durable", "transport", "load"),
    *("events/s", "p50 ms", "p99 ms", "p99.9 ms"),
    *("CPU s a million", "$ a million", "MB", "errors", "stolen s"),
)
_WORDS = ("server", "durable", "transport", "load", "system")


def render(results: ServeResults) -> str:
    """Write results as a section: the machine, the goals, every load, starts, memory, stalls.

    Returns
    -------
    str
        Markdown that begins with a heading of the third level.
    """
    parts = [f"### {results.machine.processor}, {results.machine.cores} cores", ""]
    parts += [*facts(results), "", *section(check(results))]
    parts += [*lines(table(results), _WORDS), ""]
    if results.starts:
        starts = [
            [
                s.system,
                f"{s.sessions:,}",
                f"{s.answer_ms:.0f}",
                f"{s.ready_ms:.0f}",
                f"{s.rss_mb:.0f}",
            ]
            for s in results.starts
        ]
        header = ["system", "sessions kept", "first answer, ms", "ready, ms", "MB then"]
        parts += [*lines([header, *starts], _WORDS), ""]
    if results.memory:
        held = [[m.system, f"{m.sessions:,}", f"{m.rss_mb:.0f}"] for m in results.memory]
        parts += [*lines([["system", "sessions", "MB"], *held], _WORDS), ""]
    if results.stalls:
        waits = [
            [
                s.system,
                "yes" if s.durable else "no",
                s.transport,
                f"{s.events_per_s:,.0f}",
                f"{s.p99_ms:g}",
                f"{s.most_ms:g}",
            ]
            for s in results.stalls
        ]
        header = ["server", "durable", "transport", "events/s", "p99 wait, ms ≤", "longest, ms ≤"]
        parts += [*lines([header, *waits], _WORDS), ""]
    parts += [f"- Not run: {each.system}: {each.why}" for each in results.missing]
    return "\n".join([*parts, ""] if results.missing else parts)


def facts(results: ServeResults) -> list[str]:
    """Say what machine it was, and how was measured."""
    machine, settings = results.machine, results.settings
    said = [
        machine.when,
        f"Each load {settings.seconds:g} s, bulk {settings.bulk_seconds:g} s over "
        f"{settings.sessions:,} sessions; the generator runs on the same machine. A dollar figure "
        f"takes ${PRICE:g} for an hour of one virtual processor, the server's CPU time alone.",
    ]
    sync = results.sync
    if sync is not None:
        said.append(
            f"Appending 1 kB and its fdatasync take {sync.p50_ms:.2f} ms (p50), "
            f"{sync.p99_ms:.2f} ms (p99) on this disk, one after the other; "
            f"{sync.rate:g} a second, as lone events come, {sync.paced_p50_ms:.2f} and "
            f"{sync.paced_p99_ms:.2f} ms."
        )
    return said


def table(results: ServeResults) -> list[list[str]]:
    """Return the table: a header, then a row for each load."""
    return [list(_HEADER), *(_cells(row) for row in results.rows)]


def _cells(row: Row) -> list[str]:
    cpu = 1e6 / row.events_per_cpu_s if row.events_per_cpu_s else 0.0
    return [
        row.system,
        "yes" if row.durable else "no",
        row.transport,
        load(row),
        f"{row.events_per_s:,.0f}",
        *(f"{ms:.2f}" for ms in (row.p50_ms, row.p99_ms, row.p999_ms)),
        f"{cpu:.1f}",
        f"{cpu / 3600 * PRICE:.5f}",
        f"{row.rss_mb:.0f}",
        f"{row.errors:,}",
        f"{row.stolen_s:.1f}",
    ]


def load(row: Row) -> str:
    """Describe a row's load.

    Examples
    --------
    >>> from tidegate.bench.serving.results import Row
    >>> names = [f for f in Row.__struct_fields__ if f not in ("first_error", "metrics")]
    >>> row = {name: 0 for name in names} | {"connections": 64, "sessions": 10000}
    >>> row |= {"events_a_request": 16, "rate": 500.0}
    >>> load(Row(**row))
    '64 connections × 16 events, 10,000 sessions, 500 requests/s arrive'
    """
    connections = f"{row.connections} connection{'s' if row.connections > 1 else ''}"
    events = f" × {row.events_a_request:,} events" if row.events_a_request > 1 else ""
    rate = f", {row.rate:,.0f} requests/s arrive" if row.rate else ""
    return f"{connections}{events}, {row.sessions:,} sessions{rate}"
