"""Gated recurrent models on streams of events: train, bundle, serve with a memory that survives."""

__version__ = "0.1.0"
