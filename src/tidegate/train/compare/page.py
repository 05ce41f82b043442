"""A comparison as a page to keep: the decision, and the evidence for it."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

import altair as alt

from tidegate import files
from tidegate.train.compare.study import Comparison
from tidegate.train.compare.table import rows
from tidegate.train.compare.trials import Bin
from tidegate.train.compare.verdict import Verdict, between
from tidegate.train.report.drawing import colours
from tidegate.train.report.page import Figure, Page, Section, Table, Text, render

__all__ = ["make", "write"]

_WIDTH, _HEIGHT = 380, 220


def write(found: Comparison, verdict: Verdict, path: Path) -> None:
    """Write the page.

    Raises
    ------
    InputError
        ``cannot_write``.
    """
    files.write_file(path, render(make(found, verdict)).encode())


def make(found: Comparison, verdict: Verdict) -> Page:
    """Put the page together."""
    sizes = "; ".join(
        f"{name} part {sessions:,} sessions, {events:,} events"
        for name, (sessions, events) in found.sizes.items()
    )
    sections = [
        _decision(found, verdict),
        _measured(found),
        _differences(found, verdict),
        _bins(
            found,
            "Quality by the length of a session",
            "Sessions in five ranges of their length, with about as many sessions each.",
            {entry.name: [trial.by_length for trial in entry.trials] for entry in found.entries}
            | {name: [trial.by_length] for name, trial in found.simple.items()},
            "events of the session",
        ),
        _bins(
            found,
            "Quality by an event's place in its session",
            "Events in five ranges of their number in the session, with about as many events each.",
            {entry.name: [trial.by_place for trial in entry.trials] for entry in found.entries}
            | {name: [trial.by_place] for name, trial in found.simple.items()},
            "number of the event",
        ),
        *([_curve(found)] if found.curve else []),
        _budget(found),
    ]
    lead = f"{found.task} {found.label}: who does it best, on equal terms. {sizes}."
    facts = (
        f"Measured with tidegate {found.machine['tidegate']}, torch {found.machine['torch']}, "
        f"{found.machine['instruction_set']} on {found.machine['processor']}. Of these data and "
        f"this configuration: {found.key[:16]}. This page loads nothing.",
    )
    return Page(f"Compared: {found.label or found.task}", lead, sections, facts)


def _decision(found: Comparison, verdict: Verdict) -> Section:
    as_good = [name for name in verdict.as_good if name != verdict.choice]
    others = f" As good, by these runs: {', '.join(as_good)}." if as_good else ""
    left = [Text(f"Left out: {name}: {reason}.") for name, reason in found.left_out.items()]
    return Section(
        "The decision",
        [*(Text(reason) for reason in verdict.reasons), *left],
        f"Take {verdict.choice}.{others}",
    )


def _measured(found: Comparison) -> Section:
    head, body = rows(found)
    caption = (
        f"{found.watch} on the {found.part} part: mean and standard deviation over "
        f"{found.options.seeds} seeds. All have about as many parameters in their layers. "
        "Training is wall clock, a step is one event of one session from Python on one thread, "
        "both medians; without a number there, no engine streams such layers."
    )
    return Section("What was measured", [Table(head, body, caption)])


def _differences(found: Comparison, verdict: Verdict) -> Section:
    best = next(entry for entry in found.entries if entry.name == verdict.best)
    body = []
    for entry in found.entries:
        if entry is best:
            continue
        gap = between(found, best, entry)
        body.append(
            [
                entry.name,
                f"{gap.seeds.mean:.4f}",
                f"{gap.seeds.low:.4f} to {gap.seeds.high:.4f}",
                f"{gap.seeds.p:.2g}",
                f"{gap.sessions.low:.4f} to {gap.sessions.high:.4f}",
                f"{gap.sessions.p:.2g}",
                "yes" if gap.told else "no",
            ]
        )
    head = ["model", "worse by", "95 %, seeds", "p", "95 %, sessions", "p", "told apart"]
    caption = (
        f"How far each is behind {best.name}. Two paired t-tests: over trainings of the same seed "
        "(what chance in training explains), and over 20 groups of the same sessions, each a mean "
        "over seeds (what the choice of sessions explains). Told apart: both p are below 0.05. "
        "No correction for the number of pairs was made."
    )
    return Section("Whether the differences mean anything", [Table(head, body, caption)])


def _bins(
    found: Comparison,
    title: str,
    how: str,
    bins: dict[str, list[tuple[Bin, ...]]],
    axis: str,
) -> Section:
    data = []
    for name, trials in bins.items():
        for columns in zip(*trials, strict=True):
            values = [each.value for each in columns if each.value is not None]
            if values:
                first = columns[0]
                shown = (
                    f"{first.low:,}"
                    if first.low == first.high
                    else f"{first.low:,} to {first.high:,}"
                )
                data.append({"model": name, axis: shown, "value": mean(values), "at": first.low})
    if not data:
        return Section(title, [Text("There is nothing to show.")])
    chart = (
        alt.Chart(alt.InlineData(values=data), width=_WIDTH, height=_HEIGHT)
        .mark_line(point=True)
        .encode(
            x=alt.X(f"{axis}:N", sort=alt.SortField("at"), axis=alt.Axis(labelAngle=0)),
            y=alt.Y("value:Q", title=found.watch, scale=alt.Scale(zero=False)),
            color=alt.Color("model:N", scale=colours(list(bins)), title=None),
        )
    )
    better = "higher" if found.higher else "lower"
    return Section(title, [Figure(chart, f"{how} Means over seeds; {better} is better.")])


def _curve(found: Comparison) -> Section:
    data = [
        {"model": point.name, "share": point.fraction, "value": value}
        for point in found.curve
        for value in point.values
    ]
    names = [entry.name for entry in found.entries]
    base = alt.Chart(alt.InlineData(values=data), width=_WIDTH, height=_HEIGHT).encode(
        x=alt.X("share:Q", title="share of the training sessions", axis=alt.Axis(format="%")),
        color=alt.Color("model:N", scale=colours(names), title=None),
    )
    y = alt.Y("value:Q", title=found.watch, scale=alt.Scale(zero=False))
    line = base.mark_line().encode(y=y.aggregate("mean"))
    chart = line + base.mark_point(size=18).encode(y=y)
    how = (
        "Points: one seed each; lines: their means. Where a line still rises at its end (or falls, "
        "where lower is better), more data would help."
    )
    return Section("The learning curve", [Figure(chart, how)])


def _budget(found: Comparison) -> Section:
    head = ["model", *[f"× {factor:.3g}" for factor in found.options.rates], "chosen"]
    body = [
        [
            entry.name,
            *[f"{trial.valid[found.watch]:.4f}" for trial in entry.tried],
            f"{entry.learning_rate:.3g}",
        ]
        for entry in found.entries
        if entry.tried
    ]
    seconds = sum(
        trial.seconds for entry in found.entries for trial in (*entry.tried, *entry.trials)
    )
    said = (
        f"Each contestant was trained once with each of {len(found.options.rates)} learning rates; "
        f"the validation part chose. In all, {seconds / 60:.1f} minutes of training on the way to "
        "the table above. Nothing else was tuned: a contestant that needs other dropout, depth or "
        "batches than the configured ones is measured at a disadvantage."
    )
    blocks = [Text(said)]
    if not body:
        return Section("The budget", blocks)
    caption = f"{found.watch} on the validation part with each factor of the learning rate."
    return Section("The budget", [*blocks, Table(head, body, caption)])
