"""``tidegate store``: copies of a store, checks of it, its sessions as a table."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.verbs import CHECK_FAILED, verb, write_json

__all__ = ["NAME", "app"]

NAME = "store"
app = typer.Typer(
    help="Copies of a store, checks of it, its sessions as a table.", no_args_is_help=True
)

StoreArgument = Annotated[Path, typer.Argument(help="A store's folder.", show_default=False)]
TargetArgument = Annotated[
    Path, typer.Argument(help="An empty folder or a new one.", show_default=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@contextmanager
def _progress(what: str, hidden: bool) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on standard error, where somebody looks at it."""
    from rich.console import Console
    from rich.progress import Progress

    shown = not hidden and sys.stderr.isatty()
    with Progress(console=Console(stderr=True), transient=True, disable=not shown) as bars:
        bar = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(bar, completed=done, total=total)


@app.command("backup", epilog="Example:  tidegate store backup sessions /backup/sessions-monday")
@verb
def backup(store: StoreArgument, target: TargetArgument, json: JsonOption = False) -> None:
    """Copy a store as it is now. The server may go on meanwhile."""
    from tidegate.store.backup import backup as copy

    with _progress("copying", json) as progress:
        size = copy(store, target, progress)
    _say(json, {"path": str(target), "bytes": size}, f"{target}: {size:,} bytes")


@app.command("restore", epilog="Example:  tidegate store restore /backup/sessions-monday sessions")
@verb
def restore(
    backup: Annotated[Path, typer.Argument(help="The copy's folder.", show_default=False)],
    target: TargetArgument,
    json: JsonOption = False,
) -> None:
    """Make a store from a copy, after looking at every byte of it."""
    from tidegate.store.backup import restore as copy

    with _progress("copying", json) as progress:
        size = copy(backup, target, progress)
    _say(json, {"path": str(target), "bytes": size}, f"{target}: {size:,} bytes")


@app.command("verify", epilog="Example:  tidegate store verify sessions --json")
@verb
def verify(store: StoreArgument, json: JsonOption = False) -> None:
    """Read every frame and every record; name those that are damaged (exit code 6).

    The server may go on meanwhile.
    """
    import msgspec

    from tidegate.store.verify import verify as look

    with _progress("reading", json) as progress:
        report = look(store, progress)
    if json:
        write_json(msgspec.to_builtins(report))
    else:
        for damage in report.damaged:
            whose = "/".join(damage.session) if damage.session else "unknown"
            typer.echo(f"{damage.file} at byte {damage.offset}, session {whose}: {damage.what}")
        typer.echo(
            f"{report.frames:,} frames, {report.sessions:,} sessions, {len(report.damaged)} damaged"
        )
    if report.damaged:
        raise typer.Exit(CHECK_FAILED)


@app.command("export", epilog="Example:  tidegate store export sessions sessions.parquet")
@verb
def export(
    store: StoreArgument,
    out: Annotated[Path, typer.Argument(help="A .parquet file to write.", show_default=False)],
    json: JsonOption = False,
) -> None:
    """Write the sessions to a Parquet file. The server may go on meanwhile."""
    from tidegate.store.exchange import export as write

    sessions = write(store, out)
    _say(json, {"path": str(out), "sessions": sessions}, f"{out}: {sessions:,} sessions")


@app.command("import", epilog="Example:  tidegate store import sessions.parquet sessions")
@verb
def import_(
    file: Annotated[Path, typer.Argument(help="A file that `export` wrote.", show_default=False)],
    store: Annotated[
        Path, typer.Argument(help="A store's folder; made if new.", show_default=False)
    ],
    json: JsonOption = False,
) -> None:
    """Put the sessions of a file into a store that no server has open."""
    from tidegate.store.exchange import import_sessions

    sessions = import_sessions(file, store)
    _say(json, {"path": str(store), "sessions": sessions}, f"{store}: {sessions:,} sessions")


def _say(json: bool, members: dict[str, object], text: str) -> None:
    if json:
        write_json(members)
    else:
        typer.echo(text)
