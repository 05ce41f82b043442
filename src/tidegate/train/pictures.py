"""Pictures of a run: the vanishing profile, a session's gates, what the state remembers.

The colours are those of M. Okabe and K. Ito (2008), which people with colour-blindness tell apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import vl_convert
from numpy.typing import NDArray

from tidegate import files
from tidegate.errors import InputError
from tidegate.train.history import Epoch
from tidegate.train.memory import Memory

__all__ = ["gates", "memory", "profile", "write"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#7A7A7A", "#000000")
MAX_EVENTS = 160
"""Of a session's gates: the last ones."""
MAX_UNITS = 48
"""Of a layer's gates: evenly chosen of all, once they are in order."""

_WIDTH, _HEIGHT = 420, 260
_WORDS = {
    "r": "r: reset",
    "z": "z: share of the old state kept",
    "n": "n: candidate",
    "i": "i: input",
    "f": "f: share of the old cell kept",
    "g": "g: candidate",
    "o": "o: output",
    "h": "h: state",
}


def profile(history: Sequence[Epoch]) -> alt.TopLevelMixin:
    """Draw the vanishing profile: gradient against lag, of each layer, at a run's two ends.

    Parameters
    ----------
    history : sequence of Epoch
        Of a run.

    Returns
    -------
    chart
        Its vertical scale is logarithmic. A gradient of 0, or one that is not finite, has no point.

    Raises
    ------
    InputError
        ``no_diagnosis``: no epoch was measured.
    """
    measured = [(one.epoch, one.diagnosis) for one in history if one.diagnosis is not None]
    if not measured:
        raise InputError(
            "no_diagnosis",
            "no epoch of this run was measured",
            field="--profile",
            hint="train with diagnostics = true",
        )
    ends = dict(measured[:: max(1, len(measured) - 1)])
    values: list[dict[str, Any]] = [
        {"lag": lag, "norm": norm, "layer": f"layers.{index}", "epoch": f"after epoch {epoch}"}
        for epoch, diagnosis in ends.items()
        for index, layer in enumerate(diagnosis.layers)
        for lag, norm in zip(diagnosis.lags, layer.by_lag, strict=True)
        if norm
    ]
    layers = [f"layers.{index}" for index in range(len(measured[-1][1].layers))]
    epochs = [f"after epoch {epoch}" for epoch in ends]
    dashes = alt.Scale(domain=epochs[::-1], range=[[1, 0], [5, 4]][: len(epochs)])
    norms = [value["norm"] for value in values] or [1.0]
    ticks = _decades(min(norms), max(norms))
    drawn = alt.Chart(alt.InlineData(values=values)).encode(
        x=alt.X("lag:O", title="events before the label", axis=alt.Axis(labelAngle=0, grid=False)),
        y=alt.Y(
            "norm:Q",
            title="norm, with respect to a layer's input",
            scale=alt.Scale(type="log", nice=False, padding=10),
            axis=alt.Axis(format="~e" if ticks[-1] > 1e3 * ticks[0] else "~g", values=ticks),
        ),
        color=alt.Color("layer:N", title=None, sort=layers, scale=_colours(layers)),
    )
    legend = alt.Legend(symbolStrokeColor="#444444", symbolStrokeWidth=2)
    lines = drawn.mark_line(strokeWidth=2).encode(
        strokeDash=alt.StrokeDash("epoch:N", title=None, scale=dashes, legend=legend)
    )
    # With points of its own, a line would lose its dashes in the legend.
    points = drawn.mark_point(filled=True, opacity=1, size=40).encode(detail="epoch:N")
    title = "Gradient of the loss at the last label"
    return _look(alt.layer(lines, points, title=title, width=_WIDTH, height=_HEIGHT))


def memory(found: Memory) -> alt.TopLevelMixin:
    """Draw what the state remembers: of each field, how well the state tells it, against lag.

    Parameters
    ----------
    found : Memory
        From `memory.probe`. The fields that are remembered best are drawn, one for each colour.
    """
    order = sorted(found.r2, key=lambda name: -sum(found.r2[name]))
    values = [
        {"lag": lag, "r2": max(0.0, r2), "field": name}
        for name in order[: len(COLOURS)]
        for lag, r2 in zip(found.lags, found.r2[name], strict=True)
    ]
    chart = (
        alt.Chart(alt.InlineData(values=values), title="What the state remembers")
        .mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=40))
        .encode(
            x=alt.X(
                "lag:O",
                title="events ago",
                axis=alt.Axis(labelAngle=0, grid=False),
            ),
            y=alt.Y(
                "r2:Q",
                title="R² of a linear probe, held-out sessions",
                scale=alt.Scale(domain=[0, 1]),
            ),
            color=alt.Color(
                "field:N", title=None, sort=order, scale=_colours(order[: len(COLOURS)])
            ),
        )
        .properties(width=_WIDTH, height=_HEIGHT)
    )
    return _look(chart)


def gates(
    layers: Sequence[Mapping[str, NDArray[np.float32]]], session: str = ""
) -> alt.TopLevelMixin:
    """Draw gates over a session as heat maps: events from left to right, a row a unit.

    Units stand in the order of how much they keep (z, f; without these, of how much they vary), the
    same for all gates of a layer.

    Parameters
    ----------
    layers : sequence of mapping of str to float32 array (events, units)
        From `traces.gates`.
    session : str
        Its id, for the title.
    """
    rows = [
        alt.hconcat(
            *(_heat(index, gate, values, _order(layer)) for gate, values in layer.items())
        ).resolve_scale(color="independent")
        for index, layer in enumerate(layers)
    ]
    title = f"Gates over session {session}" if session else "Gates over a session"
    return _look(alt.vconcat(*rows, title=title))


def write(chart: alt.TopLevelMixin, folder: Path, name: str) -> list[Path]:
    """Write ``NAME.png`` and ``NAME.svg``; the folder is made if it is missing.

    Raises
    ------
    InputError
        ``cannot_write``.
    """
    spec = chart.to_json()
    contents = {
        folder / f"{name}.png": vl_convert.vegalite_to_png(spec, scale=1.5),
        folder / f"{name}.svg": vl_convert.vegalite_to_svg(spec).encode(),
    }
    for path, content in contents.items():
        files.write_file(path, content)
    return list(contents)


def _heat(index: int, gate: str, values: NDArray[np.float32], order: NDArray[np.intp]) -> alt.Chart:
    direction, _, letter = gate.rpartition(".")
    first = max(0, len(values) - MAX_EVENTS)
    # A row a unit, taken apart when it is drawn: Altair checks every row, which takes its time.
    events = list(range(first, len(values)))
    units = [
        {"unit": place, "event": events, "value": values[first:, unit].round(3).tolist()}
        for place, unit in enumerate(order)
    ]
    signed = letter in "ngh"
    low = min(-1.0, float(values.min())) if signed else 0.0
    high = max(1.0, float(values.max()))  # of a ReLU
    scale: dict[str, Any] = (
        {"scheme": "blueorange", "domainMid": 0} if signed else {"scheme": "viridis"}
    )
    chart: alt.Chart = (
        alt.Chart(
            alt.InlineData(values=units),
            title=f"layers.{index} {direction} {_WORDS[letter]}".replace("  ", " "),
        )
        .transform_flatten(["event", "value"])
        .mark_rect()
        .encode(
            x=alt.X(
                "event:O",
                title="event",
                axis=alt.Axis(
                    values=_ticks(first, len(values)), labelAngle=0, ticks=False, domain=False
                ),
            ),
            y=alt.Y("unit:O", title="unit", axis=alt.Axis(labels=False, ticks=False, domain=False)),
            color=alt.Color(
                "value:Q",
                title=None,
                scale=alt.Scale(domain=[low, high], **scale),
                legend=alt.Legend(gradientLength=100, gradientThickness=10, tickCount=3),
            ),
        )
        .properties(width=max(180, 2 * len(events)), height=max(120, 5 * len(order)))
    )
    return chart


def _order(layer: Mapping[str, NDArray[np.float32]]) -> NDArray[np.intp]:
    """Return the units that are drawn, from the top down."""
    keeps = [values for gate, values in layer.items() if gate.rpartition(".")[2] in "zf"]
    rank = keeps[0].mean(0) if keeps else next(iter(layer.values())).std(0)
    order = np.argsort(-rank, kind="stable")
    chosen = np.linspace(0, len(order) - 1, min(len(order), MAX_UNITS)).round().astype(np.intp)
    return order[chosen]


def _ticks(first: int, end: int) -> list[int]:
    """Return some round events.

    >>> _ticks(0, 25), _ticks(90, 250)
    ([0, 5, 10, 15, 20], [100, 120, 140, 160, 180, 200, 220, 240])
    """
    step = next(s for s in (1, 2, 5, 10, 20) if (end - first) / s <= 8 or s == 20)
    return list(range(-(-first // step) * step, end, step))


def _decades(low: float, high: float) -> list[float]:
    """Return powers of ten around a range, every tenth one of a wide range; more of a narrow one.

    >>> _decades(3e-3, 0.06), _decades(1e-3, 2.0)
    ([0.002, 0.005, 0.01, 0.02, 0.05, 0.1], [0.001, 0.01, 0.1, 1.0, 10.0])
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    if last - first > 3:
        return [float(f"1e{power}") for power in range(first, last + 1, 1 + (last - first) // 10)]
    ticks = [float(f"{step}e{power}") for power in range(first, last + 1) for step in (1, 2, 5)]
    return [tick for tick in ticks if low / 2 <= tick <= high * 2]


def _colours(names: Sequence[str]) -> alt.Scale:
    return alt.Scale(
        domain=list(names), range=[COLOURS[i % len(COLOURS)] for i in range(len(names))]
    )


def _look(chart: alt.TopLevelMixin) -> alt.TopLevelMixin:
    """Give a chart the look that all of ours have."""
    finished: alt.TopLevelMixin = (
        chart.configure(background="white", padding=16, font="sans-serif")
        .configure_view(stroke=None)
        .configure_axis(
            gridColor="#E6E6E6", domainColor="#888888", tickColor="#888888", labelFontSize=11
        )
        .configure_title(fontSize=13, anchor="start", offset=10)
        .configure_legend(
            labelFontSize=12, symbolType="stroke", symbolStrokeWidth=3, symbolSize=250
        )
    )
    return finished
