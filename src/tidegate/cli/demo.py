"""``tidegate demo``: the main job, end to end, on real data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.verbs import CHECK_FAILED, verb
from tidegate.errors import InputError

__all__ = ["EXAMPLES", "NAME", "command"]

NAME = "demo"
EXAMPLES = "Example:  tidegate demo --out build/demo"


@verb
def command(
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("build/demo"),
    examples: Annotated[
        Path, typer.Option(help="Folder of the examples; they come with the source.")
    ] = Path("examples"),
) -> None:
    """Train on 336,776 flights, serve, kill the server twice, check every answer."""
    import subprocess
    import sys

    script = examples / "flights" / "run.py"
    if not script.is_file():
        raise InputError(
            "missing_example",
            f"there is no {str(script)!r} here",
            field="--examples",
            hint="run this in a checkout of the source, or give --examples DIR",
        )
    done = subprocess.run([sys.executable, str(script), "--out", str(out)], check=False)  # noqa: S603
    if done.returncode:
        raise typer.Exit(CHECK_FAILED if done.returncode == 1 else done.returncode)
