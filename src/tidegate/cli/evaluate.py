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
    read,
)
from tidegate.cli.verbs import verb, write_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Replay labelled events through a bundle and print the task's metrics."""
    from tidegate import bundle as bundles

    loaded = bundles.load(bundle)
    table = read(loaded, events, session, time, seq, label or label_of(loaded.task))
    _, metrics = measure(loaded, table)
    if json:
        write_json({"events": table.n_events, "sessions": len(table.sessions), "metrics": metrics})
        return
    from rich.console import Console
    from rich.table import Table

    shown = Table(title=f"{loaded.name} {loaded.version} on {events}")
    shown.add_column("metric")
    shown.add_column("value", justify="right")
    for name, value in metrics.items():
        shown.add_row(name, f"{value:,.4f}" if isinstance(value, float) else f"{value:,}")
    Console().print(shown)


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
