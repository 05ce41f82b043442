"""The application that the verbs hang on."""

from __future__ import annotations

from typing import Annotated

import typer

from tidegate import __version__
from tidegate.cli import (
    bench,
    check,
    compare,
    compress,
    config,
    datasets,
    demo,
    doctor,
    embed,
    evaluate,
    generate,
    inspect,
    key,
    report,
    score,
    serve,
    store,
    train,
    tune,
)

__all__ = ["app"]

app = typer.Typer(
    name="tidegate",
    help="Train gated recurrent models on streams of events, and serve them with a memory per "
    "session that survives.",
    epilog="Exit codes: 0 done, 1 a bug, 2 wrong usage, 3 bad input, 4 a bundle that is damaged or "
    "cannot be run, 5 the store, 6 a check that failed, 130 after Ctrl-C.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for verb in (
    *(train, tune, compare, doctor, evaluate, report, inspect),
    *(compress, score, embed, generate, serve, config, demo),
):
    app.command(verb.NAME, epilog=verb.EXAMPLES)(verb.command)
app.add_typer(check.app, name=check.NAME)
app.add_typer(datasets.app, name=datasets.NAME)
app.add_typer(key.app, name=key.NAME)
app.add_typer(bench.app, name=bench.NAME)
app.add_typer(store.app, name=store.NAME)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tidegate {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    pass
