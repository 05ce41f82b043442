"""What is kept of sessions, and for how long."""

from __future__ import annotations

import math

import msgspec

__all__ = ["Limits"]


class Limits(msgspec.Struct, frozen=True):
    """What is kept of sessions, and for how long.

    Parameters
    ----------
    answers : int
        K: how many answers of a session are kept for retries; at least 1.
    answer_bytes : int
        Bound on their bytes; the last answer is always kept.
    ttl_seconds : float
        How long a session may be silent before it expires.
    tombstone_seconds : float
        How long an ended, deleted or expired session is remembered as such.
    cached_sessions : int
        How many sessions are held in memory; the others are read again when they are needed.
    memory_bytes : int
        Bound on the memory of those; 0: none but their number.
    tenant : str
        First part of the store's keys.
    """

    answers: int = 8
    answer_bytes: int = 16_384
    ttl_seconds: float = math.inf
    tombstone_seconds: float = 24 * 3600.0
    cached_sessions: int = 100_000
    memory_bytes: int = 0
    tenant: str = "default"
