"""``tidegate inspect``: what is in a bundle, and whether it runs here."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tidegate.cli.events import BundleArgument
from tidegate.cli.verbs import verb, write_json

__all__ = ["EXAMPLES", "NAME", "command"]

NAME = "inspect"
EXAMPLES = "Examples:  tidegate inspect build/demo/bundle  |  tidegate inspect BUNDLE --json"


@verb
def command(
    bundle: BundleArgument,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Verify a bundle to the byte, replay its test vectors and print its card."""
    import msgspec

    from tidegate import bundle as bundles
    from tidegate.engine import offline

    loaded = bundles.load(bundle)
    offline.open(loaded)
    if not json:
        from rich.console import Console
        from rich.markdown import Markdown

        console = Console()
        console.print(Markdown((bundle / "card.md").read_text()))
        console.print(
            f"\n[green]verified[/green]: every file's hash, and the test vectors "
            f"on this machine, in {loaded.precision}; fingerprint {loaded.fingerprint.hex()[:16]}"
        )
        return
    report: dict[str, Any] = {
        "name": loaded.name,
        "version": loaded.version,
        "fingerprint": loaded.fingerprint.hex(),
        "parameters": loaded.spec.parameters,
        "precision": loaded.precision,
        "spec": msgspec.to_builtins(loaded.spec),
        "streams": loaded.spec.streams,
        "task": msgspec.to_builtins(loaded.task),
        "schema": loaded.schema.to_dict(),
        "provenance": dict(loaded.provenance),
        "verified": True,
    }
    write_json(report)
