"""The section about the events: sessions, labels, and each field beside what training saw."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.data.profile import LengthProfile
from tidegate.train.report import words
from tidegate.train.report.data import ReportData
from tidegate.train.report.measures import psi
from tidegate.train.report.page import Block, Section, Table, Tiles

__all__ = ["profile"]

STEADY, SHIFTED = 0.1, 0.25
"""Of the stability index; Siddiqi 2006."""

_TOP = 3
_SHOWN = 24


def profile(data: ReportData) -> Section:
    """Say what the events are."""
    table = data.table
    lengths = LengthProfile.of(table.lengths)
    tiles = [
        ("sessions", words.number(lengths.sessions), ""),
        ("events", words.number(lengths.events), ""),
        (
            "events a session",
            words.number(lengths.median),
            f"median; {lengths.min:,} to {lengths.max:,}",
        ),
        ("labels", words.number(int(data.metrics["n"])), _labels(data)),
    ]
    if table.times.any():
        first, last = float(table.times.min()), float(table.times.max())
        tiles.append(("from", words.day(first), f"to {words.day(last)}, UTC"))
    blocks: list[Block] = [Tiles(tiles)]
    rows, moved = [], []
    baseline = data.bundle.baseline.get("features", {})
    for name, field in data.bundle.schema.config.fields.items():
        column = table.columns[name]
        drift = psi(baseline[name], column) if name in baseline else None
        if drift is not None and drift > SHIFTED:
            moved.append((drift, name))
        rows.append([name, field.kind, *_described(column, field.kind), *_drift(drift)])
    blocks.append(
        Table(
            ["field", "kind", "values", "missing", "drift", ""],
            rows,
            "Of numbers the 1st, 50th and 99th percentile and the range, of categories the most "
            "common. Drift: the population stability index against the training part, missing "
            f"values counted too; below {STEADY} steady, above {SHIFTED} shifted. With few events "
            "it is never near 0.",
            texts=3,
        )
    )
    moved.sort(reverse=True)
    finding = (
        f"Not as in training: {words.listed(name for _, name in moved[:3])}."
        if moved
        else "Fields are distributed as in training."
    )
    return Section("The events", blocks, finding if baseline else "")


def _labels(data: ReportData) -> str:
    task = data.bundle.task
    truth = data.scored.truth[data.scored.known]
    if task.name == "classify" and len(task.classes) <= _TOP:
        counts = np.bincount(truth.astype(np.int64), minlength=len(task.classes))
        return ", ".join(
            f"{_short(name)} {words.percent(count / len(truth))}"
            for name, count in zip(task.classes, counts, strict=True)
        )
    if task.name == "regress":
        return f"mean {words.number(float(truth.mean()))}, sd {words.number(float(truth.std()))}"
    return ""


def _described(column: NDArray[Any], kind: str) -> list[str]:
    if kind == "category":
        counts = Counter(column.tolist())
        missing = counts.pop(None, 0)
        top = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_TOP]
        parts = [f"{_short(name)} {words.percent(n / len(column))}" for name, n in top]
        more = len(counts) - len(top)
        values = ", ".join(parts) + (f" and {more:,} more" if more else "")
    else:
        missing = int(np.isnan(column).sum())
        values = _numbers(column[~np.isnan(column)], kind)
    return [values, words.percent(missing / len(column))]


def _numbers(given: NDArray[np.float64], kind: str) -> str:
    if len(given) == 0:
        return "none"
    if kind == "boolean":
        return f"true {words.percent(float(given.mean()))}"
    low, middle, high = (words.number(float(q)) for q in np.quantile(given, [0.01, 0.5, 0.99]))
    ends = f"{words.number(float(given.min()))} to {words.number(float(given.max()))}"
    return f"{low} / {middle} / {high} ({ends})"


def _drift(value: float | None) -> list[str]:
    if value is None:
        return ["", ""]
    word = "steady" if value < STEADY else "moved" if value <= SHIFTED else "shifted"
    return [f"{value:.3f}", word]


def _short(name: str) -> str:
    return name if len(name) <= _SHOWN else f"{name[: _SHOWN - 1]}…"
