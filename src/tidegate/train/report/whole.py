"""Sections of every task: metrics, early and late in a session, by segment, field by field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray

from tidegate import answers
from tidegate.train.report import groups, importance, words
from tidegate.train.report.data import ReportData
from tidegate.train.report.drawing import BLUE, ORANGE, SOFT
from tidegate.train.report.groups import Compared, Group
from tidegate.train.report.page import Block, Figure, Section, Table, Text, Tiles

__all__ = ["metrics", "position", "segments", "worth"]

MAX_EVENTS = 20_000
"""Of the sessions that are drawn to measure what fields are worth."""

REPEATS = 5

_TENTHS = tuple(f"{10 * i} to {10 * i + 10}%" for i in range(10))
_WIDTH, _HEIGHT = 380, 240


def metrics(data: ReportData) -> Section:
    """Say how good the answers are, and how good they were in training."""
    names = [name for name in data.metrics if name != "n"]
    tiles = [
        (words.metric(name), words.number(data.metrics[name]), _between(data, name))
        for name in names
    ]
    parts = {data.source: data.metrics, **data.bundle.provenance.get("metrics", {})}
    head = ["part", "labels", *map(words.metric, names)]
    rows = [
        [part, *(words.number(found.get(name)) for name in ["n", *names])]
        for part, found in parts.items()
    ]
    best = _best(data.metric)
    caption = (
        f"Measured on {data.measured}; the rows below the first are what the bundle says of its "
        "training. Intervals are 95 %, from sessions drawn again. A metric that training and "
        "these events have in common and that is clearly worse here says that these events are "
        "different, or that the model was overfitted."
    )
    value = words.number(data.metrics[data.metric])
    between = _between(data, data.metric)
    finding = (
        f"{words.metric(data.metric)}: {value}{f' ({between})' if between else ''} on "
        f"{data.measured}; {best}."
    )
    note = (
        [Text(f"Mind that {data.note}; the test part's row, if there is one, says more.")]
        if data.note
        else []
    )
    return Section("Metrics", [*note, Tiles(tiles), Table(head, rows, caption)], finding)


def position(data: ReportData) -> Section | None:
    """Say how good answers are early in a session, and late."""
    early = data.early
    seqs, lengths = data.table.seqs, data.table.lengths
    if lengths.max() < 2:
        return Section(
            "Quality along a session",
            [Text("Every session has one event: there is no early and late.")],
        )
    if not early.known.any():
        return None
    doubling = np.ceil(np.log2(seqs)).astype(np.int64)
    names = [_doubled(place) for place in range(int(doubling.max()) + 1)]
    by_number = groups.compare(early, doubling, names, data.metric, seed=data.seed)
    seen = np.ceil(10 * seqs / np.repeat(lengths, lengths)).astype(np.int64) - 1
    by_share = groups.compare(early, seen, _TENTHS, data.metric, seed=data.seed)
    metric = words.metric(data.metric)
    whole = (
        "Each session's label is taken for all of its events: what the answer was worth early. "
        if data.bundle.task.per == "session"
        else ""
    )
    about = f"Points: {metric} ({_best(data.metric)}); lines: 95 % intervals; dashes: all events. "
    blocks: list[Block] = [
        Figure(
            _along(by_number, "event number in its session"),
            f"{whole}{about}Only long sessions have the later events; where fewer than "
            f"{groups.MIN_SESSIONS} have them, there is no point. Labelled events of each: "
            f"{_counts(by_number)}.",
        ),
        Figure(
            _along(by_share, "share of the session seen"),
            f"{about}The last event of a session has seen all of it; a session of fewer than ten "
            f"events is not in every tenth. Labelled events a tenth: {_range(by_share)}.",
        ),
    ]
    return Section("Quality along a session", blocks, _from_to(by_number))


def segments(data: ReportData) -> Section | None:
    """Say which groups are served worse."""
    if not data.segments:
        return None
    found = {
        name: groups.compare(data.scored, *groups.groups_of(column), data.metric, seed=data.seed)
        for name, column in data.segments.items()
    }
    apart = [(name, group) for name, each in found.items() for group in each.groups if group.apart]
    compared = sum(
        group.difference_interval is not None for each in found.values() for group in each.groups
    )
    bad = [
        (name, group)
        for name, group in apart
        if group.difference is not None and words.worse(data.metric, group.difference)
    ]
    bad.sort(key=lambda one: -abs(one[1].difference or 0.0))
    metric = words.metric(data.metric)
    draws = next(iter(found.values())).draws
    chance = (
        f"Intervals are of 95 %, from whole sessions drawn again {draws} times; a group of fewer "
        f"than {groups.MIN_SESSIONS} sessions has none. {compared} groups are compared, and of "
        "groups that are alike one in twenty looks apart by chance alone."
        if draws
        else f"With fewer than {groups.MIN_SESSIONS} sessions there are no intervals: what looks "
        "like a difference may be chance."
    )
    intro = (
        f"{metric} in groups of events ({_best(data.metric)}), against that of all events. "
        f"{chance} A group may also be harder, or have other shares of the classes: a difference "
        "says where to look."
    )
    blocks: list[Block] = [Text(intro)]
    for name, each in found.items():
        blocks += [Figure(_by_group(name, each), _said_of(name, each)), _group_table(name, each)]
    finding = (
        f"Worse than the whole: {words.listed(_named(bad[:3], data.metric))}."
        if bad
        else f"No group of {words.listed(found)} is worse than the whole, beyond chance."
    )
    return Section("Quality by segment", blocks, finding)


def worth(data: ReportData) -> Section | None:
    """Say what each field is worth to the model."""
    chosen = importance.sample(data.table, data.scored.known, MAX_EVENTS, data.seed)
    part, _ = data.scored.draw(chosen)
    if data.metric not in part.metrics():
        return None
    found = importance.measure(
        data.bundle,
        data.table.take(chosen),
        part.truth,
        data.metric,
        seed=data.seed,
        repeats=REPEATS,
    )
    metric = words.metric(data.metric)
    all_sessions = len(data.table.sessions)
    which = (
        "all sessions"
        if found.sessions == all_sessions
        else f"{found.sessions:,} of {all_sessions:,} sessions, drawn at random"
    )
    caption = (
        f"By how much {metric} gets worse when a field's values change places among the events "
        "(of a field that is constant in a session: among the sessions) and all else stays. Bars: "
        f"mean of {REPEATS} permutations; lines: the smallest and the largest. Measured on "
        f"{found.events:,} events of {which}, where {metric} is {words.number(found.value)}. "
        "Fields that say the same share their worth, and each looks small; near 0 the sign means "
        "nothing."
    )
    rows = [
        [one.field, words.signed(float(one.losses.mean())), *_ends(one.losses)]
        for one in found.worths
    ]
    best = [one.field for one in found.worths if one.losses.min() > 0][:3]
    return Section(
        "What each field is worth",
        [
            Figure(_worth_chart(found, metric), caption),
            Table(["field", f"{metric}, worse by", "smallest", "largest"], rows),
        ],
        f"The model leans most on {words.listed(best)}."
        if best
        else "No field by itself makes a difference.",
    )


def _ends(losses: NDArray[np.float64]) -> list[str]:
    return [words.signed(float(losses.min())), words.signed(float(losses.max()))]


def _between(data: ReportData, name: str) -> str:
    return words.interval(data.intervals.get(name))


def _best(metric: str) -> str:
    return "higher is better" if metric in answers.HIGHER_IS_BETTER else "lower is better"


def _doubled(place: int) -> str:
    """Name the events from one power of two to the next.

    >>> [_doubled(place) for place in range(4)]
    ['1', '2', '3 to 4', '5 to 8']
    """
    return str(place + 1) if place < 2 else f"{2 ** (place - 1) + 1:,} to {2**place:,}"


def _counts(found: Compared) -> str:
    each = (f"{group.name}: {group.events:,}" for group in found.groups)
    return "; ".join(each)


def _range(found: Compared) -> str:
    counts = [group.events for group in found.groups]
    return f"{min(counts):,} to {max(counts):,}"


def _from_to(found: Compared) -> str:
    """Compare the first events with the last, where both are known."""
    known = [group for group in found.groups if group.interval is not None]
    if len(known) < 2:
        return ""
    first, last = known[0], known[-1]
    metric = words.metric(found.metric)
    return (
        f"From event {first.name} to event {last.name} of a session, {metric} goes from "
        f"{words.number(first.value)} to {words.number(last.value)}."
    )


def _named(groups_: Sequence[tuple[str, Group]], metric: str) -> list[str]:
    return [
        f"{name} = {group.name} ({words.metric(metric)} {words.signed(group.difference)}, "
        f"{words.interval(group.difference_interval, difference=True)})"
        for name, group in groups_
    ]


def _points(found: Compared) -> list[dict[str, Any]]:
    return [
        {
            "group": group.name,
            "value": group.value,
            "low": None if group.interval is None else group.interval[0],
            "high": None if group.interval is None else group.interval[1],
            "apart": group.apart,
        }
        for group in found.groups
        if group.value is not None
    ]


def _along(found: Compared, title: str) -> alt.TopLevelMixin:
    points = _points(found)
    sure = [point for point in points if point["low"] is not None]
    points = sure or points  # a point of a few sessions would catch the eye for nothing
    order = [point["group"] for point in points]
    scale = alt.Scale(zero=False, nice=True)
    metric = words.metric(found.metric)
    base = alt.Chart(alt.InlineData(values=points)).encode(
        x=alt.X(
            "group:O",
            sort=order,
            title=title,
            axis=alt.Axis(labelAngle=-40, labelOverlap=False, grid=False),
        )
    )
    whole = alt.Chart(alt.InlineData(values=[{"value": found.value}])).mark_rule(
        color=SOFT, strokeDash=[4, 3]
    )
    y = alt.Y("value:Q", title=metric, scale=scale)
    return alt.layer(
        whole.encode(y=y),
        base.mark_rule(color=BLUE, strokeWidth=2, opacity=0.45).encode(y="low:Q", y2="high:Q"),
        base.mark_line(color=BLUE, strokeWidth=1.5).encode(y=y),
        base.mark_circle(color=BLUE, size=55).encode(y=y),
        width=_WIDTH,
        height=_HEIGHT,
    )


def _by_group(name: str, found: Compared) -> alt.TopLevelMixin:
    points = _points(found)
    order = [point["group"] for point in points]
    base = alt.Chart(alt.InlineData(values=points)).encode(
        y=alt.Y("group:N", sort=order, title=None, axis=alt.Axis(labelLimit=200, ticks=False))
    )
    colour = alt.Color(
        "apart:N",
        scale=alt.Scale(domain=[False, True], range=[BLUE, ORANGE]),
        legend=None,
    )
    x = alt.X("value:Q", title=words.metric(found.metric), scale=alt.Scale(zero=False, nice=True))
    whole = alt.Chart(alt.InlineData(values=[{"value": found.value}])).mark_rule(
        color=SOFT, strokeDash=[4, 3]
    )
    return alt.layer(
        whole.encode(x=x),
        base.mark_rule(strokeWidth=2, opacity=0.5).encode(x="low:Q", x2="high:Q", color=colour),
        base.mark_circle(size=65).encode(x=x, color=colour),
        width=_WIDTH,
        height=max(50, 24 * len(points)),
        title=name,
    )


def _said_of(name: str, found: Compared) -> str:
    return (
        f"{words.metric(found.metric)} by {name}; dashes: all {len(found.groups)} groups together, "
        f"{words.number(found.value)}; lines: 95 % intervals. Orange: apart from the whole by more "
        "than chance explains."
    )


def _group_table(name: str, found: Compared) -> Table:
    metric = words.metric(found.metric)
    head = [name, "labelled events", "sessions", metric, "95 %", "against the whole", "95 %"]
    rows = [
        [
            group.name,
            words.number(group.events),
            words.number(group.sessions),
            words.number(group.value) or "not defined",
            words.interval(group.interval) or "too few",
            words.signed(group.difference),
            words.interval(group.difference_interval, difference=True),
        ]
        for group in found.groups
    ]
    return Table(head, rows)


def _worth_chart(found: importance.Importance, metric: str) -> alt.TopLevelMixin:
    values = [
        {
            "field": one.field,
            "mean": float(one.losses.mean()),
            "low": float(one.losses.min()),
            "high": float(one.losses.max()),
        }
        for one in found.worths
    ]
    order = [one.field for one in found.worths]
    base = alt.Chart(alt.InlineData(values=values)).encode(
        y=alt.Y("field:N", sort=order, title=None, axis=alt.Axis(labelLimit=200, ticks=False))
    )
    x = alt.X("mean:Q", title=f"{metric}, worse by")
    return alt.layer(
        base.mark_bar(color=BLUE, height=alt.RelativeBandSize(0.6)).encode(x=x),
        base.mark_rule(color=SOFT, strokeWidth=2).encode(x="low:Q", x2="high:Q"),
        width=480,
        height=max(40, 22 * len(values)),
    )
