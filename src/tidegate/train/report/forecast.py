"""Sections of forecasts: how errors grow with the horizon, and what intervals hold."""

from __future__ import annotations

from typing import Any

import altair as alt

from tidegate.answers.forecast import Forecast
from tidegate.train.report import words
from tidegate.train.report.data import ReportData
from tidegate.train.report.drawing import SOFT, colours
from tidegate.train.report.page import Block, Figure, Section, Text

__all__ = ["horizons"]

_WIDTH, _HEIGHT = 380, 240
_LINES = {"mae": "the model", "mae_last": "the last value", "mae_seasonal": "a season ago"}


def horizons(data: ReportData) -> Section:
    """Say how far forecasts are from the truth, the further ahead they look."""
    half = Forecast(data.bundle.task)
    found = half.by_horizon(data.scored.numbers, data.scored.truth)
    if not found:
        return Section("Errors by horizon", [Text("No forecast has its truth among the events.")])
    label = data.bundle.task.label
    blocks: list[Block] = [
        Figure(
            _errors(found, label),
            "Mean absolute error of the forecasts that many events ahead, beside two that need no "
            "model. Where the model's line meets another, it knows no more than that. Measured on "
            f"{data.measured}.",
        )
    ]
    first, last = min(found), max(found)
    finding = (
        f"The mean absolute error is {words.number(found[first]['mae'])} {first} ahead and "
        f"{words.number(found[last]['mae'])} {last} ahead"
    )
    spec = data.bundle.task.forecast
    if spec is not None and spec.coverage and "coverage" in found[first]:
        held = [each["coverage"] for each in found.values()]
        blocks.append(
            Figure(
                _coverage(found, spec.coverage),
                f"Share of the truths between low and high; it was to be {spec.coverage:.0%} "
                "(dashes). Below, errors are larger here than they were on the validation part.",
            )
        )
        finding += f"; intervals hold {min(held):.0%} to {max(held):.0%} of what came"
    return Section("Errors by horizon", blocks, f"{finding}.")


def _errors(found: dict[int, dict[str, float]], label: str) -> alt.TopLevelMixin:
    rows = [
        {"ahead": ahead, "of": name, "value": each[member]}
        for ahead, each in found.items()
        for member, name in _LINES.items()
        if member in each
    ]
    drawn: alt.Chart = _chart(rows).mark_line(point=len(found) <= 30)
    return drawn.encode(
        x=_ahead(),
        y=alt.Y("value:Q", title=f"mean absolute error of {label}"),
        color=alt.Color(
            "of:N",
            scale=colours(list(_LINES.values())),
            title=None,
            legend=alt.Legend(orient="top"),
        ),
    )


def _coverage(found: dict[int, dict[str, float]], wanted: float) -> alt.TopLevelMixin:
    rows = [{"ahead": ahead, "value": each["coverage"]} for ahead, each in found.items()]
    scale = alt.Scale(zero=False)
    y = alt.Y("value:Q", title="share between low and high", axis=alt.Axis(format="%"), scale=scale)
    line = _chart(rows).mark_line(point=len(found) <= 30).encode(x=_ahead(), y=y)
    goal = _chart([{"value": wanted}]).mark_rule(strokeDash=[4, 3], color=SOFT).encode(y="value:Q")
    both: alt.LayerChart = goal + line
    return both


def _ahead() -> alt.X:
    return alt.X("ahead:Q", title="events ahead", axis=alt.Axis(tickMinStep=1))


def _chart(rows: list[dict[str, Any]]) -> alt.Chart:
    return alt.Chart(alt.InlineData(values=rows), width=_WIDTH, height=_HEIGHT)
