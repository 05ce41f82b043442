"""Bits by which the session table is told of events, and tells of them (native/sessions.h)."""

from __future__ import annotations

__all__ = [
    "AFTER_FAILURE",
    "ANEW_DAMAGED",
    "ANEW_LIVE",
    "ANEW_TOMBSTONE",
    "BACKWARDS",
    "DUPLICATE",
    "END",
    "ENDED",
    "REFUSED",
    "RESET",
    "START",
]

START, END, REFUSED = 1, 2, 4
"""Flags: begin the session anew; end it; the event was refused on the way in."""

DUPLICATE = 1
RESET = 2
"""The session began anew, because it belonged to another model."""
BACKWARDS = 4
"""The event's time is before the session's last."""
ANEW_LIVE, ANEW_TOMBSTONE, ANEW_DAMAGED = 8, 16, 32
"""`START` replaced a live session, a tombstone, a damaged record."""
ENDED = 64
AFTER_FAILURE = 128
"""An earlier event of the session in the same request failed."""
