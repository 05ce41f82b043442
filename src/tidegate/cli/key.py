"""``tidegate key``: who may talk to a server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.verbs import verb, write_json
from tidegate.errors import InputError

__all__ = ["NAME", "app"]

NAME = "key"
app = typer.Typer(help="The API keys of a server.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="Of the key: who has it.", show_default=False)]
FileOption = Annotated[
    Path | None,
    typer.Option(help="File of the keys. Default: the setting api_keys.", show_default=False),
]


@app.command("new", epilog="Example:  tidegate key new dashboard --file keys.toml")
@verb
def new(name: NameArgument, file: FileOption = None) -> None:
    """Make a key and print its token, this once: the file keeps a hash of it."""
    from tidegate.serve import auth

    path = _file(file)
    token = auth.add_key(path, name)
    sys.stdout.write(token + "\n")
    typer.echo(
        f"The hash is in {path}. A server that runs takes it on SIGHUP. Clients send the header "
        "'Authorization: Bearer TOKEN'.",
        err=True,
    )


@app.command("list", epilog="Example:  tidegate key list --file keys.toml")
@verb
def list_(
    file: FileOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the names of the keys."""
    from tidegate.serve import auth

    names = auth.key_names(_file(file))
    if json:
        write_json(names)
    else:
        sys.stdout.write("".join(name + "\n" for name in names))


@app.command("remove", epilog="Example:  tidegate key remove dashboard --file keys.toml")
@verb
def remove(name: NameArgument, file: FileOption = None) -> None:
    """Forget a key. A server that runs goes on taking it until it gets SIGHUP."""
    from tidegate.serve import auth

    auth.remove_key(_file(file), name)


def _file(given: Path | None) -> Path:
    from tidegate.serve.sources import gather

    path = given or gather().values["api_keys"]
    if not path:
        raise InputError(
            "missing_option",
            "nobody says which file holds the keys",
            field="--file",
            hint="give --file FILE, or the setting api_keys (TIDEGATE_API_KEYS)",
        )
    return Path(path)
