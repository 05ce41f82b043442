"""Sections of texts: how surprising tokens are, which ones, and how the model goes on."""

from __future__ import annotations

from itertools import islice
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray

from tidegate.answers import metrics
from tidegate.answers.sampling import Sampling
from tidegate.engine import generation
from tidegate.errors import InputError
from tidegate.train.report import words
from tidegate.train.report.data import ReportData
from tidegate.train.report.drawing import BLUE, SOFT
from tidegate.train.report.page import Block, Figure, Section, Table, Text

__all__ = ["sample", "surprise"]

_WIDTH, _HEIGHT = 340, 240
_BINS = 40
_POINTS = 24
_SHOWN = 12
_BEFORE = {True: 30, False: 8}
"""Tokens of context that are shown: characters, or words."""

_PART = 16_384
_PROMPT = {True: 20, False: 4}
_WRITTEN = {True: 400, False: 80}
_TEMPERATURE = 0.8

Floats = NDArray[np.float64]


def surprise(data: ReportData) -> Section:
    """Say how surprising tokens are, along a text and one by one."""
    events = np.flatnonzero(data.scored.known)
    tokens = data.scored.truth[events].astype(np.int64)
    bits = _bits(data.scored.numbers, events, tokens)
    seqs = data.table.seqs[events]
    mean = float(bits.mean())
    blocks: list[Block] = [
        Figure(
            _along(seqs, bits, mean),
            "Mean surprise by how many tokens of the text were read before; dashes: of all. It "
            "falls as long as the model learns something from what it has read. Only long texts "
            "have the later places.",
        ),
        Figure(
            _histogram(bits),
            "How many tokens surprised the model how much. One that came with a probability of a "
            "half surprised it by 1 bit, with 1 in 1,000 by 10.",
        ),
        _by_token(data, tokens, bits),
        _highest(data, events, bits),
    ]
    half = float((bits < 1.0).mean())
    return Section(
        "Surprise",
        blocks,
        f"A token surprises by {words.number(mean)} bits on average (perplexity "
        f"{words.number(float(2.0**mean))}); {words.percent(half)} were more likely than not.",
    )


def sample(data: ReportData) -> Section | None:
    """Show how the model goes on with the beginning of a text."""
    task = data.bundle.task
    characters = _are_characters(data)
    first = data.table.columns[task.label][: int(data.table.lengths[0])]
    prompt = [token or "" for token in first[: _PROMPT[characters]].tolist()]
    try:
        drawn = generation.generate(data.bundle, prompt, Sampling(_TEMPERATURE), seed=data.seed)
        written = list(islice(drawn, _WRITTEN[characters]))
    except InputError:  # an event holds more than its token, and what more is not foretold
        return None
    begun = "".join(generation.joined(iter(prompt), task.classes)).strip()
    text = "".join(generation.joined(iter(written), task.classes))
    return Section(
        "A sample",
        [
            Text(
                f"The first {len(prompt)} tokens are those of {data.table.sessions[0]!r}, the "
                f"others are drawn, at a temperature of {_TEMPERATURE}, with seed {data.seed}."
            ),
            Table(["given", "drawn"], [[_shown(begun), _shown(text)]], texts=2),
        ],
    )


def _bits(numbers: NDArray[np.float32], events: NDArray[np.int64], tokens: Any) -> Floats:
    """Return minus the binary logarithm of the probability that the right token had."""
    found = np.empty(len(events))
    for at in range(0, len(events), _PART):  # their probabilities take more memory than outputs
        part = slice(at, at + _PART)
        logs = metrics.log_softmax(numbers[events[part]].astype(np.float64))
        found[part] = -np.take_along_axis(logs, tokens[part, None], axis=1)[:, 0]
    return np.asarray(found / np.log(2.0))


def _by_token(data: ReportData, tokens: NDArray[np.int64], bits: Floats) -> Table:
    """Return the tokens that take most of all bits."""
    classes = data.bundle.task.classes
    counts = np.bincount(tokens, minlength=len(classes))
    sums = np.bincount(tokens, bits, minlength=len(classes))
    rows = [
        [
            _token(classes[at]),
            f"{counts[at]:,}",
            words.number(float(sums[at] / counts[at])),
            words.percent(float(sums[at] / sums.sum())),
        ]
        for at in np.argsort(-sums, kind="stable")[:_SHOWN].tolist()
        if counts[at]
    ]
    head = ["token", "times", "bits each", "of all bits"]
    return Table(head, rows, "The tokens on which most of the surprise is spent.")


def _highest(data: ReportData, events: NDArray[np.int64], bits: Floats) -> Table:
    """Return the most surprising tokens, with what was read before and what was expected."""
    table, classes = data.table, data.bundle.task.classes
    column = table.columns[data.bundle.task.label]
    session = np.repeat(np.arange(len(table.sessions)), table.lengths)
    before = _BEFORE[_are_characters(data)]
    rows = []
    for at in np.argsort(-bits, kind="stable")[:_SHOWN].tolist():
        event = int(events[at])
        begin = max(int(table.offsets[session[event]]), event + 1 - before)
        read = (token or "" for token in column[begin : event + 1].tolist())
        likeliest = int(data.scored.numbers[event].argmax())
        rows.append(
            [
                _shown("".join(generation.joined(read, classes)).lstrip(" ")),
                _token(column[event + 1]),
                _token(classes[likeliest]),
                f"{table.sessions[session[event]]}",
                words.number(float(bits[at])),
            ]
        )
    head = ["read", "came", "was likeliest", "session", "bits"]
    caption = "The most surprising tokens of all: slips, rare words, and what is odd in the data."
    return Table(head, rows, caption, texts=4)


def _are_characters(data: ReportData) -> bool:
    return all(len(token) <= 1 for token in data.bundle.task.classes)


def _token(token: str | None) -> str:
    r"""Name a token.

    >>> _token(" "), _token("\n"), _token(""), _token("tea")
    ('␣', '⏎', '(unknown)', 'tea')
    """
    return {" ": "␣", "": "(unknown)", None: "(unknown)"}.get(token) or _shown(token or "")


def _shown(text: str) -> str:
    return text.replace("\n", "⏎").replace("\t", "⇥")


def _along(seqs: NDArray[np.int64], bits: Floats, mean: float) -> alt.TopLevelMixin:
    """Draw the mean of ranges of places, each so much longer than the one before."""
    most = int(seqs.max())
    edges = np.unique(np.geomspace(1, most + 1, _POINTS).astype(np.int64))
    if len(edges) < 2:
        edges = np.array([1, 2])
    place = np.searchsorted(edges, seqs, side="right") - 1
    counts = np.bincount(place, minlength=len(edges))
    sums = np.bincount(place, bits, minlength=len(edges))
    rows = [
        {"place": int(edge), "bits": float(total / count)}
        for edge, total, count in zip(edges, sums, counts, strict=True)
        if count
    ]
    line = (
        alt.Chart(alt.InlineData(values=rows), width=_WIDTH, height=_HEIGHT)
        .mark_line(point=True, color=BLUE)
        .encode(
            x=alt.X(
                "place:Q",
                title="tokens read",
                scale=alt.Scale(type="log", nice=False),
                axis=alt.Axis(values=[10**power for power in range(8)]),
            ),
            y=alt.Y("bits:Q", title="surprise, bits a token", scale=alt.Scale(zero=False)),
        )
    )
    rule = alt.Chart(alt.InlineData(values=[{"bits": mean}]))
    both: alt.LayerChart = line + rule.mark_rule(strokeDash=[4, 3], color=SOFT).encode(y="bits:Q")
    return both


def _histogram(bits: Floats) -> alt.TopLevelMixin:
    counts, edges = np.histogram(bits, bins=_BINS, range=(0.0, max(1.0, float(bits.max()))))
    rows = [
        {"from": low, "to": high, "count": count, "zero": 0}
        for low, high, count in zip(
            edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True
        )
        if count
    ]
    drawn: alt.Chart = (
        alt.Chart(alt.InlineData(values=rows), width=_WIDTH, height=_HEIGHT)
        .mark_rect(color=BLUE, opacity=0.8)
        .encode(
            x=alt.X("from:Q", title="surprise, bits"),
            x2="to:Q",
            y=alt.Y("count:Q", title="tokens"),
            y2="zero:Q",
        )
    )
    return drawn
