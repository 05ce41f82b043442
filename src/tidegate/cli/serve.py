"""``tidegate serve``: a bundle over HTTP, with a memory per session that survives."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from tidegate.cli.events import BundleArgument
from tidegate.cli.verbs import verb

__all__ = ["EXAMPLES", "NAME", "command"]

NAME = "serve"
EXAMPLES = (
    "Examples:  tidegate serve BUNDLE --store state/  |  "
    "tidegate serve BUNDLE --store state/ --port 9000 --on-new-model reset"
)


@verb
def command(
    bundle: BundleArgument,
    store: Annotated[
        str, typer.Option(help="Folder of the sessions' memory, or 'memory:' to forget it at exit.")
    ],
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = 8700,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    on_new_model: Annotated[
        Literal["refuse", "reset"],
        typer.Option(
            help="What to do with sessions of another bundle: refuse to start, or begin "
            "each anew at its next event."
        ),
    ] = "refuse",
    grace: Annotated[
        float,
        typer.Option(help="Seconds that requests in flight may take to end after SIGTERM.", min=0),
    ] = 10.0,
) -> None:
    """Serve a bundle. Every answer that leaves is already durable in the store."""
    from tidegate import serve

    serve.serve(
        bundle,
        serve.ServeSettings(
            store=store, port=port, host=host, on_new_model=on_new_model, grace_seconds=grace
        ),
    )
    serve.leave()
