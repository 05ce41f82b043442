"""Sections of the next item: how far down the right one stands, and whom popularity serves."""

from __future__ import annotations

import itertools
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray

from tidegate.answers import ranking
from tidegate.train.report import words
from tidegate.train.report.data import ReportData
from tidegate.train.report.drawing import BLUE, colours
from tidegate.train.report.page import Figure, Section, Table

__all__ = ["popularity", "ranks"]

_WIDTH, _HEIGHT = 380, 240
_LINES = ("the model", "the most popular items")
_EDGES = (10, 30, 100, 300, 1_000, 3_000, 10_000, 100_000)
_SHOWN = 10

Floats = NDArray[np.float64]


def ranks(data: ReportData) -> Section:
    """Say how many answers hold the right item, the longer they are."""
    ranked, truth, _ = _ranked(data)
    k = _k(data)
    by_rank = np.where(truth > 0, truth, np.inf)  # the schema has the most frequent item first
    shares = [
        {"k": place, "of": name, "share": ranking.recall(each, place)}
        for name, each in zip(_LINES, (ranked, by_rank), strict=True)
        for place in range(1, k + 1)
    ]
    unknown = int((truth == 0).sum())
    missed = int(np.isinf(ranked).sum()) - unknown
    found = ranking.recall(ranked, k)
    popular = ranking.recall(by_rank, k)
    return Section(
        "Where the right item stands",
        [
            Figure(
                _curve(shares),
                "Share of the events whose next item is among the first so many of the answer "
                "(recall), beside an answer that always holds the items that training met most "
                f"often. Measured on {data.measured}, against all items.",
            ),
            Figure(
                _histogram(ranked, k),
                "How often the right item stood in which place of the answer. "
                f"{missed:,} times it was not among the {k}, and {unknown:,} times it was one that "
                "training did not know, which no answer can hold.",
            ),
        ],
        f"{words.percent(found)} of the answers hold the right item among {k}; the most popular "
        f"items alone would be {words.percent(popular)}.",
    )


def popularity(data: ReportData) -> Section:
    """Say whether rare items are found as well as popular ones, and which are not."""
    ranked, truth, named = _ranked(data)
    k, items = _k(data), data.bundle.task.classes
    known = len(items) - 1
    edges = [0, *(edge for edge in _EDGES if edge < known), known]
    seen = np.bincount(named[(named > 0) & (named < len(items))], minlength=len(items))
    rows = []
    for low, high in itertools.pairwise(edges):
        here = (truth > low) & (truth <= high)
        rows.append(
            [
                _of_rank(low, high),
                f"{int(here.sum()):,}",
                words.percent(ranking.recall(ranked[here], k)) if here.any() else "",
                words.number(ranking.mrr(ranked[here], k)) if here.any() else "",
                words.percent(float(seen[low + 1 : high + 1].sum() / max(1, seen.sum()))),
                f"{int((seen[low + 1 : high + 1] > 0).sum()):,} of {high - low:,}",
            ]
        )
    unknown = truth == 0
    rows.append(["not known to training", f"{int(unknown.sum()):,}", *([""] * 4)])
    share = float((seen > 0).sum() / max(1, known))
    head = ["items by popularity", "came next", f"recall at {k}", "MRR", "of the answers", "named"]
    return Section(
        "Popular items and rare ones",
        [
            Table(
                head,
                rows,
                "Items by how often training met them, the most popular first. How often one of "
                "them came next and how often the answer held it; then which share of all that "
                "was answered they are, and how many of them were ever named.",
            ),
            _worst(ranked, truth, items, k),
        ],
        f"{words.percent(share)} of the {known:,} items are in some answer.",
    )


def _ranked(data: ReportData) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Return the right item's rank and index of each event, and all indices that were named."""
    scored = data.scored.pick(data.scored.known)
    named = scored.numbers[:, _k(data) :].astype(np.int64)
    right = np.where(scored.truth > 0, scored.truth, np.nan)
    return ranking.ranks_in_list(named, right), scored.truth, named.ravel()


def _k(data: ReportData) -> int:
    assert data.bundle.task.items is not None
    return data.bundle.task.items.top


def _worst(ranked: Floats, truth: Floats, items: tuple[str, ...], k: int) -> Table:
    """Return the items that were missed most often."""
    index = truth.astype(np.int64)
    came = np.bincount(index, minlength=len(items))
    held = np.bincount(index[np.isfinite(ranked)], minlength=len(items))
    missed = came - held
    missed[0] = 0
    order = np.argsort(-missed, kind="stable")[:_SHOWN]
    rows = [
        [
            items[at],
            f"{at:,}",
            f"{came[at]:,}",
            f"{missed[at]:,}",
            words.percent(held[at] / came[at]),
        ]
        for at in order.tolist()
        if missed[at]
    ]
    head = ["item", "popularity, rank", "came next", "missed", f"recall at {k}"]
    return Table(head, rows, "The items that were missed most often: they are served worst.")


def _of_rank(low: int, high: int) -> str:
    """Name a group of items.

    >>> _of_rank(0, 10), _of_rank(10, 1000), _of_rank(0, 1)
    ('the first 10', '11 to 1,000', 'the first')
    """
    if low:
        return f"{low + 1:,} to {high:,}"
    return f"the first {high:,}" if high > 1 else "the first"


def _curve(shares: list[dict[str, Any]]) -> alt.TopLevelMixin:
    drawn: alt.Chart = (
        alt.Chart(alt.InlineData(values=shares), width=_WIDTH, height=_HEIGHT)
        .mark_line(point=True)
        .encode(
            x=alt.X("k:Q", title="items of the answer", axis=alt.Axis(tickMinStep=1)),
            y=alt.Y(
                "share:Q",
                title="answers that hold the right item",
                axis=alt.Axis(format="%"),
                scale=alt.Scale(domainMin=0),
            ),
            color=alt.Color(
                "of:N", scale=colours(list(_LINES)), title=None, legend=alt.Legend(orient="top")
            ),
        )
    )
    return drawn


def _histogram(ranked: Floats, k: int) -> alt.TopLevelMixin:
    places = ranked[np.isfinite(ranked)].astype(np.int64)
    counts = np.bincount(places, minlength=k + 1)[1:]
    rows = [{"place": place, "count": count} for place, count in enumerate(counts.tolist(), 1)]
    order = [row["place"] for row in rows]
    drawn: alt.Chart = (
        alt.Chart(alt.InlineData(values=rows), width=_WIDTH, height=_HEIGHT)
        .mark_bar(color=BLUE)
        .encode(
            x=alt.X(
                "place:O",
                sort=order,
                title="place of the right item",
                axis=alt.Axis(labelAngle=0, grid=False),
            ),
            y=alt.Y("count:Q", title="events"),
        )
    )
    return drawn
