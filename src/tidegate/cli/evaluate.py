"""``tidegate evaluate``: how good a bundle is on labelled events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.events import (
    BundleArgument,
    EventsArgument,
    SeqOption,
    SessionOption,
    TimeOption,
    learned_from,
    read,
)
from tidegate.cli.verbs import verb, write_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tidegate.answers import Early
    from tidegate.bundle import Bundle
    from tidegate.spec import TaskSpec
    from tidegate.tables import EventTable

__all__ = ["EXAMPLES", "NAME", "LabelOption", "command", "label_of", "measure"]

NAME = "evaluate"
EXAMPLES = (
    "Examples:  tidegate evaluate BUNDLE events.parquet  |  tidegate evaluate BUNDLE e.csv --json"
)

LabelOption = Annotated[
    str | None, typer.Option(help="Column of the label. Default: as in training.")
]


@verb
def command(
    bundle: BundleArgument,
    events: EventsArgument,
    session: SessionOption = None,
    time: TimeOption = None,
    seq: SeqOption = None,
    label: LabelOption = None,
    early: Annotated[
        bool, typer.Option("--early", help="Also measure when tenths of a session have been seen.")
    ] = False,
    top: Annotated[
        list[int] | None,
        typer.Option(help="Two classes: precision of the so many likeliest. May be repeated."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Replay labelled events through a bundle and print the task's metrics."""
    from tidegate import bundle as bundles

    loaded = bundles.load(bundle)
    table = read(loaded, events, session, time, seq, label or label_of(loaded.task))
    if early:
        _check_early(loaded)
    outputs, metrics = measure(loaded, table)
    if note := learned_from(loaded, events):
        typer.echo(f"note: {note}", err=True)
    metrics |= _precisions(loaded, table, outputs, top or [])
    parts = _early(loaded, table, outputs) if early else []
    if json:
        said = {"events": table.n_events, "sessions": len(table.sessions), "metrics": metrics}
        seen = [{"share": part.share, "metrics": part.metrics} for part in parts]
        write_json(said | ({"early": seen} if early else {}))
        return
    from rich.console import Console
    from rich.table import Table

    shown = Table(title=f"{loaded.name} {loaded.version} on {events}")
    shown.add_column("metric")
    shown.add_column("value", justify="right")
    for name, value in metrics.items():
        shown.add_row(name, _number(value))
    Console().print(shown)
    if parts:
        by_share = Table("seen", *parts[-1].metrics, title="when so much of each session was seen")
        for part in parts:
            by_share.add_row(f"{part.share:.0%}", *map(_number, part.metrics.values()))
        Console().print(by_share)


def measure(bundle: Bundle, table: EventTable) -> tuple[NDArray[np.float32], dict[str, float]]:
    """Run labelled events through a bundle; return its outputs and the task's metrics."""
    from tidegate import answers, tables
    from tidegate.engine import offline

    scorer = offline.open(bundle)
    with tables.naming_rows(table.source_rows):
        outputs = offline.outputs(scorer, table.columns, table.times, table.offsets)
        half = answers.open(bundle.task)
        truth = half.truth(table, bundle.schema)
    return outputs, half.metrics(outputs, truth, table.offsets)


def label_of(task: TaskSpec) -> str | None:
    """Return the label column of a task that has one."""
    from tidegate.spec import LABELLED

    return task.label if task.name in LABELLED else None


def _check_early(bundle: Bundle) -> None:
    from tidegate.errors import InputError

    refused = {
        "the task has a label for each event": bundle.task.per != "session",
        "with two directions every event has seen its whole session": not bundle.spec.streams,
    }
    for what, holds in refused.items():
        if holds:
            raise InputError("not_early", what, field="--early", hint="evaluate without it")


def _early(bundle: Bundle, table: EventTable, outputs: NDArray[np.float32]) -> list[Early]:
    from tidegate import answers

    half = answers.open(bundle.task)
    return answers.by_share(half.metrics, outputs, half.truth(table, bundle.schema), table.offsets)


def _precisions(
    bundle: Bundle, table: EventTable, outputs: NDArray[np.float32], top: list[int]
) -> dict[str, float]:
    """Return the precision of the answers that score highest, so many as `top` says each time."""
    import numpy as np

    from tidegate import answers
    from tidegate.answers import metrics
    from tidegate.errors import InputError

    if not top:
        return {}
    half = answers.open(bundle.task)
    labels = half.truth(table, bundle.schema)
    known = ~np.isnan(labels)
    for k in top:
        if len(bundle.task.classes) != 2 or not 1 <= k <= known.sum():
            raise InputError(
                "out_of_range",
                f"{k} of {known.sum()} labels of {len(bundle.task.classes)} classes",
                field="--top",
                hint="give 1 to the number of labels, for a model of two classes",
            )
    scores, positive = half.scores(outputs[known]), labels[known] == 1
    return {f"precision_at_{k}": metrics.precision_at_k(scores, positive, k) for k in top}


def _number(value: float) -> str:
    return f"{value:,.4f}" if isinstance(value, float) else f"{value:,}"
