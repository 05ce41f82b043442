"""``tidegate bench train``: a layer's step in training, beside torch's layers and a loop."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from tidegate.cli.verbs import verb
from tidegate.errors import InputError

if TYPE_CHECKING:
    from tidegate.bench.training.cases import Case, Variant
    from tidegate.bench.training.results import Row, TrainResults, TrainSettings

__all__ = ["EXAMPLES", "command", "show"]

EXAMPLES = (
    "Examples:  tidegate bench train --quick  |  tidegate bench train --json F --out build/bench  "
    "|  tidegate bench train --case gru:16-64@64x100 --option layer_norm+zoneout --lengths ragged"
)


@verb
def command(
    json: Annotated[
        Path | None, typer.Option("--json", help="File for the figures.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for train.html and a picture of each chart.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Two GRUs and three rounds.")] = False,
    case: Annotated[
        list[str] | None,
        typer.Option(
            help="CELL:INPUT-HIDDEN@BATCHxTIME, such as gru:16-64@64x100; several times. "
            "Default: gru, lstm and rnn of four sizes.",
            show_default=False,
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            help="plain, layer_norm, zoneout, recurrent_dropout, weight_dropout, bidirectional, "
            "return_gates, recompute, or some joined by +; several times. With this, --precision "
            "or --lengths, all combinations are timed.",
            show_default=False,
        ),
    ] = None,
    precision: Annotated[
        list[str] | None, typer.Option(help="fp32 or bf16; several times.", show_default=False)
    ] = None,
    lengths: Annotated[
        list[str] | None, typer.Option(help="full or ragged; several times.", show_default=False)
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(help="Of each contestant. Default: 2, if there are.", show_default=False),
    ] = None,
    seconds: Annotated[float, typer.Option(help="Of each contestant and round.")] = 0.1,
    rounds: Annotated[
        int | None, typer.Option(help="Rounds that take turns. Default: 9.", show_default=False)
    ] = None,
) -> None:
    """Time training: torch's GRU, LSTM and RNN, loops over cells, and tidegate's layers.

    A step is a forward pass over a batch of sessions and its backward pass. All contestants of a
    cell have the same weights, and are timed only if their outputs and gradients agree.
    """
    from tidegate import files
    from tidegate.bench.training import cases, results

    chosen = [cases.parse(text) for text in case or ()]
    chosen = chosen or list(cases.QUICK if quick else cases.STANDARD)
    asked = (
        [cases.parse_options(text) for text in option or ()],
        _known("--precision", precision, get_args(cases.Precision)),
        _known("--lengths", lengths, get_args(cases.Lengths)),
    )
    cores = len(os.sched_getaffinity(0))
    settings = results.TrainSettings(
        seconds,
        rounds if rounds is not None else (3 if quick else 9),
        threads if threads is not None else min(2, cores),
    )
    _check(settings, cores)
    for path in (json, out):
        if path is not None:
            files.check_place(path)
    with _extras():
        found = _measure([(each, cases.variants(each, *asked)) for each in chosen], settings)
    if json is not None:
        results.save(json, found)
    _print(found)
    _draw(out, found)


def show(file: Path, out: Path | None, *, markdown: bool) -> None:
    """Show the figures of an earlier run."""
    from tidegate.bench.training import results
    from tidegate.bench.training.markdown import render

    found = results.load(file)
    if markdown:
        typer.echo(render(found), nl=False)
    else:
        _print(found)
    _draw(out, found)


def _known(option: str, asked: Sequence[str] | None, known: Sequence[str]) -> list[Any]:
    for word in asked or ():
        if word not in known:
            raise InputError(
                "bad_option", f"{word!r} is unknown", field=option, hint=f"use {', '.join(known)}"
            )
    return list(asked or ())


def _check(settings: TrainSettings, cores: int) -> None:
    for option, value, most in (
        ("--seconds", settings.seconds, 60),
        ("--rounds", settings.rounds, 1000),
        ("--threads", settings.threads, cores),
    ):
        if not 0 < value <= most:
            raise InputError(
                "bad_option",
                f"{value} is not more than 0 and at most {most}",
                field=option,
                hint="leave it out",
            )


def _measure(
    chosen: Sequence[tuple[Case, Sequence[Variant]]], settings: TrainSettings
) -> TrainResults:
    """Run the cases under a progress bar."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from tidegate.bench import machine
    from tidegate.bench.training import run
    from tidegate.bench.training.results import TrainResults

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    rows, timings = [], []
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        bar = progress.add_task("the processor", total=len(chosen))
        facts = machine.describe(("numpy", "torch"))
        for case, variants in chosen:
            progress.update(bar, description=str(case))
            found, times = run.run_case(case, variants, settings)
            rows += found
            timings += times
            progress.advance(bar)
    return TrainResults(facts, settings, rows, timings)


def _print(found: TrainResults) -> None:
    """Print every contestant's times, the ratios of tidegate's layers, and the goals."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from tidegate.bench.training.goals import check
    from tidegate.bench.training.markdown import facts, number

    rows = {(str(row.case), str(row.variant)): row for row in found.rows}
    shown = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
    shown.add_column("contestant", no_wrap=True)
    for name in ("step ms", "±", "×GRU", "×LSTM", "×loop", "of plain", "MB"):
        shown.add_column(name, justify="right", no_wrap=True)
    for case, timings in itertools.groupby(found.timings, key=lambda timing: timing.case):
        shown.add_section()
        shown.add_row(case, style="italic")
        for timing in timings:
            spread = (timing.third_quartile_ms - timing.first_quartile_ms) / 2 / timing.step_ms
            row = rows.get((case, timing.contestant))
            shown.add_row(
                timing.contestant,
                number(timing.step_ms),
                f"± {spread:.0%}",
                *(_ratios(row) if row is not None else [""] * 4),
                number(timing.kept_mb),
                style="bold" if row is not None else None,
            )
    console = Console()
    console.print(shown)
    for line in facts(found):
        console.print(line)
    for goal in check(found):
        mark = "[green]met[/green]" if goal.met else "[red]not met[/red]"
        console.print(f"{mark}: {goal.case}: {goal.found} ({goal.wanted})")


def _ratios(row: Row) -> list[str]:
    ratios = (row.ratio_torch_gru, row.ratio_torch_lstm, row.ratio_loop, row.ratio_plain)
    return [f"{ratio:.2f}" for ratio in ratios]


def _draw(out: Path | None, found: TrainResults) -> None:
    if out is None:
        return
    with _extras():
        from tidegate.bench.training import plots

    for path in plots.write(out, found):
        typer.echo(path)


@contextmanager
def _extras() -> Iterator[None]:
    """Name the extras when torch, or what draws, is not installed."""
    try:
        yield
    except ImportError as error:
        raise InputError(
            "missing_extra",
            f"{error.name} is not installed",
            hint="pip install 'tidegate[train,report]'",
        ) from error
