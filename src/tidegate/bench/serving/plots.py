"""Results as plots: latency against throughput, cost, events for each CPU second, memory.

The colours are those of M. Okabe and K. Ito (2008), which people with colour-blindness tell apart.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt

from tidegate.bench import page
from tidegate.bench.serving.markdown import PRICE, facts, load, table
from tidegate.bench.serving.results import Row, ServeResults

__all__ = ["charts", "write"]

_COLOURS = (
    *("#0072B2", "#E69F00", "#D55E00", "#CC79A7", "#009E73", "#56B4E9"),
    *("#7A7A7A", "#000000"),
)
_WIDTH, _HEIGHT, _BAR = 640, 320, 18


def charts(results: ServeResults) -> dict[str, alt.TopLevelMixin]:
    """Draw the charts for which there are figures.

    Parameters
    ----------
    results : ServeResults
        One run.

    Returns
    -------
    dict of str to chart
        ``latency``, ``cost``, ``cpu``, ``memory``.
    """
    drawn: dict[str, alt.TopLevelMixin] = {}
    rows = [row for row in results.rows if not row.system.endswith(" echo")]  # they serve nothing
    names = list(dict.fromkeys(row.system for row in rows))
    held = [each for each in results.memory if each.sessions]
    names += [name for name in dict.fromkeys(each.system for each in held) if name not in names]
    colours = dict(zip(names, itertools.cycle(_COLOURS), strict=False))
    single = [row for row in rows if row.transport == "http" and row.p99_ms]
    if single:
        drawn["latency"] = _latency(single, colours)
    used = [row for row in rows if row.server_cpu_s and row.events_per_s and not row.rate]
    # Of a server's loads with one transport and mode the best: one bar each.
    best = {}
    for row in sorted(used, key=lambda row: row.events_per_cpu_s):
        best[row.system, row.transport, row.mode] = row
    if best:
        ordered = sorted(best.values(), key=lambda row: -row.events_per_cpu_s)
        drawn["cost"] = _bars(
            ordered,
            colours,
            lambda row: 1e6 / row.events_per_cpu_s / 3600 * PRICE,
            f"US dollars a million events, the server's CPU time at ${PRICE:g} an hour",
        )
        drawn["cpu"] = _bars(
            ordered, colours, lambda row: row.events_per_cpu_s, "events for each CPU second"
        )
    if held:
        drawn["memory"] = _memory(held, colours)
    return drawn


def write(folder: Path, results: ServeResults) -> list[Path]:
    """Write ``serve.html``, which needs no network, and a picture of each chart.

    Returns
    -------
    list of Path
        What was written.
    """
    return page.write(
        folder,
        "serve",
        charts(results),
        title="tidegate: servers, timed",
        heading="Servers with a memory per session, on one machine",
        table=table(results),
        texts=4,
        facts=facts(results),
    )


def _latency(rows: Sequence[Row], colours: dict[str, str]) -> alt.TopLevelMixin:
    values = [
        {
            "system": row.system,
            "rate": row.events_per_s,
            "ms": row.p99_ms,
            "arrivals": "at a rate" if row.rate else "after each answer",
            "connections": row.connections,
            "load": load(row),
        }
        for row in rows
        if row.events_per_s
    ]
    points = alt.Chart(alt.InlineData(values=values)).encode(
        x=alt.X("rate:Q", title="events a second", scale=alt.Scale(type="log")),
        y=alt.Y("ms:Q", title="p99, ms", scale=alt.Scale(type="log")),
        color=_colour(colours, values),
    )
    lines = (
        points.transform_filter("datum.arrivals === 'after each answer'")
        .mark_line(strokeWidth=1.5)
        .encode(order="connections:Q")
    )
    marks = points.mark_point(filled=True, size=70).encode(
        shape=alt.Shape("arrivals:N", title="requests arrive"),
        tooltip=["system:N", "load:N", "rate:Q", "ms:Q"],
    )
    return _finished(
        alt.layer(lines, marks).properties(width=_WIDTH, height=_HEIGHT),
        "One event a request over HTTP: latency against throughput",
    )


def _bars(
    rows: Sequence[Row], colours: dict[str, str], value_of: Any, title: str
) -> alt.TopLevelMixin:
    values = [
        {
            "system": row.system,
            "case": f"{row.system}, {row.transport}, {row.mode}",
            "value": value_of(row),
        }
        for row in rows
    ]
    return _finished(
        alt.Chart(alt.InlineData(values=values))
        .mark_point(filled=True, size=90)
        .encode(
            x=alt.X("value:Q", title=title, scale=alt.Scale(type="log")),
            y=alt.Y("case:N", title=None, sort=None, axis=alt.Axis(labelLimit=400, grid=True)),
            color=_colour(colours, values),
        )
        .properties(width=_WIDTH, height=_BAR * len(values)),
        title[:1].upper() + title[1:],
    )


def _memory(held: Sequence[Any], colours: dict[str, str]) -> alt.TopLevelMixin:
    values = [{"system": m.system, "sessions": m.sessions, "mb": m.rss_mb} for m in held]
    return _finished(
        alt.Chart(alt.InlineData(values=values))
        .mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=36))
        .encode(
            x=alt.X("sessions:Q", title="sessions", scale=alt.Scale(type="log")),
            y=alt.Y("mb:Q", title="resident memory, MB", scale=alt.Scale(type="log")),
            color=_colour(colours, values),
        )
        .properties(width=_WIDTH, height=_HEIGHT),
        "Memory against sessions",
    )


def _colour(colours: dict[str, str], values: Sequence[dict[str, Any]]) -> alt.Color:
    """Give each system the colour that it has in all charts; name those that are in this one."""
    here = {value["system"] for value in values}
    names = [name for name in colours if name in here]
    scale = alt.Scale(domain=names, range=[colours[name] for name in names])
    return alt.Color("system:N", title=None, sort=names, scale=scale)


def _finished(chart: Any, title: str) -> alt.TopLevelMixin:
    looks = page.configured(chart.properties(title=title))
    finished: alt.TopLevelMixin = looks.configure_legend(labelFontSize=12, labelLimit=320)
    return finished
