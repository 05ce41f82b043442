"""Events in and out: CSV, Parquet, and any pandas, polars or Arrow frame.

Importing this room is cheap: the first call loads polars and narwhals (the extra ``tables``).
"""

from tidegate.instants import seconds
from tidegate.tables.reading import read
from tidegate.tables.table import EventTable, naming_rows
from tidegate.tables.writing import write

__all__ = ["EventTable", "naming_rows", "read", "seconds", "write"]
