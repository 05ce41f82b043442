"""``tidegate bench serve``: servers under load, tidegate's beside others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli import figures
from tidegate.cli.verbs import verb
from tidegate.errors import InputError

if TYPE_CHECKING:
    from tidegate.bench.serving.results import Row, ServeResults, ServeSettings
    from tidegate.bench.serving.workbench import Workbench

__all__ = ["EXAMPLES", "command", "show"]

EXAMPLES = (
    "Examples:  tidegate bench serve --quick  |  tidegate bench serve --json F --out build/bench  "
    "|  tidegate bench serve --only ndjson --sessions 100000 --no-peers"
)


@verb
def command(
    json: figures.JsonOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for serve.html and a picture of each chart.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="2 s a load, 4 s in bulk, over 50,000 sessions.")
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="echo, http, websocket, ndjson, arrow, lone, start, memory or stall; several "
            "times. "
            "Default: all.",
            show_default=False,
        ),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="Of each load. Default: 10.", show_default=False)
    ] = None,
    bulk_seconds: Annotated[
        float | None, typer.Option(help="Of each bulk load. Default: 60.", show_default=False)
    ] = None,
    sessions: Annotated[
        int | None,
        typer.Option(help="Live sessions in bulk. Default: 1,000,000.", show_default=False),
    ] = None,
    peers: Annotated[
        bool, typer.Option("--peers/--no-peers", help="Run FastAPI, Redis and LitServe too.")
    ] = True,
    folder: Annotated[
        Path,
        typer.Option(help="For what is built, and for the stores: its disk is what is measured."),
    ] = Path("build/bench"),
    benchmarks: Annotated[
        Path, typer.Option(help="Folder of the load generator; it comes with the source.")
    ] = Path("benchmarks"),
) -> None:
    """Load servers over HTTP, WebSocket, NDJSON and Arrow; every answer is checked.

    The load generator is a C program, compiled here. Peers are installed into a venv of their own
    under --folder (as root, redis-server from Debian too).
    """
    from tidegate.bench.serving import run, workbench

    settings = _settings(run.QUICK if quick else run.STANDARD, seconds, bulk_seconds, sessions)
    figures.check_places(json, out, folder)
    with workbench.Workbench(settings, benchmarks, folder) as bench:
        _run(bench, only or [], peers)
        found = bench.results()
    figures.present(found, _print, _draw, out=out, json=json)


def show(file: Path, out: Path | None, *, markdown: bool) -> None:
    """Show the figures of an earlier run."""
    from tidegate.bench.serving import results
    from tidegate.bench.serving.markdown import render

    figures.present(results.load(file), _print, _draw, out=out, render=render if markdown else None)


def _settings(
    usual: ServeSettings, seconds: float | None, bulk_seconds: float | None, sessions: int | None
) -> ServeSettings:
    from tidegate.bench.serving.results import ServeSettings

    asked = ServeSettings(
        usual.seconds if seconds is None else seconds,
        usual.bulk_seconds if bulk_seconds is None else bulk_seconds,
        usual.sessions if sessions is None else sessions,
    )
    for option, value, least, most in (
        ("--seconds", asked.seconds, 0.1, 3600),
        ("--bulk-seconds", asked.bulk_seconds, 0.1, 3600),
        ("--sessions", asked.sessions, 1000, 50_000_000),
    ):
        if not least <= value <= most:
            raise InputError(
                "bad_option",
                f"{value} is not from {least} to {most:,}",
                field=option,
                hint="leave it out",
            )
    return asked


def _run(bench: Workbench, only: list[str], peers: bool) -> None:
    """Run the steps under a progress bar."""
    from tidegate.bench.serving import run

    with figures.progress() as progress:
        bar = progress.add_task("what it needs", total=None)
        steps = run.steps(bench, only, peers=peers)
        progress.update(bar, total=len(steps))
        for step in steps:
            progress.update(bar, description=step.name)
            step.run()
            progress.advance(bar)


def _print(found: ServeResults) -> None:
    """Print the loads, the other figures, and the goals."""
    from rich.console import Console

    from tidegate.bench.serving.goals import check
    from tidegate.bench.serving.markdown import facts

    console = Console()
    numbers = ("events/s", "p50 ms", "p99 ms", "CPU µs", "MB")
    shown = figures.table(("server", "load"), numbers, wrapped="server")
    for row in found.rows:
        ours = row.system.startswith("tidegate")
        shown.add_row(*_cells(row), style="bold" if ours else None)
    console.print(shown)
    for start in found.starts:
        console.print(
            f"{start.system}, {start.sessions:,} sessions kept: first answer after "
            f"{start.answer_ms:.0f} ms, ready after {start.ready_ms:.0f} ms, {start.rss_mb:.0f} MB"
        )
    for held in found.memory:
        console.print(f"{held.system}: {held.rss_mb:.0f} MB with {held.sessions:,} sessions")
    for line in facts(found):
        console.print(line)
    for row in found.rows:
        if row.errors:
            console.print(f"{row.system}, {row.transport}: {row.errors:,} errors, first: ", end="")
            console.print(row.first_error, markup=False)
    for goal in check(found):
        console.print(goal)
    for missing in found.missing:
        console.print(f"[red]not run[/red]: {missing.system}: ", end="")
        console.print(missing.why, markup=False)


def _cells(row: Row) -> tuple[str, ...]:
    """Return a row for a terminal: short."""
    rate = f" {row.rate:,.0f}/s" if row.rate else ""
    events = f"×{row.events_a_request}" if row.events_a_request > 1 else ""
    cpu = 1e6 / row.events_per_cpu_s if row.events_per_cpu_s else 0.0
    return (
        row.system,
        f"{row.transport} {row.connections}{events}{rate}",
        f"{row.events_per_s:,.0f}",
        f"{row.p50_ms:.2f}",
        f"{row.p99_ms:.2f}",
        f"{cpu:.1f}",
        f"{row.rss_mb:.0f}",
    )


def _draw(out: Path, found: ServeResults) -> list[Path]:
    with figures.extras("report"):
        from tidegate.bench.serving import plots
    return plots.write(out, found)
