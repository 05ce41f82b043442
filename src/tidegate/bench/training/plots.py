"""Results as plots: steps beside the peers', what options cost, what padding costs, memory.

The colours are those of M. Okabe and K. Ito (2008), which people with colour-blindness tell apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import altair as alt

from tidegate.bench import page
from tidegate.bench.training.markdown import facts, table
from tidegate.bench.training.results import Row, TrainResults

__all__ = ["charts", "write"]

_SERIES = {
    "tidegate, bf16": "#56B4E9",
    "tidegate, fp32": "#0072B2",
    "torch.nn, same cell": "#E69F00",
    "torch.nn.LSTM": "#D55E00",
    "Python loop over cells": "#7A7A7A",
}
_OPTIONS_COLOUR, _RAGGED = "#009E73", {"padded": "#0072B2", "ragged": "#56B4E9"}
_KEPT = {"tidegate": "#0072B2", "tidegate, recompute": "#56B4E9", "torch.nn": "#E69F00"}
_WIDTH, _BAR = 420, 17
_ABOUT = """
Milliseconds of a step in training: the forward pass over a batch of sessions, and the backward
pass of the sum of its outputs. A case is cell:input-hidden@batchxtime.
"""


def charts(results: TrainResults) -> dict[str, alt.TopLevelMixin]:
    """Draw the charts for which there are figures.

    Parameters
    ----------
    results : TrainResults
        One run.

    Returns
    -------
    dict of str to chart
        ``steps``, ``options``, ``ragged``, ``memory``.
    """
    where = results.machine.processor
    full = [row for row in results.rows if row.lengths == "full"]
    drawn = {
        "steps": (_times(row) for row in full if row.options == "plain"),
        "options": (_options(row) for row in full if row.precision == "fp32"),
        "ragged": (_ragged(row) for row in results.rows if row.options == "plain"),
        "memory": (_kept(row) for row in full if row.precision == "fp32"),
    }
    looks: dict[str, Callable[[list[dict[str, Any]]], alt.TopLevelMixin]] = {
        "steps": lambda values: _bars(
            values, _SERIES, "milliseconds a step", f"A step in training: {where}", log=True
        ),
        "options": lambda values: _bars(
            values,
            dict.fromkeys((value["series"] for value in values), _OPTIONS_COLOUR),
            "times the plain layer's step",
            f"What options cost: {where}",
        ),
        "ragged": lambda values: _bars(
            values, _RAGGED, "milliseconds a step", f"Lengths of a third on average: {where}"
        ),
        "memory": lambda values: _bars(
            values, _KEPT, "MB kept for the backward pass, output included", "Memory", log=True
        ),
    }
    values = {name: _without_repeats(found) for name, found in drawn.items()}
    return {name: looks[name](found) for name, found in values.items() if found}


def write(folder: Path, results: TrainResults) -> list[Path]:
    """Write ``train.html``, which needs no network, and a picture of each chart.

    Returns
    -------
    list of Path
        What was written.
    """
    return page.write(
        folder,
        "train",
        charts(results),
        title="tidegate: training, timed",
        heading="A recurrent layer's step in training",
        about=[_ABOUT],
        table=table(results),
        texts=5,
        facts=facts(results),
    )


def _times(row: Row) -> list[dict[str, Any]]:
    times = {f"tidegate, {row.precision}": row.step_ms}
    if row.precision == "fp32":
        times["torch.nn, same cell"] = getattr(row, f"torch_{row.cell}_ms")
        if row.cell != "lstm":
            times["torch.nn.LSTM"] = row.torch_lstm_ms
        times["Python loop over cells"] = row.loop_ms
    return _values(row, times)


def _options(row: Row) -> list[dict[str, Any]]:
    return [] if row.options == "plain" else _values(row, {row.options: row.ratio_plain})


def _ragged(row: Row) -> list[dict[str, Any]]:
    if row.padded_ms is None or row.precision != "fp32":
        return []
    return _values(row, {"padded": row.padded_ms, "ragged": row.step_ms})


def _kept(row: Row) -> list[dict[str, Any]]:
    if row.options == "plain":
        torchs = getattr(row, f"torch_{row.cell}_kept_mb")
        return _values(row, {"tidegate": row.kept_mb, "torch.nn": torchs})
    kept = {"tidegate, recompute": row.kept_mb} if row.options == "recompute" else {}
    return _values(row, kept)


def _values(row: Row, series: dict[str, float]) -> list[dict[str, Any]]:
    return [
        {"case": str(row.case), "series": name, "value": value} for name, value in series.items()
    ]


def _without_repeats(found: Iterable[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return all values, the last of each bar."""
    bars = {(value["case"], value["series"]): value for values in found for value in values}
    return list(bars.values())


def _bars(
    values: list[dict[str, Any]],
    colours: dict[str, str],
    axis: str,
    title: str,
    *,
    log: bool = False,
) -> alt.TopLevelMixin:
    """Draw a group of bars a case; on a logarithmic scale points, which need no zero."""
    here = {value["series"] for value in values}
    names = [name for name in colours if name in here]
    cases = list(dict.fromkeys(value["case"] for value in values))
    x = alt.X("value:Q", title=axis, scale=alt.Scale(type="log" if log else "linear"))
    chart = alt.Chart(alt.InlineData(values=values))
    marked = chart.mark_point(filled=True, size=80) if log else chart.mark_bar()
    drawn = marked.encode(
        x=x,
        y=alt.Y("series:N", title=None, sort=names, axis=alt.Axis(labelLimit=260, grid=log)),
        color=alt.Color(
            "series:N",
            scale=alt.Scale(domain=names, range=[colours[name] for name in names]),
            legend=None,
        ),
        row=alt.Row(
            "case:N",
            title=None,
            sort=cases,
            spacing=8,
            header=alt.Header(labelAngle=0, labelAlign="left", labelLimit=200),
        ),
        tooltip=["case:N", "series:N", "value:Q"],
    ).properties(width=_WIDTH, height=alt.Step(_BAR), title=title)
    return page.configured(drawn.resolve_scale(y="independent"))  # each case has its own names
