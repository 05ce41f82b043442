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
    import signal
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
    running = subprocess.Popen([sys.executable, str(script), "--out", str(out)])  # noqa: S603
    # A Ctrl-C reaches the demo as well: it stops its server, and is waited for.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    status = running.wait()
    if status:
        raise typer.Exit(CHECK_FAILED if status == 1 else status)
