"""``tidegate evaluate``: how good a bundle is on labelled events."""

from __future__ import annotations

from typing import Annotated

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

__all__ = ["EXAMPLES", "NAME", "command"]

NAME = "evaluate"
EXAMPLES = (
    "Examples:  tidegate evaluate BUNDLE events.parquet  |  tidegate evaluate BUNDLE e.csv --json"
)


@verb
def command(
    bundle: BundleArgument,
    events: EventsArgument,
    session: SessionOption = None,
    time: TimeOption = None,
    seq: SeqOption = None,
    label: Annotated[
        str | None, typer.Option(help="Column of the label. Default: as in training.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Replay labelled events through a bundle and print the task's metrics."""
    from tidegate import answers, tables
    from tidegate import bundle as bundles
    from tidegate.engine import Engine, offline

    loaded = bundles.load(bundle)
    engine = Engine.open(loaded)
    table = read(loaded, events, session, time, seq, label or loaded.task.label)
    assert table.labels is not None  # a label column was named
    with tables.naming_rows(table.source_rows):
        outputs = offline.outputs(engine, table.columns, table.times, table.offsets)
        labels = answers.task_labels(loaded.task, table.labels, table.offsets)
    metrics = answers.open(loaded.task).metrics(outputs, labels)
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
