"""The gate: sequence rules, micro-batches, durable sessions, HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidegate.serve.config import ServeSettings

if TYPE_CHECKING:
    from tidegate.serve.server import leave, serve

__all__ = ["ServeSettings", "leave", "serve"]


def __getattr__(name: str) -> Any:
    # The command line makes its flags of the settings: it should not load a server for that.
    if name in ("leave", "serve"):
        from tidegate.serve import server

        return getattr(server, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
