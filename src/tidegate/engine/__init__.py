"""Engines: run a bundle for many sessions, step by step.

`Engine.open(bundle)` gives the native engine (the C core); ``backend="reference"`` the float64
NumPy one that every other is tested against.
"""

from tidegate.engine.engine import Backend, Engine
from tidegate.engine.state import SessionState, Stepped

__all__ = ["Backend", "Engine", "SessionState", "Stepped"]
