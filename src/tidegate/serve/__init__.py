"""The gate: sequence rules, micro-batches, durable sessions, HTTP."""

from tidegate.serve.server import ServeSettings, leave, serve

__all__ = ["ServeSettings", "leave", "serve"]
