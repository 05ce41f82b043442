"""``tidegate config``: what a server's settings are, and where each comes from."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

from tidegate.cli.settings import ConfigOption, with_settings
from tidegate.cli.verbs import verb

__all__ = ["EXAMPLES", "NAME", "command"]

NAME = "config"
EXAMPLES = (
    "Examples:  tidegate config  |  tidegate config --config gate.toml --port 9000  |  "
    "tidegate config --store state > gate.toml"
)


@with_settings
@verb
def command(flags: dict[str, Any], config: ConfigOption = None) -> None:
    """Print the settings that 'tidegate serve' would have, as TOML, checked.

    Each line says where its setting came from, and what it means.
    """
    from tidegate.serve.sources import gather

    found = gather(config, flags=flags)
    # Without a store there is something to look at, but nothing to serve.
    dataclasses.replace(found, values={"store": "memory:", **found.values}).settings()
    sys.stdout.write(found.to_toml())
