"""``tidegate tune``: the settings that do best on the validation part."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.verbs import verb, write_json
from tidegate.errors import InputError

if TYPE_CHECKING:
    from tidegate.train.tune.run import Tuning

__all__ = ["EXAMPLES", "NAME", "command"]

NAME = "tune"
EXAMPLES = (
    "Examples:  tidegate tune train.toml --trials 40  |  "
    "tidegate tune train.toml --minutes 30 --workers 2"
)
_SHOWN = 8


@verb
def command(
    config: Annotated[
        Path, typer.Argument(help="As `tidegate train` takes it: a .toml file.", show_default=False)
    ],
    trials: Annotated[
        int | None,
        typer.Option(help="Trials in all. Default: 40, if no minutes are given."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="CPU minutes, of all trials together, after which none begins."),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes, of one thread each.")] = 1,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the study and what comes of it. Default: CONFIG-tune."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Forget the study that is there, and begin anew.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look for better settings, and write the best as a configuration to train with.

    Trials are compared on the validation part; the test part is never looked at. Ctrl-C stops it;
    the same command goes on.
    """
    _check_extra()
    from tidegate.train.tune import report
    from tidegate.train.tune.run import folder_of, tune

    folder = folder_of(config) if out is None else out
    tuning = tune(
        config,
        out=folder,
        trials=trials,
        cpu_minutes=minutes,
        workers=workers,
        fresh=fresh,
        quiet=json,
    )
    best = report.write_best(tuning, folder)
    written = report.write_page(tuning, folder, config.name)
    if json:
        write_json(
            {
                "watch": tuning.watch,
                "best": tuning.best,
                "config": str(best),
                "cpu_minutes": round(tuning.cpu_minutes, 3),
                "importance": tuning.importance,
                "trials": tuning.trials,
                "pages": [*map(str, written)],
            }
        )
        return
    _show(tuning)
    for path in written:
        typer.echo(f"written: {path}")
    typer.echo(f"best: {best}; next: tidegate train {best}")


def _show(tuning: Tuning) -> None:
    """Print the best trials, and how the others ended."""
    from rich.console import Console
    from rich.table import Table

    from tidegate.train.tune.report import columns, shown

    best = tuning.ranked[:_SHOWN]
    keys = columns(best)
    table = Table(box=None, pad_edge=False)
    for name in ("trial", tuning.watch, "epochs"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("settings")
    for trial in best:
        drawn = ", ".join(f"{name} {shown(trial.values.get(key))}" for key, name in keys.items())
        table.add_row(str(trial.number), f"{trial.value:.4f}", str(trial.epochs), drawn)
    console = Console(highlight=False)
    console.print(table)
    states = [trial.state for trial in tuning.trials]
    console.print(
        f"trials: {states.count('done')} finished, {states.count('pruned')} ended early, "
        f"{states.count('failed')} failed; {tuning.cpu_minutes:.1f} CPU minutes",
        soft_wrap=True,
    )


def _check_extra() -> None:
    try:
        import altair  # noqa: F401
        import optuna  # noqa: F401
        import tomli_w  # noqa: F401
        import vl_convert  # noqa: F401
    except ImportError as error:
        raise InputError(
            "missing_extra",
            f"{error.name} is not installed, which tuning needs",
            hint="pip install 'tidegate[tune]'",
        ) from error
