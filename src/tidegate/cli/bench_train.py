"""``tidegate bench train``: a layer's step in training, beside torch's layers and a loop."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from tidegate.cli import figures
from tidegate.cli.verbs import verb
from tidegate.errors import InputError

if TYPE_CHECKING:
    from tidegate.bench.training.results import Row, TrainResults

__all__ = ["EXAMPLES", "command", "show"]

EXAMPLES = (
    "Examples:  tidegate bench train --quick  |  tidegate bench train --json F --out build/bench  "
    "|  tidegate bench train --case gru:16-64@64x100 --option layer_norm+zoneout --lengths ragged"
)


@verb
def command(
    json: figures.JsonOption = None,
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
    from tidegate.bench.results import Settings
    from tidegate.bench.training import cases, results

    chosen = [cases.parse(text) for text in case or ()]
    chosen = chosen or list(cases.QUICK if quick else cases.STANDARD)
    asked = (
        [cases.parse_options(text) for text in option or ()],
        _known("--precision", precision, get_args(cases.Precision)),
        _known("--lengths", lengths, get_args(cases.Lengths)),
    )
    settings = Settings(
        seconds,
        rounds if rounds is not None else (3 if quick else 9),
        threads if threads is not None else min(2, len(os.sched_getaffinity(0))),
    )
    figures.check_settings(settings)
    figures.check_places(json, out)
    with figures.extras("train,report"):
        from tidegate.bench import machine
        from tidegate.bench.training import run

        facts, rows, timings = figures.measure(
            "the processor",
            lambda: machine.describe(("numpy", "torch")),
            chosen,
            lambda case: run.run_case(case, cases.variants(case, *asked), settings),
        )
    found = results.TrainResults(facts, settings, rows, timings)
    figures.present(found, _print, _draw, out=out, json=json)


def show(file: Path, out: Path | None, *, markdown: bool) -> None:
    """Show the figures of an earlier run."""
    from tidegate.bench.training import results
    from tidegate.bench.training.markdown import render

    figures.present(results.load(file), _print, _draw, out=out, render=render if markdown else None)


def _known(option: str, asked: Sequence[str] | None, known: Sequence[str]) -> list[Any]:
    for word in asked or ():
        if word not in known:
            raise InputError(
                "bad_option", f"{word!r} is unknown", field=option, hint=f"use {', '.join(known)}"
            )
    return list(asked or ())


def _print(found: TrainResults) -> None:
    """Print every contestant's times, the ratios of tidegate's layers, and the goals."""
    from rich.console import Console

    from tidegate.bench.training.goals import check
    from tidegate.bench.training.markdown import facts, number

    rows = {(str(row.case), str(row.variant)): row for row in found.rows}
    numbers = ("step ms", "±", "×GRU", "×LSTM", "×loop", "of plain", "MB")
    shown = figures.table(("contestant",), numbers)
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
        console.print(goal)


def _ratios(row: Row) -> list[str]:
    ratios = (row.ratio_torch_gru, row.ratio_torch_lstm, row.ratio_loop, row.ratio_plain)
    return [f"{ratio:.2f}" for ratio in ratios]


def _draw(out: Path, found: TrainResults) -> list[Path]:
    with figures.extras("train,report"):
        from tidegate.bench.training import plots
    return plots.write(out, found)
