"""One session's bytes: what is kept of a session, and its codec."""

from __future__ import annotations

from tidegate.record.codec import FORMAT, decode, encode
from tidegate.record.record import Record, Status, StoredAnswer

__all__ = ["FORMAT", "Record", "Status", "StoredAnswer", "decode", "encode"]
