"""``tidegate doctor``: what is wrong with a training run, and what to do about it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.events import SeqOption, SessionOption, TimeOption, read
from tidegate.cli.findings import failed, show
from tidegate.cli.verbs import verb, write_json
from tidegate.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidegate.bundle import Bundle
    from tidegate.findings import Finding
    from tidegate.tables import EventTable
    from tidegate.train.doctor import Run

__all__ = ["EXAMPLES", "NAME", "command"]

NAME = "doctor"
EXAMPLES = (
    "Examples:  tidegate doctor BUNDLE  |  tidegate doctor BUNDLE --profile  |  "
    "tidegate doctor BUNDLE --events e.parquet --gates SESSION --memory --out pictures"
)


@verb
def command(
    run: Annotated[
        Path,
        typer.Argument(
            help="A bundle's folder, or of an interrupted run the checkpoint beside it.",
            show_default=False,
        ),
    ],
    profile: Annotated[
        bool, typer.Option("--profile", help="Draw the gradient against lag, layer by layer.")
    ] = False,
    gates: Annotated[
        str | None,
        typer.Option(metavar="SESSION", help="Draw the gates over a session of --events."),
    ] = None,
    memory: Annotated[
        bool, typer.Option("--memory", help="Draw what the state remembers, on --events.")
    ] = False,
    events: Annotated[
        Path | None, typer.Option(help="Events for --gates and --memory: .csv or .parquet.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the pictures. Default: RUN-pictures.")
    ] = None,
    session: SessionOption = None,
    time: TimeOption = None,
    seq: SeqOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Name what is wrong with a training run, with evidence and the next step, worst first.

    Exits with 6 if something is wrong; notes do not count.
    """
    from tidegate.train import doctor

    found = doctor.read(run)
    findings = doctor.examine(found)
    folder = out or run.resolve().with_name(f"{run.resolve().name}-pictures")
    if profile or gates is not None or memory:
        _check_report()
    pictures: list[Path] = []
    if gates is not None or memory:
        bundle, table = _load(run, events, session, time, seq)
        pictures += _draw_gates(bundle, table, gates, folder) if gates is not None else []
        pictures += _draw_memory(bundle, table, folder) if memory else []
    pictures += _draw_profile(found, folder) if profile else []
    if json:
        write_json(
            {"epochs": len(found.history), "findings": findings, "pictures": [*map(str, pictures)]}
        )
    else:
        _show(run, found, findings, pictures)
    failed(findings)


def _show(path: Path, run: Run, findings: Sequence[Finding], pictures: Sequence[Path]) -> None:
    state = "" if run.finished else ", unfinished"
    title = f"{path}: epochs: {len(run.history)}{state}"
    show(title, findings, "healthy", "nothing is wrong with this run")
    for picture in pictures:
        typer.echo(f"picture: {picture}")


def _load(
    run: Path, events: Path | None, session: str | None, time: str | None, seq: str | None
) -> tuple[Bundle, EventTable]:
    from tidegate import bundle as bundles

    if events is None:
        raise InputError(
            "missing_option",
            "there are no events to run the model on",
            field="--events",
            hint="give --events EVENTS with --gates and --memory",
        )
    loaded = bundles.load(run)
    return loaded, read(loaded, events, session, time, seq)


def _draw_gates(bundle: Bundle, table: EventTable, session: str, folder: Path) -> list[Path]:
    from tidegate.train import pictures, traces

    network = traces.network_of(bundle)
    if session not in table.sessions:
        raise InputError(
            "unknown_session",
            f"the events have no session {session!r}",
            field="--gates",
            hint=f"they have {table.sessions[0]!r}, say" if table.sessions else "they have none",
        )
    one = table.take([table.sessions.index(session)])
    rows = bundle.schema.encode(one.columns, one.times, one.offsets).rows
    return pictures.write(pictures.gates(traces.gates(network, rows), session), folder, "gates")


def _draw_memory(bundle: Bundle, table: EventTable, folder: Path) -> list[Path]:
    from tidegate.train import memory, pictures, traces

    network = traces.network_of(bundle)
    rows = bundle.schema.encode(table.columns, table.times, table.offsets).rows
    found = memory.probe(network, rows, table.offsets, bundle.schema.columns)
    return pictures.write(pictures.memory(found), folder, "memory")


def _draw_profile(run: Run, folder: Path) -> list[Path]:
    from tidegate.train import pictures

    return pictures.write(pictures.profile(run.history), folder, "profile")


def _check_report() -> None:
    try:
        import altair  # noqa: F401
        import vl_convert  # noqa: F401
    except ImportError as error:
        raise InputError(
            "missing_extra",
            f"{error.name} is not installed, which draws pictures",
            hint="pip install 'tidegate[report]'",
        ) from error
