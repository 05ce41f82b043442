"""Schemas: raw fields to numbers and nothing else. NumPy only."""

from tidegate.schema.config import Field, SchemaConfig, Time
from tidegate.schema.fitted import Columns
from tidegate.schema.schema import Encoded, Schema
from tidegate.schema.typed import TypedEvent

__all__ = ["Columns", "Encoded", "Field", "Schema", "SchemaConfig", "Time", "TypedEvent"]
