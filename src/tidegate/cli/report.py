"""``tidegate report``: a page about a bundle on labelled events."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.evaluate import LabelOption, label_of
from tidegate.cli.events import (
    BundleArgument,
    EventsArgument,
    SeqOption,
    SessionOption,
    TimeOption,
    check_out,
    learned_from,
    read,
)
from tidegate.cli.verbs import verb
from tidegate.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["EXAMPLES", "NAME", "command"]

NAME = "report"
EXAMPLES = (
    "Examples:  tidegate report BUNDLE events.parquet  |  "
    "tidegate report BUNDLE e.csv --segment region --segment age --out june.html"
)


@verb
def command(
    bundle: BundleArgument,
    events: EventsArgument,
    out: Annotated[Path, typer.Option(help="The page that is written.")] = Path("report.html"),
    segment: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="Column whose values make groups, a field of the model or not; may be repeated. "
            "Default: fields with a few different values.",
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(help="Metric of intervals, groups and importance. Default: as in training."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")] = 0,
    session: SessionOption = None,
    time: TimeOption = None,
    seq: SeqOption = None,
    label: LabelOption = None,
) -> None:
    """Write one HTML page, which needs no network, about a bundle on labelled events."""
    from tidegate import bundle as bundles
    from tidegate import files

    files.check_place(out)
    check_out(out, events)
    loaded = bundles.load(bundle)
    table = read(loaded, events, session, time, seq, label or label_of(loaded.task))

    def column(name: str) -> NDArray[Any]:
        if name in table.columns:
            return table.columns[name]
        # What the model does not see is read as labels are: numbers, or text.
        values = read(loaded, events, session, time, seq, name).labels
        assert values is not None
        return values

    segments = {name: column(name) for name in segment} if segment else None
    try:
        from tidegate.train import report
    except ImportError as error:
        raise InputError(
            "missing_extra",
            f"{error.name} is not installed, which a report needs",
            hint="pip install 'tidegate[train,report]'",
        ) from error
    note = learned_from(loaded, events)
    page = report.make(
        loaded, table, metric=metric, segments=segments, source=events.name, seed=seed, note=note
    )
    files.write_file(out, report.render(page).encode())
    typer.echo(f"report: {out}")
    if note:
        typer.echo(f"note: {note}", err=True)
