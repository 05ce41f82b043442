"""``tidegate embed``: the state of a trained model, as features of events or sessions."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.events import (
    BundleArgument,
    SeqOption,
    SessionOption,
    TimeOption,
    check_out,
    read,
)
from tidegate.cli.verbs import verb, write_json
from tidegate.errors import InputError

if TYPE_CHECKING:
    from tidegate.bundle import Bundle
    from tidegate.tables import EventTable

__all__ = ["EXAMPLES", "NAME", "command"]

NAME = "embed"
EXAMPLES = (
    "Examples:  tidegate embed BUNDLE events.parquet --out features.parquet --per session  |  "
    "tidegate embed BUNDLE --save STATE-BUNDLE"
)


class Per(StrEnum):
    """What a row of features is of."""

    event = "event"
    session = "session"


@verb
def command(
    bundle: BundleArgument,
    events: Annotated[
        Path | None,
        typer.Argument(help="Events: a .csv or .parquet file.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Features: a .parquet or .csv file to write.")
    ] = None,
    per: Annotated[
        Per, typer.Option(help="A row for each event, or for each session: after its last event.")
    ] = Per.event,
    save: Annotated[
        Path | None,
        typer.Option(help="Folder of a bundle to write that answers with its state, to serve."),
    ] = None,
    session: SessionOption = None,
    time: TimeOption = None,
    seq: SeqOption = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a bundle that is there already.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write the state of a model after events, as columns h0, h1, ...: features for another model.

    They are what a server of the bundle that --save writes answers to the same events, to the bit.
    """
    from tidegate import bundle as bundles
    from tidegate.engine.embed import embedder

    if (events is None) != (out is None) or (events is None and save is None):
        raise InputError(
            "missing_option",
            "there is nothing to write" if out is None else "there are no events",
            field="--out" if out is None else "EVENTS",
            hint="give EVENTS and --out FILE, or --save FOLDER, or all three",
        )
    if events is not None and out is not None:
        check_out(out, events)
    made = embedder(bundles.load(bundle))
    report: dict[str, Any] = {"numbers": made.spec.output_size}
    if save is not None:
        bundles.check_target(save, made.name, made.version, overwrite=overwrite)
        report["bundle"] = str(bundles.save(made, save, overwrite=overwrite).path)
    if events is not None and out is not None:
        table = read(made, events, session, time, seq)
        report |= _write(made, table, out, per)
    if json:
        write_json(report)
        return
    for name, value in report.items():
        typer.echo(f"{name}: {value}")


def _write(made: Bundle, table: EventTable, out: Path, per: Per) -> dict[str, Any]:
    import numpy as np

    from tidegate import answers, tables
    from tidegate.engine import offline

    with tables.naming_rows(table.source_rows):
        states = offline.outputs(offline.open(made), table.columns, table.times, table.offsets)
    order = np.argsort(table.source_rows)  # as the events stand in the input
    if per is Per.session:
        order = table.offsets[1:] - 1
    columns: dict[str, Any] = {
        "session": np.repeat(np.array(table.sessions, dtype=object), table.lengths)[order],
        "seq": table.seqs[order],
        "time": table.times[order],
        **answers.open(made.task).columns(states[order]),
    }
    tables.write(out, columns)
    return {"out": str(out), "rows": len(order), "sessions": len(table.sessions)}
