"""Sections of anomalies: how surprising events are, and which field surprises."""

from __future__ import annotations

import altair as alt
import numpy as np
from numpy.typing import NDArray

from tidegate.train.report import words
from tidegate.train.report.data import ReportData
from tidegate.train.report.drawing import BLUE, SOFT
from tidegate.train.report.page import Figure, Section, Table

__all__ = ["surprise"]

_BINS = 60
_SHARE = 0.99
_WIDTH, _HEIGHT = 420, 220
_SHOWN = 10


def surprise(data: ReportData) -> Section:
    """Say how surprising events are, where the threshold lies, and what is above it."""
    spec = data.bundle.task.anomaly
    assert spec is not None
    scores = data.scored.numbers[:, 0].astype(np.float64)
    above = scores > spec.threshold
    share = float(above.mean())
    fields = data.scored.numbers[:, 1:].astype(np.float64)
    rows = [
        [
            name,
            words.number(float(each.mean())),
            words.number(float(each[above].mean())) if above.any() else "",
        ]
        for name, each in zip(spec.fields, fields.T, strict=True)
    ]
    return Section(
        "Surprise",
        [
            Figure(
                _histogram(scores, spec.threshold),
                "How many events surprised the model how much: minus the logarithm of the event's "
                "likelihood, in nats, each bar a range. Dashes: the threshold, above which an "
                "event is called anomalous. Counts are shown by their logarithm; the last bar has "
                "all that surprised more. "
                f"{len(scores):,} events.",
            ),
            Table(
                ["field", "mean surprise, nats", "of the events above the threshold"],
                rows,
                "Which fields surprise: of all events, and of those that were called anomalous.",
            ),
            _highest(data, scores),
        ],
        f"{share:.2%} of the events are above the threshold; of ordinary ones "
        f"{spec.false_alarm_rate:.2%} were to be.",
    )


def _highest(data: ReportData, scores: NDArray[np.float64]) -> Table:
    table = data.table
    session = np.repeat(np.arange(len(table.sessions)), table.lengths)
    order = np.argsort(-scores, kind="stable")[:_SHOWN]
    rows = [
        [table.sessions[session[at]], f"{table.seqs[at]:,}", words.number(float(scores[at]))]
        for at in order.tolist()
    ]
    caption = "The most surprising events: worth a look, whatever the threshold says."
    return Table(["session", "event", "surprise, nats"], rows, caption)


def _histogram(scores: NDArray[np.float64], threshold: float) -> alt.LayerChart:
    most = float(np.quantile(scores, _SHARE))
    if np.isfinite(threshold):
        most = max(most, 2 * threshold - float(scores.min()))
    counts, edges = np.histogram(np.minimum(scores, most), bins=_BINS)
    bars = [
        {"from": low, "to": high, "count": int(count)}
        for low, high, count in zip(edges, edges[1:], counts, strict=False)
        if count
    ]
    drawn = (
        alt.Chart(alt.InlineData(values=bars), width=_WIDTH, height=_HEIGHT)
        .mark_bar(color=BLUE)
        .encode(
            x=alt.X("from:Q", title="surprise, nats", scale=alt.Scale(zero=False)),
            x2="to:Q",
            y=alt.Y("count:Q", title="events", scale=alt.Scale(type="symlog")),
            y2=alt.datum(0),
        )
    )
    rule = alt.Chart(alt.InlineData(values=[{"at": threshold}] if np.isfinite(threshold) else []))
    both: alt.LayerChart = drawn + rule.mark_rule(strokeDash=[4, 3], color=SOFT).encode(x="at:Q")
    return both
