"""``tidegate check``: whether a result can be trusted, before it is made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.findings import failed, show
from tidegate.cli.verbs import verb, write_json

__all__ = ["NAME", "app"]

NAME = "check"
app = typer.Typer(
    help="What would make a result too good to be true, before it is made.", no_args_is_help=True
)


@app.command(
    "data",
    epilog="Examples:  tidegate check data train.toml  |  tidegate check data train.toml --json",
)
@verb
def data(
    config: Annotated[
        Path, typer.Argument(help="As `tidegate train` takes it: a .toml file.", show_default=False)
    ],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Name fields that give the label away, sessions in two parts, and labels that are too few.

    Nothing is trained or written. Exits with 6 if something was found; notes do not count.
    """
    from tidegate.data.check import examine
    from tidegate.train import load_config
    from tidegate.train.parts import for_check

    parts = for_check(load_config(config))
    findings = examine(parts)
    sizes = {
        name: {"sessions": len(table.sessions), "events": table.n_events}
        for name, table in parts.tables.items()
    }
    if json:
        write_json({"parts": sizes, "findings": findings})
    else:
        listed = "; ".join(
            f"{name}: {size['sessions']:,} sessions, {size['events']:,} events"
            for name, size in sizes.items()
        )
        show(f"{config}: {listed}", findings, "clean", "nothing was found in these data")
    failed(findings)
