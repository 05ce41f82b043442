"""``tidegate score``: what the server would have answered, offline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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

    from tidegate.answers import Answers

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
    import numpy as np

    from tidegate import answers, tables
    from tidegate import bundle as bundles
    from tidegate.engine import offline

    loaded = bundles.load(bundle)
    scorer = offline.open(loaded)
    table = read(loaded, events, session, time, seq)
    with tables.naming_rows(table.source_rows):
        outputs = offline.outputs(scorer, table.columns, table.times, table.offsets)
    order = np.argsort(table.source_rows)
    columns: dict[str, Any] = {
        "session": np.repeat(np.array(table.sessions, dtype=object), table.lengths)[order],
        "seq": table.seqs[order],
        "time": table.times[order],
    }
    columns |= _columns(loaded.task.name, answers.open(loaded.task), outputs[order])
    tables.write(out, columns)
    report = {"out": str(out), "events": table.n_events, "sessions": len(table.sessions)}
    if json:
        write_json({**report, "notes": table.notes})
    else:
        for note in table.notes:
            typer.echo(f"note: {note}")
        typer.echo("{out}: {events:,} answers of {sessions:,} sessions".format(**report))


def _columns(task: str, half: Answers, outputs: NDArray[np.float32]) -> dict[str, Any]:
    """Return what answers hold, a column each; of many labels or tokens the likeliest alone."""
    import numpy as np

    if task in ("tag", "language", "next_item"):
        return {
            name: column if isinstance(column, np.ndarray) else np.array(column[1])[column[0]]
            for name, column in half.columns(outputs).items()
        }
    worded = [_flat(answer) for answer in half.answer(outputs)]
    return {name: np.array([answer[name] for answer in worded]) for name in worded[0]}


def _flat(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer with one member a column: ``probabilities.late`` and so on.

    Examples
    --------
    >>> _flat({"label": "late", "probabilities": {"on_time": 0.2, "late": 0.8}})
    {'label': 'late', 'probabilities.on_time': 0.2, 'probabilities.late': 0.8}
    """
    flat: dict[str, Any] = {}
    for name, value in answer.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{member}": number for member, number in value.items()}
        else:
            flat[name] = value
    return flat
