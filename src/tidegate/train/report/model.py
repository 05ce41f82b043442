"""Sections about the model: its training, its gates, its card."""

from __future__ import annotations

import math

import altair as alt
import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegate.bundle import card
from tidegate.train import pictures, traces
from tidegate.train.history import Epoch
from tidegate.train.report import words
from tidegate.train.report.data import ReportData
from tidegate.train.report.drawing import SOFT, colours
from tidegate.train.report.page import Block, Figure, Markdown, Section, Table, Text

__all__ = ["gates", "model_card", "training"]

_WIDTH, _HEIGHT = 300, 190


def training(data: ReportData) -> Section:
    """Say how training went."""
    provenance = data.bundle.provenance
    try:
        history = msgspec.convert(provenance.get("history", []), tuple[Epoch, ...])
    except msgspec.ValidationError:
        history = ()
    if not history:
        return Section("Training", [Text("The bundle does not hold the history of its training.")])
    best = provenance.get("best_epoch")
    losses = [
        {"epoch": one.epoch, "value": value, "part": part}
        for one in history
        for part, value in (("training", one.train_loss), ("validation", one.valid_loss))
    ]
    watched = [
        {"epoch": one.epoch, "value": one.metrics[data.metric], "part": "validation"}
        for one in history
        if data.metric in one.metrics
        and not math.isclose(one.metrics[data.metric], one.valid_loss, rel_tol=1e-4)  # the loss
    ]
    norms = [
        {"epoch": one.epoch, "value": value, "part": part}
        for one in history
        for part, value in (("mean", one.gradient_norm), ("largest", one.gradient_norm_max))
        if value > 0
    ]
    metric = words.metric(data.metric)
    blocks: list[Block] = [
        Figure(
            _curves(losses, "loss", best),
            "The loss by epoch, in the terms that it was trained with; while learning, with "
            "dropout, on the training part, and after each epoch on the validation part. Training "
            "falls and validation rises: overfitting. Dashes: the epoch whose weights were kept.",
        )
    ]
    if watched:
        blocks.append(
            Figure(
                _curves(watched, metric, best),
                f"{metric} on the validation part, after each epoch.",
            )
        )
    if norms:
        blocks.append(
            Figure(
                _curves(norms, "gradient's norm", best, log=True),
                "The gradient's norm before clipping, mean and largest of the epoch's steps: "
                "steady is well.",
            )
        )
    blocks.append(_settings(data, history))
    seconds = sum(one.seconds for one in history)
    return Section(
        "Training",
        blocks,
        f"Trained for {len(history)} epochs in {words.number(seconds)} s; the weights are those of "
        f"epoch {best}.",
    )


def gates(data: ReportData) -> Section:
    """Show what the gates do over one session."""
    title = "Gates over a session"
    if data.bundle.precision != "fp32":
        return Section(
            title,
            [Text("The weights are rounded: make the report of the fp32 bundle to see gates.")],
        )
    place = _typical(data.table.lengths)
    one = data.table.take([place])
    rows = data.bundle.schema.encode(one.columns, one.times, one.offsets).rows
    found = traces.gates(traces.network_of(data.bundle), rows)
    caption = (
        f"What the gates do over session {one.sessions[0]} ({one.n_events:,} events): a column an "
        "event, a row a unit, those that keep most on top. z (of an LSTM f) is the share of the "
        "old state that is kept: dark is let go, bright is kept. A column that is dark throughout "
        f"is an event that the model takes in. Of a long session the last {pictures.MAX_EVENTS} "
        f"events are drawn, of a wide layer {pictures.MAX_UNITS} units."
    )
    blocks: list[Block] = [Figure(pictures.gates(found, one.sessions[0]), caption, raster=True)]
    rows_of = [
        [f"layers.{index}", gate, *_kept(values)]
        for index, layer in enumerate(found)
        for gate, values in layer.items()
        if gate.rpartition(".")[2] in "zf"
    ]
    if rows_of:
        head = ["layer", "gate", "mean", "least keeping", "median", "most keeping", "half-life"]
        blocks.append(
            Table(
                head,
                rows_of,
                "The share that is kept at an event, mean of the units and the units at 10, 50 and "
                "90 %; and in how many events the median unit forgets half, if nothing else "
                "changed it.",
                texts=2,
            )
        )
    return Section(title, blocks)


def model_card(data: ReportData) -> Section:
    """Show the bundle's card."""
    return Section("Model card", [Markdown(card.write(data.bundle))])


def _typical(lengths: NDArray[np.int64]) -> int:
    """Return the first session of the upper quartile's length: long enough to show something.

    >>> _typical(np.array([1, 9, 5, 5]))
    2
    """
    target = min(float(np.quantile(lengths, 0.75)), float(pictures.MAX_EVENTS))
    return int(np.abs(lengths - target).argmin())


def _kept(values: NDArray[np.float32]) -> list[str]:
    units = values.mean(axis=0)
    low, middle, high = (float(q) for q in np.quantile(units, [0.1, 0.5, 0.9]))
    life = np.log(0.5) / np.log(middle) if 0 < middle < 1 else np.inf
    return [
        *(f"{value:.2f}" for value in (float(values.mean()), low, middle, high)),
        f"{life:.1f} events" if life < 1e4 else "none",
    ]


def _curves(
    values: list[dict[str, object]], title: str, best: int | None, *, log: bool = False
) -> alt.TopLevelMixin:
    parts = list(dict.fromkeys(str(value["part"]) for value in values))
    scale = alt.Scale(type="log", nice=True) if log else alt.Scale(zero=False, nice=True)
    x = alt.X("epoch:Q", title="epoch", axis=alt.Axis(format="d", tickMinStep=1, grid=False))
    colour = alt.Color(
        "part:N",
        title=None,
        sort=parts,
        scale=colours(parts),
        legend=alt.Legend(orient="top") if len(parts) > 1 else None,
    )
    curves = (
        alt.Chart(alt.InlineData(values=values))
        .mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=26))
        .encode(x=x, y=alt.Y("value:Q", title=title, scale=scale), color=colour)
    )
    layers: list[alt.Chart] = [curves]
    if best is not None:
        layers.append(
            alt.Chart(alt.InlineData(values=[{"epoch": best}]))
            .mark_rule(color=SOFT, strokeDash=[4, 3])
            .encode(x=x)
        )
    return alt.layer(*layers, width=_WIDTH, height=_HEIGHT)


def _settings(data: ReportData, history: tuple[Epoch, ...]) -> Table:
    settings = data.bundle.provenance.get("settings", {})
    last = history[-1]
    rows = [
        ["epochs", str(len(history))],
        ["training events", words.number(last.events)],
        ["events per second", words.number(last.events_per_s)],
        ["skipped batches", str(sum(one.bad_batches for one in history))],
        *(
            [name.replace("_", " "), str(value)]
            for part in ("model", "train")
            for name, value in settings.get(part, {}).items()
            if name in _TOLD
        ),
    ]
    return Table(["setting", "value"], rows)


_TOLD = frozenset(
    {
        "cell",
        "hidden_size",
        "num_layers",
        "dropout",
        "mode",
        "batch_tokens",
        "optimizer",
        "learning_rate",
        "schedule",
        "weight_decay",
        "clip_norm",
        "seed",
    }
)
