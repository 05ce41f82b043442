"""Sections of tasks that name a class: calibration and confusion."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray

from tidegate.train.report import words
from tidegate.train.report.data import ReportData
from tidegate.train.report.drawing import BLUE, SOFT, colours
from tidegate.train.report.measures import Reliability, confusion, reliability
from tidegate.train.report.page import Block, Figure, Section, Table

__all__ = ["calibration", "confusions"]

MAX_CLASSES = 15
"""Of a confusion matrix, by their number of events; the others are one together."""

_WIDTH, _HEIGHT = 320, 280


def calibration(data: ReportData) -> Section:
    """Say whether probabilities are kept."""
    truth, label, probability = _answers(data)
    classes = data.bundle.task.classes
    two = len(classes) == 2
    happened = truth == (1 if two else label)
    found = reliability(probability, happened)
    of = f"of {classes[1]!r}" if two else "of the class that was answered"
    caption = (
        f"Answers in {len(found.events)} bins of about equal counts, by the probability {of}. A "
        "point on the dashes means: of the answers with that probability, this share came true; "
        "below them, the model was too sure that it would. Lines: 95 % intervals, as if events "
        "were independent; those of one session are not, so they are wider in truth. Measured on "
        f"{data.measured}."
    )
    blocks: list[Block] = [Figure(_diagram(found), caption)]
    if two:
        blocks.append(Figure(_spread(probability, truth, classes), _spread_words(classes, data)))
    blocks.append(_bins(found, of))
    error = words.percent(found.error)
    mean = float(probability.mean() - happened.mean())
    lean = "too high" if mean > 0 else "too low"
    return Section(
        "Calibration",
        blocks,
        f"Probabilities {of} are off by {error} (expected calibration error), on the whole "
        f"{words.percent(abs(mean))} {lean}.",
    )


def confusions(data: ReportData) -> Section:
    """Say what is taken for what."""
    truth, label, _ = _answers(data)
    counts, names = _folded(confusion(truth, label, len(data.bundle.task.classes)), data)
    of_row = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(1, of_row)
    head = ["truth, answered", *names, "events"]
    rows = [
        [
            name,
            *(_cell(int(count), share) for count, share in zip(row, part, strict=True)),
            f"{int(total):,}",
        ]
        for name, row, part, (total,) in zip(names, counts, shares, of_row, strict=True)
    ]
    caption = (
        "A row a true class, a column an answer: how many events, and which share of the row. "
        "Darker is a larger share; right answers are on the diagonal. The answer is the likeliest "
        f"class. Measured on {data.measured}."
    )
    shades = [[*row, 0.0] for row in shares.tolist()]
    return Section(
        "Confusion",
        [Table(head, rows, caption, shades=shades), _by_class(counts, names)],
        _worst(counts, names),
    )


def _answers(
    data: ReportData,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return the true class, the answered one and the probability, of labelled events."""
    scored = data.scored.pick(data.scored.known)
    columns: dict[str, Any] = scored.columns()
    return (
        scored.truth.astype(np.int64),
        columns["label"][0].astype(np.int64),
        columns["probability"],
    )


def _diagram(found: Reliability) -> alt.TopLevelMixin:
    points = [
        {"said": said, "happened": share, "low": low, "high": high}
        for said, share, low, high in zip(
            found.said.tolist(),
            found.happened.tolist(),
            found.low.tolist(),
            found.high.tolist(),
            strict=True,
        )
    ]
    largest = float(max(found.said.max(), found.high.max()))
    top = next(end for end in (0.1, 0.2, 0.5, 1.0) if largest <= end or end == 1.0)
    scale = alt.Scale(domain=[0, top], nice=False)
    axis = alt.Axis(format="%", tickCount=5)
    x = alt.X("said:Q", title="probability that was given", scale=scale, axis=axis)
    y = alt.Y("happened:Q", title="share that came true", scale=scale, axis=axis)
    ends = [{"said": 0.0, "happened": 0.0}, {"said": top, "happened": top}]
    base = alt.Chart(alt.InlineData(values=points)).encode(x=x)
    return alt.layer(
        alt.Chart(alt.InlineData(values=ends))
        .mark_line(color=SOFT, strokeDash=[4, 3], strokeWidth=1)
        .encode(x=x, y=y),
        base.mark_rule(color=BLUE, strokeWidth=2, opacity=0.45).encode(y="low:Q", y2="high:Q"),
        base.mark_line(color=BLUE, strokeWidth=1.5).encode(y=y),
        base.mark_circle(color=BLUE, size=55).encode(y=y),
        width=_WIDTH,
        height=_HEIGHT,
    )


def _spread(
    probability: NDArray[np.float64], truth: NDArray[np.int64], classes: tuple[str, ...]
) -> alt.TopLevelMixin:
    edges = np.linspace(0, 1, 31)
    values = []
    for code, name in enumerate(classes):
        mine = probability[truth == code]
        shares = np.histogram(mine, edges)[0] / max(1, len(mine))
        values += [
            {"from": low, "to": high, "share": share, "zero": 0, "class": name}
            for low, high, share in zip(edges[:-1], edges[1:], shares, strict=True)
        ]
    chart: alt.Chart = (
        alt.Chart(alt.InlineData(values=values))
        .mark_rect(opacity=0.5)
        .encode(
            x=alt.X(
                "from:Q",
                title=f"probability of {classes[1]!r}",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format="%", tickCount=5),
            ),
            x2="to:Q",
            y=alt.Y("share:Q", title="share of the class's events", axis=alt.Axis(format="%")),
            y2="zero:Q",
            color=alt.Color(
                "class:N",
                title="truth",
                sort=list(classes),
                scale=colours(list(classes)),
                legend=alt.Legend(orient="top"),
            ),
        )
        .properties(width=_WIDTH, height=_HEIGHT)
    )
    return chart


def _spread_words(classes: tuple[str, ...], data: ReportData) -> str:
    return (
        f"How the probabilities of {classes[1]!r} are distributed, each class by itself: the less "
        "the two overlap, the better the model tells them apart. Measured on "
        f"{data.measured}."
    )


def _bins(found: Reliability, of: str) -> Table:
    head = [f"mean probability {of}", "share that came true", "95 %", "events"]
    rows = [
        [
            words.percent(said),
            words.percent(share),
            f"{words.percent(low)} to {words.percent(high)}",
            f"{n:,}",
        ]
        for said, share, low, high, n in zip(
            found.said, found.happened, found.low, found.high, found.events, strict=True
        )
    ]
    return Table(head, rows, texts=0)


def _folded(counts: NDArray[np.int64], data: ReportData) -> tuple[NDArray[np.int64], list[str]]:
    """Put the rarest of many classes together."""
    names = list(data.bundle.task.classes)
    if len(names) <= MAX_CLASSES:
        return counts, names
    ranked = np.argsort(-(counts.sum(axis=1) + counts.sum(axis=0)), kind="stable")
    kept = np.sort(ranked[: MAX_CLASSES - 1])
    place = np.full(len(names), len(kept))
    place[kept] = np.arange(len(kept))
    folded = np.zeros((MAX_CLASSES, MAX_CLASSES), dtype=np.int64)
    np.add.at(folded, (place[:, None], place[None, :]), counts)
    return folded, [*(names[i] for i in kept), f"({len(names) - len(kept)} others)"]


def _cell(count: int, share: float) -> str:
    return f"{count:,} ({words.percent(share)})" if count else "0"


def _by_class(counts: NDArray[np.int64], names: list[str]) -> Table:
    right, true, answered = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    rows = []
    for name, hit, of_truth, of_answers in zip(names, right, true, answered, strict=True):
        rows.append(
            [
                name,
                f"{of_truth:,}",
                f"{of_answers:,}",
                words.percent(hit / of_answers) if of_answers else "never answered",
                words.percent(hit / of_truth) if of_truth else "does not occur",
                words.number(float(2 * hit / (of_truth + of_answers)))
                if of_truth + of_answers
                else "",
            ]
        )
    caption = (
        "Precision: which share of the answers was right. Recall: which share of the class was "
        "found. F1: their harmonic mean."
    )
    return Table(["class", "true", "answered", "precision", "recall", "F1"], rows, caption)


def _worst(counts: NDArray[np.int64], names: list[str]) -> str:
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    if not wrong.any():
        return "Every answer was right."
    truth, answered = np.unravel_index(wrong.argmax(), wrong.shape)
    return (
        f"The most common mistake is {names[answered]!r} where {names[truth]!r} was true: "
        f"{words.percent(wrong[truth, answered] / counts[truth].sum())} of these."
    )
