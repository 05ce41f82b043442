"""``tidegate compare``: GRU, LSTM, or neither, measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.verbs import verb, write_json

if TYPE_CHECKING:
    from tidegate.train import TrainConfig
    from tidegate.train.compare import Comparison, Verdict

__all__ = ["EXAMPLES", "NAME", "command"]

NAME = "compare"
EXAMPLES = (
    "Examples:  tidegate compare train.toml  |  tidegate compare train.toml --seeds 3 "
    "--models gru,lstm  |  tidegate compare train.toml --quick"
)


@verb
def command(
    config: Annotated[
        Path, typer.Argument(help="As `tidegate train` takes it: a .toml file.", show_default=False)
    ],
    models: Annotated[
        str | None,
        typer.Option(help="Who is compared, with commas. Default: all that fit the task."),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Trainings of each that are measured.")] = 5,
    rates: Annotated[
        str, typer.Option(help="Factors of the learning rate that each may choose from.")
    ] = "0.33,1,3",
    learning_curve: Annotated[
        bool, typer.Option("--learning-curve", help="Also train on an eighth, a quarter, a half.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Measure nothing: repeat the field's rules of thumb.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the results. Default: beside the configuration."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Train GRU, LSTM and others of equal size on equal terms, and say which to take, and why.

    Every training is kept in a file of its own: after Ctrl-C the same command goes on.
    """
    from tidegate.train import load_config

    loaded = load_config(config)
    if quick:
        _quick(loaded, json=json)
        return
    folder = out or config.with_suffix(".compare")
    _measure(loaded, models, seeds, rates, folder, curve=learning_curve, json=json)


def _quick(config: TrainConfig, *, json: bool) -> None:
    from tidegate.data.profile import LengthProfile
    from tidegate.train import parts
    from tidegate.train.compare import rules

    train, _, _ = parts.split(parts.read(config), config.split)
    lengths = LengthProfile.of(train.lengths)
    advice = rules.read(rules.Facts(lengths, config.task.name == "language"))
    if json:
        write_json({"measured": False, "lengths": lengths.to_dict(), "rules": advice})
        return
    from rich.console import Console
    from rich.table import Table

    shown = Table(title=f"What the field says of {lengths}", title_justify="left")
    for head in ("rule", "says", "source", "here"):
        shown.add_column(head)
    for each in advice:
        shown.add_row(each.name, each.says, each.source, each.side or "nothing")
    console = Console()
    console.print(shown)
    sides = [each.side for each in advice]
    console.print(
        f"{sides.count('gru')} for a GRU, {sides.count('lstm')} for an LSTM, "
        f"{sides.count('either')} for either, {sides.count('neither')} for neither. "
        "NOTHING WAS MEASURED: the rules disagree, and none of them has seen these data. "
        "Leave --quick out to measure."
    )


def _measure(
    config: TrainConfig,
    models: str | None,
    seeds: int,
    rates: str,
    folder: Path,
    *,
    curve: bool,
    json: bool,
) -> None:
    import msgspec
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from tidegate import files
    from tidegate.errors import InputError
    from tidegate.train import compare

    names = tuple(models.split(",")) if models else compare.defaults(config)
    try:
        factors = tuple(float(each) for each in rates.split(","))
    except ValueError as error:
        raise InputError(
            "out_of_range", f"{rates!r}: {error}", field="rates", hint="write 0.33,1,3"
        ) from error
    options = compare.Options(names, seeds, factors, curve)
    files.check_place(folder)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task("reading", total=None)

        def step(what: str, done: int, of: int) -> None:
            bar.update(task, description=what, completed=done, total=of)
            if not bar.console.is_terminal:
                bar.console.print(f"{done}/{of} {what}")

        found = compare.compare(config, options, folder, step=step)
    verdict = compare.judge(found)
    folder.mkdir(parents=True, exist_ok=True)
    files.write_file(folder / "comparison.json", msgspec.json.encode(found))
    page = _page(found, verdict, folder / "comparison.html")
    if json:
        write_json({"comparison": found, "verdict": verdict, "page": page})
        return
    _show(found, verdict)
    typer.echo(
        f"page: {page}" if page else "page: none; pip install 'tidegate[report]' to have one"
    )


def _page(found: Comparison, verdict: Verdict, path: Path) -> str | None:
    """Write the page; None: what draws it is not installed."""
    try:
        from tidegate.train.compare import page
    except ImportError:
        return None
    page.write(found, verdict, path)
    return str(path)


def _show(found: Comparison, verdict: Verdict) -> None:
    from rich.console import Console
    from rich.table import Table

    from tidegate.train.compare.table import rows

    head, body = rows(found)
    console = Console()
    columns = len(head)
    # A terminal of 80 columns shows what a model is beside how good it is, then what it costs.
    halves = {f"{found.task} {found.label}: {found.part} part": range(1, 5), "": range(5, columns)}
    for title, places in halves.items():
        shown = Table(title=title or None, title_justify="left")
        for place in (0, *places):
            shown.add_column(head[place], justify="right" if place else "left")
        for row in body:
            if any(row[place] for place in places):
                bold = "bold" if row[0] == verdict.choice else ""
                shown.add_row(*(row[place] for place in (0, *places)), style=bold)
        console.print(shown)
    for name, reason in found.left_out.items():
        console.print(f"left out: {name}: {reason}")
    console.print(f"[bold]Take {verdict.choice}.[/bold]")
    for reason in verdict.reasons:
        console.print(f"- {reason}", highlight=False)
