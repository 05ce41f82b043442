"""The figures of a `tidegate bench` run: measured under a bar, then kept, shown and drawn."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec
import typer

from tidegate.errors import InputError

if TYPE_CHECKING:
    from rich.progress import Progress
    from rich.table import Table

    from tidegate.bench.results import Machine, Settings

__all__ = [
    "JsonOption",
    "check_places",
    "check_settings",
    "extras",
    "measure",
    "present",
    "progress",
    "table",
]

CaseT = TypeVar("CaseT")
RowT = TypeVar("RowT")
TimingT = TypeVar("TimingT")
ResultsT = TypeVar("ResultsT", bound=msgspec.Struct)

JsonOption = Annotated[
    Path | None, typer.Option("--json", help="File for the figures.", show_default=False)
]


def check_places(*paths: Path | None) -> None:
    """Refuse places that cannot be written, before anything runs."""
    from tidegate import files

    for path in paths:
        if path is not None:
            files.check_place(path)


def check_settings(settings: Settings) -> None:
    """Refuse rounds that never end, and more threads than there are cores."""
    for option, value, most in (
        ("--seconds", settings.seconds, 60),
        ("--rounds", settings.rounds, 1000),
        ("--threads", settings.threads, len(os.sched_getaffinity(0))),
    ):
        if not 0 < value <= most:
            raise InputError(
                "bad_option",
                f"{value} is not more than 0 and at most {most}",
                field=option,
                hint="leave it out",
            )


@contextmanager
def extras(names: str) -> Iterator[None]:
    """Name the extras when what they bring is not installed."""
    try:
        yield
    except ImportError as error:
        raise InputError(
            "missing_extra",
            f"{error.name} is not installed",
            hint=f"pip install 'tidegate[{names}]'",
        ) from error


def progress() -> Progress:
    """Return a bar on standard error: what runs, how much is done, how long it has taken."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True))


def measure(
    first: str,
    describe: Callable[[], Machine],
    cases: Sequence[CaseT],
    run: Callable[[CaseT], tuple[list[RowT], list[TimingT]]],
) -> tuple[Machine, list[RowT], list[TimingT]]:
    """Describe the machine and run the cases, under a bar that begins with `first`."""
    rows, timings = [], []
    with progress() as shown:
        bar = shown.add_task(first, total=len(cases))
        machine = describe()
        for case in cases:
            shown.update(bar, description=str(case))
            found, times = run(case)
            rows += found
            timings += times
            shown.advance(bar)
    return machine, rows, timings


def present(
    found: ResultsT,
    show: Callable[[ResultsT], None],
    draw: Callable[[Path, ResultsT], list[Path]],
    *,
    out: Path | None,
    json: Path | None = None,
    render: Callable[[ResultsT], str] | None = None,
) -> None:
    """Write results to `json`; show them, or `render` them as Markdown; draw them into `out`."""
    from tidegate.bench import results

    if json is not None:
        results.save(json, found)
    if render is None:
        show(found)
    else:
        typer.echo(render(found), nl=False)
    if out is not None:
        for path in draw(out, found):
            typer.echo(path)


def table(words: Iterable[str], numbers: Iterable[str], *, wrapped: str = "") -> Table:
    """Return an empty table for a terminal; of the columns of words, one may wrap."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    shown = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
    for name in words:
        shown.add_column(name, no_wrap=name != wrapped)
    for name in numbers:
        shown.add_column(name, justify="right", no_wrap=True)
    return shown
