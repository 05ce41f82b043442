"""``tidegate bench``: a step, training and servers, timed beside what others use."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli import bench_serve, bench_train, figures
from tidegate.cli.verbs import verb

if TYPE_CHECKING:
    from tidegate.bench.results import Results, Row

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
    json: figures.JsonOption = None,
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
    from tidegate.bench import cases, results

    chosen = [cases.parse(text) for text in case or ()]
    chosen = chosen or list(cases.QUICK if quick else cases.STANDARD)
    settings = results.Settings(seconds, rounds if rounds is not None else (3 if quick else 9))
    figures.check_settings(settings)
    figures.check_places(json, out)
    with figures.extras("train,onnx,report"):
        from tidegate.bench import machine, run

    entries = run.entries(precision or (), isa or ())
    facts, rows, timings = figures.measure(
        "the processor's peaks",
        machine.describe,
        chosen,
        lambda case: run.run_case(case, entries, settings),
    )
    found = results.Results(facts, settings, rows, timings)
    figures.present(found, _show, _draw, out=out, json=json)


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
    figures.present(results.load(file), _show, _draw, out=out, render=render if markdown else None)


def _show(found: Results) -> None:
    """Print every contestant's times, and the ratios of tidegate's entries."""
    from rich.console import Console

    from tidegate.bench.markdown import crowds, time

    rows = {(row.case, f"{row.entry} {row.precision} {row.isa}"): row for row in found.rows}
    shown = figures.table(("case", "one thread"), ("a call", "±", "×torch", "×ONNX", "roof"))
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


def _draw(out: Path, found: Results) -> list[Path]:
    with figures.extras("train,onnx,report"):
        from tidegate.bench import plots
    return plots.write(out, found)
