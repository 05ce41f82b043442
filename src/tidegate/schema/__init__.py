"""The contract that turns the raw fields of an event into numbers, and remembers what it needs.

Configured by the user (`SchemaConfig`), fitted on training rows (`Schema.fit`), stored in the
bundle (`Schema.to_dict`), and run unchanged in serving. NumPy and the C core only.
"""

from tidegate.schema.columns import Columns
from tidegate.schema.config import Field, SchemaConfig, Time
from tidegate.schema.encode import Encoded
from tidegate.schema.schema import Schema
from tidegate.schema.typed import TypedEvent

__all__ = ["Columns", "Encoded", "Field", "Schema", "SchemaConfig", "Time", "TypedEvent"]
