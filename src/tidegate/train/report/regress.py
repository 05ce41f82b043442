"""Sections of tasks that answer with a number: residuals."""

from __future__ import annotations

import altair as alt
import numpy as np
from numpy.typing import NDArray

from tidegate.train.report import words
from tidegate.train.report.data import ReportData
from tidegate.train.report.drawing import BLUE, SOFT
from tidegate.train.report.page import Figure, Section, Table

__all__ = ["residuals"]

_BINS = 40
_WIDTH, _HEIGHT = 320, 280
_QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def residuals(data: ReportData) -> Section:
    """Say how far answers are from the truth, and in which direction."""
    scored = data.scored.pick(data.scored.known)
    value, truth = scored.columns()["value"], scored.truth
    residual = value - truth
    label = data.bundle.task.label
    inside = _inside(residual)
    outside = int((~inside).sum())
    cut = f" {outside:,} events far outside are left out of the picture." if outside else ""
    rows = [
        ["mean", words.signed(float(residual.mean()))],
        ["standard deviation", words.number(float(residual.std()))],
        *(
            [f"{100 * q:g}% are below", words.signed(float(np.quantile(residual, q)))]
            for q in _QUANTILES
        ),
    ]
    bias = float(residual.mean())
    return Section(
        "Residuals",
        [
            Figure(
                _histogram(residual[inside], label),
                f"How often an answer was how much above (right) or below (left) the true {label}. "
                "It should be narrow, and symmetric about the dashes. Measured on "
                f"{data.measured}.{cut}",
            ),
            Figure(
                _against(value, truth, label),
                "The answer against the truth: darker is more events. On the dashes both are the "
                "same; flatter than the dashes means that the model does not dare the extremes. "
                f"Measured on {data.measured}; the outermost 0.5 % of each axis are left out.",
            ),
            Table(["residual (answer less truth)", label], rows),
        ],
        f"Half of the answers are within {words.number(float(np.median(np.abs(residual))))} of the "
        f"true {label}; on the whole they are {words.number(abs(bias))} too "
        f"{'high' if bias > 0 else 'low'}.",
    )


def _inside(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which values are not so far out that a picture would show nothing else."""
    low, high = np.quantile(values, [0.005, 0.995])
    margin = high - low
    return np.asarray((values >= low - margin) & (values <= high + margin))


def _histogram(residual: NDArray[np.float64], label: str) -> alt.TopLevelMixin:
    counts, edges = np.histogram(residual, _BINS)
    values = [
        {"from": low, "to": high, "events": int(count), "zero": 0}
        for low, high, count in zip(
            edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True
        )
    ]
    x = alt.X("from:Q", title=f"answer less true {label}", scale=alt.Scale(nice=False))
    return alt.layer(
        alt.Chart(alt.InlineData(values=values))
        .mark_rect(color=BLUE, opacity=0.8)
        .encode(x=x, x2="to:Q", y=alt.Y("events:Q", title="events"), y2="zero:Q"),
        alt.Chart(alt.InlineData(values=[{"from": 0}]))
        .mark_rule(color=SOFT, strokeDash=[4, 3])
        .encode(x=x),
        width=_WIDTH,
        height=_HEIGHT,
    )


def _against(
    value: NDArray[np.float64], truth: NDArray[np.float64], label: str
) -> alt.TopLevelMixin:
    ends = np.quantile(np.concatenate([value, truth]), [0.005, 0.995])
    low, high = float(ends[0]), float(ends[1])
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts, xs, ys = np.histogram2d(truth, value, _BINS, range=[[low, high], [low, high]])
    most = max(1.0, float(counts.max()))
    cells = [
        {
            "x": float(xs[i]),
            "x2": float(xs[i + 1]),
            "y": float(ys[j]),
            "y2": float(ys[j + 1]),
            # Of the root: a few events in a cell are seen beside thousands.
            "share": float(0.08 + 0.92 * np.sqrt(counts[i, j] / most)),
        }
        for i, j in zip(*np.nonzero(counts), strict=True)
    ]
    scale = alt.Scale(domain=[low, high], nice=False)
    x = alt.X("x:Q", title=f"true {label}", scale=scale)
    y = alt.Y("y:Q", title="answer", scale=scale)
    opacity = alt.Opacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0, 1]), legend=None)
    return alt.layer(
        alt.Chart(alt.InlineData(values=cells))
        .mark_rect(color=BLUE)
        .encode(x=x, x2="x2:Q", y=y, y2="y2:Q", opacity=opacity),
        alt.Chart(alt.InlineData(values=[{"x": low, "y": low}, {"x": high, "y": high}]))
        .mark_line(color=SOFT, strokeDash=[4, 3], strokeWidth=1)
        .encode(x=x, y=y),
        width=_WIDTH,
        height=_HEIGHT,
    )
