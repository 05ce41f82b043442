"""The report's plots: Vega-Lite through Altair.

The colours are those of M. Okabe and K. Ito (2008), which people with colour-blindness tell apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import altair as alt
import numpy as np
import polars as pl
from sklearn.metrics import roc_curve

from tidegate.train import Epoch

__all__ = [
    "LABELS",
    "Traffic",
    "auc_bars",
    "calibration",
    "eventful_day",
    "latency",
    "one_day",
    "overview",
    "roc",
    "themed",
    "throughput",
    "training",
]

BLUE, ORANGE, GREEN = "#0072B2", "#E69F00", "#009E73"
VERMILION, PURPLE, GREY = "#D55E00", "#CC79A7", "#7A7A7A"

LABELS = {
    "gru": "GRU",
    "gradient_boosting_with_lags": "Boosting, hand-made lags",
    "lstm": "LSTM, same size",
    "logistic_no_history": "Logistic, no history",
    "gru_trained_without_memory": "GRU trained without memory",
    "gradient_boosting_no_history": "Boosting, no history",
    "gru_memory_reset": "GRU, memory reset",
    "last_outcome": "Last outcome",
}
"""What the plots and tables call each model."""

_ROC = {
    "gru": BLUE,
    "gradient_boosting_with_lags": GREEN,
    "logistic_no_history": ORANGE,
    "gru_memory_reset": VERMILION,
    "last_outcome": GREY,
}
_WITH_MEMORY = {"gru", "lstm", "gradient_boosting_with_lags", "last_outcome"}

WIDTH, HEIGHT = 380, 270


@dataclass(frozen=True)
class Traffic:
    """Answers of the stream over time.

    Parameters
    ----------
    at, latency : float64 arrays (events,)
        Seconds since the stream began; seconds from request to answer.
    kills : sequence of (float, float)
        When the server was killed, and when it answered again, in seconds since the beginning.
    """

    at: np.ndarray
    latency: np.ndarray
    kills: Sequence[tuple[float, float]]


def auc_bars(auc: Mapping[str, float]) -> alt.LayerChart:
    """Show how well each model ranks: dots, best on top."""
    names = sorted(auc, key=auc.__getitem__, reverse=True)
    rows = pl.DataFrame(
        {
            "model": [LABELS[name] for name in names],
            "auc": [auc[name] for name in names],
            "sees": [
                "the session's past" if n in _WITH_MEMORY else "this flight only" for n in names
            ],
        }
    )
    order = rows["model"].to_list()
    base = alt.Chart(rows).encode(
        y=alt.Y("model:N", sort=order, title=None, axis=alt.Axis(labelLimit=190, ticks=False)),
        x=alt.X("auc:Q", title="area under the ROC curve", scale=alt.Scale(domain=[0.5, 0.78])),
    )
    colour = alt.Color(
        "sees:N",
        title="sees",
        scale=alt.Scale(domain=["the session's past", "this flight only"], range=[BLUE, ORANGE]),
        legend=alt.Legend(orient="bottom", direction="horizontal", symbolOpacity=1),
    )
    return (
        base.mark_rule(strokeWidth=2, opacity=0.5).encode(x2=alt.datum(0.5), color=colour)
        + base.mark_circle(size=110, opacity=1).encode(color=colour)
        + base.mark_text(align="left", dx=9, fontSize=11).encode(
            text=alt.Text("auc:Q", format=".3f")
        )
    ).properties(width=WIDTH - 110, height=HEIGHT, title="What memory is worth")


def roc(scored: pl.DataFrame, auc: Mapping[str, float]) -> alt.LayerChart:
    """Show the trade between catching late flights and crying wolf."""
    curves, order = [], [f"{LABELS[name]} ({auc[name]:.3f})" for name in _ROC]
    for name, label in reversed(list(zip(_ROC, order, strict=True))):  # the GRU on top
        wrong, right, _ = roc_curve(scored["late"], scored[name])
        grid = np.linspace(0, 1, 101)
        curves.append(pl.DataFrame({"x": grid, "y": np.interp(grid, wrong, right), "model": label}))
    lines = (
        alt.Chart(pl.concat(curves))
        .mark_line(strokeWidth=2)
        .encode(
            x=alt.X("x:Q", title="on-time flights called late", axis=alt.Axis(format="%")),
            y=alt.Y("y:Q", title="late flights called late", axis=alt.Axis(format="%")),
            color=alt.Color(
                "model:N",
                sort=order,
                title="model (AUC)",
                scale=alt.Scale(domain=order, range=list(_ROC.values())),
                legend=alt.Legend(orient="bottom-right", fillColor="white", padding=6),
            ),
        )
    )
    return (_diagonal() + lines).properties(
        width=WIDTH, height=HEIGHT, title="ROC, November and December"
    )


def calibration(late: pl.Series, probability: pl.Series, bins: int = 12) -> alt.LayerChart:
    """Show whether flights called late with 40 % are late in 40 % of cases; bins of equal size."""
    rows = (
        pl.DataFrame({"late": late, "said": probability})
        .with_columns(bin=(pl.col("said").rank("ordinal") - 1) * bins // pl.len())
        .group_by("bin")
        .agg(
            pl.col("said").mean(),
            pl.col("late").mean().alias("happened"),
            pl.len().alias("n"),
        )
        .with_columns(
            error=1.96 * (pl.col("happened") * (1 - pl.col("happened")) / pl.col("n")).sqrt()
        )
        .with_columns(
            low=pl.col("happened") - pl.col("error"), high=pl.col("happened") + pl.col("error")
        )
        .sort("bin")
    )
    top = float(max(rows["said"].max(), rows["high"].max())) * 1.05
    scale = alt.Scale(domain=[0, top], nice=False)
    x = alt.X("said:Q", title="probability that was given", scale=scale, axis=alt.Axis(format="%"))
    y = alt.Y("happened:Q", title="share that was late", scale=scale, axis=alt.Axis(format="%"))
    base = alt.Chart(rows)
    return (
        _diagonal(top)
        + base.mark_rule(color=BLUE, strokeWidth=2, opacity=0.5).encode(x=x, y="low:Q", y2="high:Q")
        + base.mark_line(color=BLUE, strokeWidth=1.5).encode(x=x, y=y)
        + base.mark_circle(color=BLUE, size=60, opacity=1).encode(x=x, y=y)
    ).properties(width=WIDTH, height=HEIGHT, title="Calibration of the GRU (bars: 95 %)")


def training(histories: Mapping[str, Sequence[Epoch]]) -> alt.HConcatChart:
    """Show loss and AUC by epoch."""
    rows = [
        {"model": model, "epoch": epoch.epoch, "part": part, "loss": loss, "auc": metric}
        for model, history in histories.items()
        for epoch in history
        for part, loss, metric in (
            ("January to September", epoch.train_loss, None),
            ("October", epoch.valid_loss, epoch.metrics["auc"]),
        )
    ]
    table = pl.DataFrame(rows)
    colour = alt.Color(
        "model:N",
        title=None,
        sort=list(histories),
        scale=alt.Scale(domain=list(histories), range=[BLUE, PURPLE, ORANGE]),
        legend=alt.Legend(orient="bottom"),
    )
    dash = alt.StrokeDash(
        "part:N",
        title=None,
        scale=alt.Scale(domain=["January to September", "October"], range=[[4, 3], [1, 0]]),
        legend=alt.Legend(orient="bottom"),
    )
    epoch = alt.X("epoch:O", axis=alt.Axis(labelAngle=0))

    def panel(column: str, title: str, axis: str) -> alt.Chart:
        return (
            alt.Chart(table.drop_nulls(column))
            .mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=28))
            .encode(
                x=epoch,
                y=alt.Y(f"{column}:Q", title=axis, scale=alt.Scale(zero=False)),
                color=colour,
                strokeDash=dash,
            )
            .properties(width=WIDTH * 0.42, height=HEIGHT - 60, title=title)
        )

    return alt.hconcat(
        panel("loss", "Training: loss", "log loss (nats)"),
        panel("auc", "Training: AUC, October", "area under the ROC curve"),
        spacing=30,
    )


def latency(traffic: Traffic) -> alt.LayerChart:
    """Show how long an answer takes, from the request to the last byte of the answer."""
    ms = traffic.latency * 1000
    edges = np.geomspace(max(ms.min(), 0.1), ms.max() * 1.001, 61)
    counts, _ = np.histogram(ms, edges)
    rows = pl.DataFrame({"from": edges[:-1], "to": edges[1:], "n": counts, "zero": 0})
    marks = pl.DataFrame({"ms": np.percentile(ms, [50, 99]), "name": ["p50", "p99"]}).with_columns(
        label=pl.format("{} {} ms", "name", pl.col("ms").round(1))
    )
    x = alt.X(
        "from:Q",
        title="milliseconds from request to answer, logarithmic",
        scale=alt.Scale(type="log", nice=False, domain=[edges[0], edges[-1]]),
        axis=alt.Axis(values=[0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000], format="~g"),
    )
    bars = (
        alt.Chart(rows)
        .mark_rect(color=BLUE, stroke="white", strokeWidth=0.5)
        .encode(x=x, x2="to:Q", y=alt.Y("n:Q", title="events"), y2="zero:Q")
    )
    rules = alt.Chart(marks).mark_rule(color=VERMILION, strokeWidth=2).encode(x="ms:Q")
    words = (
        alt.Chart(marks)
        .mark_text(align="left", dx=5, dy=8, color=VERMILION, fontWeight="bold", baseline="top")
        .encode(x="ms:Q", y=alt.value(0), text="label:N")
    )
    return (bars + rules + words).properties(
        width=WIDTH, height=HEIGHT, title="Latency of one durable event over HTTP"
    )


def throughput(traffic: Traffic, bin_s: float = 0.25) -> alt.LayerChart:
    """Show answers a second over the stream, and the outages after the kills."""
    edges = np.arange(0, traffic.at.max() + bin_s, bin_s)
    counts, _ = np.histogram(traffic.at, edges)
    rows = pl.DataFrame({"s": edges[:-1] + bin_s / 2, "rate": counts / bin_s})
    kills = pl.DataFrame(
        {
            "from": [begin for begin, _ in traffic.kills],
            "to": [end for _, end in traffic.kills],
            "label": [f"kill -9: back in {end - begin:.1f} s" for begin, end in traffic.kills],
        },
        schema={"from": pl.Float64, "to": pl.Float64, "label": pl.String},
    )
    outages = (
        alt.Chart(kills).mark_rect(color=VERMILION, opacity=0.35).encode(x="from:Q", x2="to:Q")
    )
    line = (
        alt.Chart(rows)
        .mark_area(color=BLUE, opacity=0.85, interpolate="step")
        .encode(
            x=alt.X("s:Q", title="seconds since the stream began", scale=alt.Scale(nice=False)),
            y=alt.Y(
                "rate:Q",
                title="answers a second",
                axis=alt.Axis(format="~s"),
                scale=alt.Scale(domain=[0, rows["rate"].max() * 1.15], nice=False),
            ),
        )
    )
    words = (
        alt.Chart(kills)
        .mark_text(align="left", dx=5, dy=4, color=VERMILION, fontWeight="bold", baseline="top")
        .encode(x="to:Q", y=alt.value(0), text="label:N")
    )
    return (line + outages + words).properties(
        width=WIDTH, height=HEIGHT, title="Answers a second, through the kills"
    )


def eventful_day(questions: pl.DataFrame) -> tuple[str, date]:
    """Return the airport and day, of those with 200 flights or more, that went half wrong.

    The day whose share of late flights is nearest to one half: there, a base rate knows nothing.
    """
    row = (
        questions.group_by("origin", "day")
        .agg(pl.len(), (pl.col("late").mean() - 0.5).abs().alias("off"))
        .filter(pl.col("len") >= 200)
        .sort("off", "day", "origin")
        .row(0, named=True)
    )
    return row["origin"], row["day"]


def one_day(questions: pl.DataFrame, origin: str, day: date) -> alt.LayerChart:
    """Show one day at one airport: the probability given an hour ahead, and what happened."""
    flights = questions.filter(pl.col("origin") == origin, pl.col("day") == day).select(
        "hour", "gru", happened=pl.when("late").then(pl.lit("late")).otherwise(pl.lit("on time"))
    )
    hours = (
        flights.group_by(pl.col("hour").floor() + 0.5)
        .agg(
            (pl.col("happened") == "late").mean().alias("was late"),
            pl.col("gru").mean().alias("GRU, mean"),
            pl.len(),
        )
        .filter(pl.col("len") >= 5)
        .unpivot(["was late", "GRU, mean"], index="hour", variable_name="line")
    )
    x = alt.X(
        "hour:Q",
        title="scheduled departure (local time)",
        scale=alt.Scale(domain=[5, 24], nice=False),
        axis=alt.Axis(values=list(range(6, 25, 3)), labelExpr="datum.value + ':00'"),
    )
    y = alt.Y(
        "gru:Q",
        title="probability of late",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format="%"),
    )
    dots = (
        alt.Chart(flights)
        .mark_point(filled=True, size=42, opacity=0.75)
        .encode(
            x=x,
            y=y,
            color=alt.Color(
                "happened:N",
                title="flight was",
                scale=alt.Scale(domain=["late", "on time"], range=[VERMILION, BLUE]),
                legend=alt.Legend(orient="right"),
            ),
            shape=alt.Shape(
                "happened:N",
                title="flight was",
                scale=alt.Scale(domain=["late", "on time"], range=["triangle-up", "circle"]),
            ),
        )
    )
    lines = (
        alt.Chart(hours)
        .mark_line(color="black", strokeWidth=2)
        .encode(
            x=x,
            y="value:Q",
            strokeDash=alt.StrokeDash(
                "line:N",
                title="by the hour",
                scale=alt.Scale(domain=["GRU, mean", "was late"], range=[[1, 0], [3, 3]]),
                legend=alt.Legend(orient="right"),
            ),
        )
    )
    title = f"One day at {origin}: {day:%A, %-d %B %Y}, asked an hour ahead"
    return (dots + lines).properties(width=WIDTH * 2, height=HEIGHT, title=title)


def overview(charts: Mapping[str, alt.TopLevelMixin]) -> alt.TopLevelMixin:
    """Put the key plots on one picture."""

    def row(*names: str) -> alt.HConcatChart:
        return alt.hconcat(*(charts[name] for name in names), spacing=40).resolve_scale(
            color="independent", shape="independent", strokeDash="independent"
        )

    rows = row("roc", "auc"), row("one_day"), row("calibration", "throughput")
    return themed(alt.vconcat(*rows, spacing=30))


def themed(chart: alt.TopLevelMixin) -> alt.TopLevelMixin:
    """Give a plot the report's look."""
    return (
        chart.configure(background="white", padding=16, font="sans-serif")
        .configure_view(stroke=None)
        .configure_axis(
            gridColor="#E6E6E6", domainColor="#888888", tickColor="#888888", labelFontSize=11
        )
        .configure_title(fontSize=14, anchor="start", offset=10)
        .configure_legend(labelFontSize=11, titleFontSize=11, labelLimit=260)
    )


def _diagonal(top: float = 1.0) -> alt.Chart:
    ends = pl.DataFrame({"x": [0.0, top], "y": [0.0, top]})
    return (
        alt.Chart(ends)
        .mark_line(color=GREY, strokeDash=[2, 3], strokeWidth=1)
        .encode(x="x:Q", y="y:Q")
    )
