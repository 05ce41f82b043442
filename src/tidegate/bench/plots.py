"""Results as plots: time against batch and hidden size, beside the roof.

The colours are those of M. Okabe and K. Ito (2008), which people with colour-blindness tell apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt

from tidegate.bench import page
from tidegate.bench.markdown import crowds, facts, table
from tidegate.bench.results import Results, Row

__all__ = ["charts", "write"]

_SERIES = {
    "torch": "#E69F00",
    "ONNX Runtime": "#D55E00",
    "tidegate, engine": "#009E73",
    "tidegate, kernel": "#0072B2",
    "roof": "#7A7A7A",
}
_WIDTH, _HEIGHT, _PANELS = 235, 210, 3
_ABOUT = """
Microseconds of one call, which steps a whole batch. The roof is the least time that this processor
allows: the weights read once from the cache that holds them, or the multiply-adds at the measured
peak, whichever takes longer. Both scales are logarithmic.
"""


def charts(results: Results) -> dict[str, alt.TopLevelMixin]:
    """Draw one chart for each precision and instruction set.

    Upper row: time against batch, a panel a model. Lower row: time against hidden size, a panel a
    batch. The cell is the one with the most rows, the models have one layer.

    Parameters
    ----------
    results : Results
        One run.

    Returns
    -------
    dict of str to chart
        By name, such as ``fp32-avx512``.
    """
    rows = [row for row in results.rows if row.layers == 1 and not row.sessions]
    cells = [row.cell for row in rows]
    drawn: dict[str, alt.TopLevelMixin] = {}
    for precision, isa in dict.fromkeys((row.precision, row.isa) for row in rows):
        found = [
            row
            for row in rows
            if (row.precision, row.isa) == (precision, isa)
            and row.cell == max(cells, key=cells.count)
        ]
        title = f"{found[0].cell.upper()} step, {precision}, {isa}: {results.machine.processor}"
        drawn[f"{precision}-{isa}"] = _chart(found, title)
    return drawn


def write(folder: Path, results: Results) -> list[Path]:
    """Write ``engine.html``, which needs no network, and a picture of each chart.

    Returns
    -------
    list of Path
        What was written.
    """
    return page.write(
        folder,
        "engine",
        charts(results),
        title="tidegate: a step, timed",
        heading="A recurrent step on one thread",
        about=[_ABOUT],
        table=table(results),
        facts=(*crowds(results), *facts(results)),
    )


def _chart(rows: Sequence[Row], title: str) -> alt.TopLevelMixin:
    batches = sorted({row.batch for row in rows})
    hidden = sorted({row.hidden_size for row in rows})
    # Of each hidden size the model with the smallest input: one line, one thing that changes.
    inputs = {size: min(r.input_size for r in rows if r.hidden_size == size) for size in hidden}
    rows = [row for row in rows if row.input_size == inputs[row.hidden_size]]
    by_batch = [
        _panel([r for r in rows if r.hidden_size == size], "batch", f"{inputs[size]} → {size}")
        for size in _spread(hidden)
    ]
    by_hidden = [
        _panel([r for r in rows if r.batch == batch], "hidden_size", f"batch {batch:,}")
        for batch in _spread(batches)
    ]
    chart = alt.vconcat(alt.hconcat(*by_batch), alt.hconcat(*by_hidden), spacing=24)
    looks = page.configured(chart.properties(title=title))
    finished: alt.TopLevelMixin = looks.configure_legend(
        labelFontSize=12, orient="bottom", symbolType="stroke", symbolStrokeWidth=3
    )
    return finished


def _panel(rows: Sequence[Row], over: str, title: str) -> alt.Chart:
    values = [
        {"series": series, over: getattr(row, over), "us": us}
        for row in rows
        for series, us in _times(row).items()
    ]
    ticks = sorted({getattr(row, over) for row in rows})
    names = list(_SERIES)
    scale: dict[str, Any] = {"domain": names}
    times = [value["us"] for value in values]
    lowest, highest = min(times) / 1.4, max(times) * 1.4
    panel: alt.Chart = (
        alt.Chart(alt.InlineData(values=values))
        .mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=36))
        .encode(
            x=alt.X(
                f"{over}:Q",
                title={"batch": "sessions in a call", "hidden_size": "hidden size"}[over],
                scale=alt.Scale(type="log", base=2, nice=False, padding=8),
                axis=alt.Axis(values=ticks, format=",d", grid=False),
            ),
            y=alt.Y(
                "us:Q",
                title="µs a call",
                scale=alt.Scale(type="log", domain=[lowest, highest], nice=False),
                axis=alt.Axis(format=",~f", values=_ticks(lowest, highest), minExtent=46),
            ),
            color=alt.Color(
                "series:N",
                title=None,
                sort=names,
                scale=alt.Scale(**scale, range=list(_SERIES.values())),
            ),
            strokeDash=alt.StrokeDash(
                "series:N",
                title=None,
                sort=names,
                scale=alt.Scale(**scale, range=[[1, 0]] * (len(names) - 1) + [[4, 3]]),
            ),
        )
        .properties(width=_WIDTH, height=_HEIGHT, title=title)
    )
    return panel


def _ticks(lowest: float, highest: float) -> list[float]:
    """Return round numbers within a range: powers of ten, and more of them where it is narrow."""
    steps = (1, 2, 5) if highest < 200 * lowest else (1,)
    ticks = [step * 10.0**power for power in range(-3, 8) for step in steps]
    return [tick for tick in ticks if lowest <= tick <= highest]


def _times(row: Row) -> dict[str, float]:
    """Return the points of a row: the kernel's brings the peers and the roof."""
    if row.entry == "engine":
        return {"tidegate, engine": row.us_per_step}
    return {
        "torch": row.torch_us,
        "ONNX Runtime": row.onnxruntime_us,
        "tidegate, kernel": row.us_per_step,
        "roof": row.us_per_step * row.roofline_fraction,
    }


def _spread(values: Sequence[int]) -> list[int]:
    """Return at most as many of the values as there are panels: the smallest, and up from there."""
    return list(values[:_PANELS])
