"""HTTP statuses of errors."""

from __future__ import annotations

from tidegate.errors import TidegateError

__all__ = ["STATUSES", "status_of"]

STATUSES = {
    "unauthorized": 401,
    "model_unknown": 404,
    "session_unknown": 404,
    "route_unknown": 404,
    "method_not_allowed": 405,
    "body_timeout": 408,
    "payload_conflict": 409,
    "seq_stale": 409,
    "seq_gap": 409,
    "previous_failed": 409,
    "session_ended": 410,
    "session_deleted": 410,
    "session_expired": 410,
    "length_required": 411,
    "body_too_large": 413,
    "line_too_long": 413,
    "too_many_events": 413,
    "arrow_missing": 415,
    "internal": 500,
    "record_damaged": 500,
    "draining": 503,
    "overloaded": 503,
    "store_failed": 503,
    "too_many_connections": 503,
    "deadline_exceeded": 504,
}
"""HTTP status of an error by its code; 400 for all others."""


def status_of(error: TidegateError) -> int:
    """Return the HTTP status of an error."""
    return STATUSES.get(error.code, 400)
