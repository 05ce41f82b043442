"""What the benchmarks that learn share: a file for each run, and tables of means and deviations."""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tidegate.bench import machine, results
from tidegate.cli.exits import told
from tidegate.errors import InputError, TidegateError

__all__ = [
    "RESULTS",
    "Place",
    "Run",
    "arguments",
    "folder_of",
    "folder_with",
    "markdown",
    "once",
    "parameters",
    "progress",
    "read",
    "script",
    "spread",
    "watched",
]

RESULTS = Path(__file__).parent / "results"

_R = TypeVar("_R", bound=msgspec.Struct)


class Place(msgspec.Struct, frozen=True):
    """Where and with what a run was made."""

    processor: str
    versions: dict[str, str]
    date: str

    @classmethod
    def here(cls) -> Place:
        """Look it up."""
        found = machine.describe(("numpy", "scipy", "torch"))
        return cls(found.processor, found.versions, found.date)


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What every run of a model tells, whatever it learned.

    Parameters
    ----------
    model : str
        ``gru``, ``lstm`` or ``rnn``.
    units, seed : int
        Of the only layer; of weights, order and noise.
    parameters, parameters_of_layer : int
        With the output layer and without it.
    path : str
        ``fused``: training took the C core's way.
    cpu_seconds : float
        Of all that led to the figure: every trial, validation and test.
    threads : int
        Of torch and of the core.
    place : Place
        Where.
    """

    model: str
    units: int
    seed: int
    parameters: int
    parameters_of_layer: int
    path: str
    cpu_seconds: float
    threads: int
    place: Place

    @property
    def sizes(self) -> str:
        """Parameters of the layer, and of what stands on it."""
        rest = self.parameters - self.parameters_of_layer
        return f"{self.parameters_of_layer:,} + {rest:,}"


def parameters(module: torch.nn.Module) -> int:
    """Count the numbers that a module learns."""
    return sum(parameter.numel() for parameter in module.parameters())


def folder_with(folder: Path | None, names: Sequence[str], hint: str) -> Path:
    """Return the folder of the data, if all of these files are in it.

    Raises
    ------
    InputError
        ``no_data``, with `hint`: where to get them.
    """
    missing = [name for name in names if not (folder and (folder / name).is_file())]
    if folder is None or missing:
        raise InputError(
            "no_data",
            "no folder is given" if folder is None else f"{', '.join(missing)} not in {folder}",
            field="--data",
            hint=hint,
        )
    return folder


def arguments(doc: str | None, seeds: Sequence[int], quick: str) -> argparse.ArgumentParser:
    """Return the arguments that scripts share: seeds, folder, and a quick way, which is told."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=seeds)
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="of the runs' files")
    parser.add_argument("--quick", action="store_true", help=f"to see it run: {quick}")
    parser.add_argument("--table", action="store_true", help="print the runs that there are")
    return parser


def folder_of(options: argparse.Namespace, results: Path) -> Path:
    """Return the folder of the runs; of quick ones, another than that of the results."""
    quick = RESULTS.parent.parent / "build" / f"{results.name}-quick"
    folder: Path = options.out or (quick if options.quick else results)
    return folder


def once(path: Path, make: Callable[[], _R], figure: Callable[[_R], str]) -> None:
    """Make a run, save it and print its figure, if there is no file of it."""
    if path.exists():
        return
    run = make()
    results.save(path, run)
    print(f"{path.stem}: {figure(run)}", flush=True)


def read(folder: Path, kind: type[_R]) -> list[_R]:
    """Read the runs of a folder, in the order of their files' names.

    Raises
    ------
    InputError
        ``bad_results``: a file is no such run.
    """
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=kind))
        except msgspec.DecodeError as error:
            raise InputError(
                "bad_results", str(error), field=path.name, hint="remove it, and run it again"
            ) from error
    return found


def spread(values: Sequence[float], digits: int) -> str:
    """Write a mean and the deviation between seeds, if there are several.

    Examples
    --------
    >>> spread([8.5, 8.6], 2), spread([8.5], 2)
    ('8.55 ± 0.07', '8.50')
    """
    mean = f"{statistics.fmean(values):.{digits}f}"
    return f"{mean} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else mean


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]], words: int) -> str:
    """Write a table whose first columns, so many as `words`, hold no numbers."""
    aligned = ["---" if at < words else "--:" for at in range(len(header))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, aligned, *rows))


def progress() -> Progress:
    """Return a bar on standard error, for a terminal alone."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[said]}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


@contextmanager
def watched(bar: Progress, title: str, total: int) -> Iterator[Callable[[int, float], None]]:
    """Show a training on a bar: what is given takes what is done of `total`, and a figure."""
    task = bar.add_task(title, total=total, said="")

    def said(done: int, figure: float) -> None:
        bar.update(task, completed=done, said=f"validation {figure:.3g}")

    try:
        yield said
    finally:
        bar.remove_task(task)


def script(main: Callable[[], None]) -> None:
    """Run a script; what a user can cause ends it with a line, and Ctrl-C without a traceback."""
    try:
        main()
    except (TidegateError, KeyboardInterrupt) as error:
        sys.exit(told(error))
