"""The gate: sequence rules, micro-batches, durable sessions, HTTP."""

from tidegate.serve.server import ServeSettings, serve

__all__ = ["ServeSettings", "serve"]
