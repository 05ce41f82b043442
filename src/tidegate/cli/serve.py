"""``tidegate serve``: a bundle over HTTP, with a memory per session that survives."""

from __future__ import annotations

from typing import Any

from tidegate.cli.events import BundleArgument
from tidegate.cli.settings import ConfigOption, with_settings
from tidegate.cli.verbs import verb

__all__ = ["EXAMPLES", "NAME", "command"]

NAME = "serve"
EXAMPLES = (
    "Examples:  tidegate serve BUNDLE --store state/  |  "
    "tidegate serve BUNDLE --store state/ --port 9000 --on-new-model reset  |  "
    "tidegate serve BUNDLE --config gate.toml"
)


@with_settings
@verb
def command(bundle: BundleArgument, flags: dict[str, Any], config: ConfigOption = None) -> None:
    """Serve a bundle. Every answer that leaves is already durable in the store.

    Settings come from a TOML file, then the environment (TIDEGATE_PORT and so on), then flags; the
    later ones win. 'tidegate config' shows what that gives.
    """
    from tidegate import serve
    from tidegate.serve.sources import gather

    serve.serve(bundle, gather(config, flags=flags).settings())
    serve.leave()
