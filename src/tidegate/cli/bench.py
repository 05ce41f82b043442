"""``tidegate bench``: a step, training and servers, timed beside what others use."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli import bench_serve, bench_train
from tidegate.cli.verbs import verb
from tidegate.errors import InputError

if TYPE_CHECKING:
    from tidegate.bench.cases import Case
    from tidegate.bench.results import Results, Row, Settings
    from tidegate.bench.run import Entry

__all__ = ["NAME", "app"]

NAME = "bench"
app = typer.Typer(
    help="Time a step, training, or a server, beside what others use, all in one run.",
    no_args_is_help=True,
)
app.command("train", epilog=bench_train.EXAMPLES)(bench_train.command)
app.command("serve", epilog=bench_serve.EXAMPLES)(bench_serve.command)

OutOption = Annotated[
    Path | None, typer.Option(help="Folder for a page, and a picture of each chart.")
]


@app.command(
    "engine",
    epilog="Examples:  tidegate bench engine --quick  |  tidegate bench engine --out build/bench "
    "--json F  |  tidegate bench engine --case gru:64-256@1 --precision int8",
)
@verb
def engine(
    json: Annotated[
        Path | None, typer.Option("--json", help="File for the figures.", show_default=False)
    ] = None,
    out: OutOption = None,
    quick: Annotated[bool, typer.Option("--quick", help="Five cases and three rounds.")] = False,
    case: Annotated[
        list[str] | None,
        typer.Option(
            help="CELL:INPUT-HIDDEN@BATCH, such as gru:16-64@256; several times. Two layers: "
            "lstm:64-64x2@1; with live sessions: gru:16-64@256/1000000. Default: some thirty.",
            show_default=False,
        ),
    ] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(help="fp32, bf16 or int8; several times. Default: all.", show_default=False),
    ] = None,
    isa: Annotated[
        list[str] | None,
        typer.Option(
            help="Instruction set; several times. Default: the best one.", show_default=False
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(help="Of each contestant and round.")] = 0.05,
    rounds: Annotated[
        int | None, typer.Option(help="Rounds that take turns. Default: 9.", show_default=False)
    ] = None,
) -> None:
    """Time one step on one thread: torch, ONNX Runtime, and tidegate's kernel and engine.

    A step is one Python call; the input changes and the state carries from call to call. All
    contestants have the same weights, and are timed only if their results agree.
    """
    from tidegate import files
    from tidegate.bench import cases, results

    chosen = [cases.parse(text) for text in case or ()]
    chosen = chosen or list(cases.QUICK if quick else cases.STANDARD)
    settings = results.Settings(seconds, rounds if rounds is not None else (3 if quick else 9))
    _check(settings)
    for path in (json, out):
        if path is not None:
            files.check_place(path)
    with _extras():
        from tidegate.bench import run

    found = _measure(chosen, run.entries(precision or (), isa or ()), settings)
    if json is not None:
        results.save(json, found)
    _show(found)
    _draw(out, found)


@app.command(
    "show",
    epilog="Examples:  tidegate bench show F --out build/bench  |  tidegate bench show F "
    "--markdown",
)
@verb
def show(
    file: Annotated[Path, typer.Argument(help="What --json wrote.", show_default=False)],
    out: OutOption = None,
    markdown: Annotated[bool, typer.Option(help="Print Markdown, as the docs hold it.")] = False,
) -> None:
    """Show the figures of an earlier run."""
    from tidegate.bench import results
    from tidegate.bench.markdown import render

    others = {"serve": bench_serve.show, "train": bench_train.show}
    other = others.get(results.kind(file))
    if other is not None:
        other(file, out, markdown=markdown)
        return
    found = results.load(file)
    if markdown:
        typer.echo(render(found), nl=False)
    else:
        _show(found)
    _draw(out, found)


def _check(settings: Settings) -> None:
    for option, value, most in (
        ("--seconds", settings.seconds, 60),
        ("--rounds", settings.rounds, 1000),
    ):
        if not 0 < value <= most:
            raise InputError(
                "bad_option",
                f"{value} is not more than 0 and at most {most}",
                field=option,
                hint="leave it out",
            )


def _measure(chosen: Sequence[Case], entries: Sequence[Entry], settings: Settings) -> Results:
    """Run the cases under a progress bar."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from tidegate.bench import machine, run
    from tidegate.bench.results import Results

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    rows, timings = [], []
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        bar = progress.add_task("the processor's peaks", total=len(chosen))
        facts = machine.describe()
        for case in chosen:
            progress.update(bar, description=str(case))
            found, times = run.run_case(case, entries, settings)
            rows += found
            timings += times
            progress.advance(bar)
    return Results(facts, settings, rows, timings)


def _show(found: Results) -> None:
    """Print every contestant's times, and the ratios of tidegate's entries."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from tidegate.bench.markdown import crowds, time

    rows = {(row.case, f"{row.entry} {row.precision} {row.isa}"): row for row in found.rows}
    shown = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
    shown.add_column("case", no_wrap=True)
    shown.add_column("one thread", no_wrap=True)
    for name in ("a call", "±", "×torch", "×ONNX", "roof"):
        shown.add_column(name, justify="right", no_wrap=True)
    for case, timings in itertools.groupby(found.timings, key=lambda timing: timing.case):
        shown.add_section()
        for place, timing in enumerate(timings):
            spread = (timing.third_quartile_us - timing.first_quartile_us) / 2 / timing.median_us
            row = rows.get((case, timing.contestant))
            shown.add_row(
                case if place == 0 else "",
                timing.contestant,
                time(timing.median_us),
                f"± {spread:.0%}",
                *(_ratios(row) if row is not None else ()),
                style="bold" if row is not None else None,
            )
    console = Console()
    console.print(shown)
    for line in crowds(found):
        console.print(line)


def _ratios(row: Row) -> tuple[str, str, str]:
    return (
        f"{row.ratio_torch:.2f}",
        f"{row.ratio_onnxruntime:.2f}",
        f"{row.roofline_fraction:.0%}",
    )


def _draw(out: Path | None, found: Results) -> None:
    if out is None:
        return
    with _extras():
        from tidegate.bench import plots

    for path in plots.write(out, found):
        typer.echo(path)


@contextmanager
def _extras() -> Iterator[None]:
    """Name the extras when a peer, or what draws, is not installed."""
    try:
        yield
    except ImportError as error:
        raise InputError(
            "missing_extra",
            f"{error.name} is not installed",
            hint="pip install 'tidegate[train,onnx,report]'",
        ) from error
