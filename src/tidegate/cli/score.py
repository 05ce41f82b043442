"""``tidegate score``: what the server would have answered, offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.events import (
    BundleArgument,
    EventsArgument,
    SeqOption,
    SessionOption,
    TimeOption,
    check_out,
    read,
)
from tidegate.cli.verbs import verb, write_json

__all__ = ["EXAMPLES", "NAME", "command"]

NAME = "score"
EXAMPLES = (
    "Examples:  tidegate score BUNDLE events.parquet --out answers.parquet  |  "
    "tidegate score BUNDLE events.csv --out answers.csv --session user --time at"
)


@verb
def command(
    bundle: BundleArgument,
    events: EventsArgument,
    out: Annotated[Path, typer.Option(help="Answers: a .parquet or .csv file to write.")],
    session: SessionOption = None,
    time: TimeOption = None,
    seq: SeqOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Replay events through a bundle and write one answer an event, in the order of the input.

    The answers are those that `tidegate serve` gives to the same events in the same order, to the
    bit. Without --seq, the events of a session are ordered by time: for sessions whose clock went
    backwards live, give it.
    """
    from tidegate import bundle as bundles
    from tidegate import scoring, tables
    from tidegate.engine import offline

    check_out(out, events)
    loaded = bundles.load(bundle)
    scorer = offline.open(loaded)
    table = read(loaded, events, session, time, seq)
    tables.write(out, scoring.answer(loaded, scorer, table))
    report = {"out": str(out), "events": table.n_events, "sessions": len(table.sessions)}
    if json:
        write_json({**report, "notes": table.notes})
    else:
        for note in table.notes:
            typer.echo(f"note: {note}")
        typer.echo("{out}: {events:,} answers of {sessions:,} sessions".format(**report))
