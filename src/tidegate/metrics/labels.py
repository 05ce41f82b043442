"""The values that labels may have: fixed lists, so that no request can make a new series."""

from __future__ import annotations

__all__ = ["CONTINUITY_KINDS", "OUTCOMES", "REFUSALS", "REORDERS", "TRANSPORTS"]

OUTCOMES = (
    "answered",
    "repeat",
    "payload_conflict",
    "seq_stale",
    "seq_gap",
    "session_ended",
    "session_deleted",
    "session_expired",
    "previous_failed",
    "deadline_exceeded",
    "bad_input",
    "line_cut",
    "not_finite_output",
    "record_damaged",
    "store_failed",
    "overloaded",
    "draining",
    "internal",
)
"""What can become of an event; the values of the label ``outcome``."""

CONTINUITY_KINDS = (
    "gap",
    "stale",
    "conflict",
    "ended",
    "deleted",
    "expired",
    "start_on_live",
    "start_on_tombstone",
    "reset",
    "record_damaged",
    "time_backwards",
)
"""What can break a session's thread, or looks like it; the values of the label ``kind``."""

REFUSALS = (
    "route_unknown",
    "model_unknown",
    "session_unknown",
    "method_not_allowed",
    "unauthorized",
    "bad_session_id",
    "bad_json",
    "body_timeout",
    "body_too_large",
    "too_many_events",
    "length_required",
    "too_many_connections",
    "overloaded",
    "draining",
    "internal",
)
"""What can refuse a whole request, events or none; the values of the label ``code``."""

TRANSPORTS = ("http", "ndjson", "arrow", "websocket")
"""How events come in; the values of the label ``transport``."""

REORDERS = ("held", "released", "timed_out", "window_full")
"""What becomes of an event that came early; the values of the label ``outcome``."""
