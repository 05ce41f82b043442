"""A session's record as events change it. Pure functions; nothing here is durable yet."""

from __future__ import annotations

import msgspec
import numpy as np

from tidegate.record import Record, StoredAnswer
from tidegate.serve.operations import Answer, SessionView

__all__ = [
    "Limits",
    "blank",
    "kept",
    "repeat",
    "stepped",
    "tombstone",
    "view",
]

NO_ENCODER = np.empty(0, dtype=np.float64)
NO_HIDDEN = np.empty(0, dtype=np.float32)


class Limits(msgspec.Struct, frozen=True):
    """What is kept of sessions, and for how long.

    Parameters
    ----------
    answers : int
        K: how many answers of a session are kept for retries; at least 1.
    answer_bytes : int
        Bound on their bytes; the last answer is always kept.
    tombstone_seconds : float
        How long an ended, deleted or expired session is remembered as such.
    cached_sessions : int
        How many sessions are held in memory; the others are read again when they are needed.
    tenant : str
        First part of the store's keys.
    """

    answers: int = 8
    answer_bytes: int = 16_384
    tombstone_seconds: float = 24 * 3600.0
    cached_sessions: int = 100_000
    tenant: str = "default"


def kept(answers: tuple[StoredAnswer, ...], limits: Limits) -> tuple[StoredAnswer, ...]:
    """Return the last answers that the limits allow, the newest last.

    Examples
    --------
    >>> answers = tuple(StoredAnswer(seq, 0, 0.0, b"x" * 10) for seq in (1, 2, 3, 4))
    >>> [stored.seq for stored in kept(answers, Limits(answers=3, answer_bytes=25))]
    [3, 4]
    """
    first, total = len(answers), 0
    for stored in reversed(answers[-limits.answers :]):
        total += len(stored.answer)
        if total > limits.answer_bytes and first < len(answers):
            break
        first -= 1
    return answers[first:]


def blank(now: float, fingerprint: bytes, model_version: str) -> Record:
    """Return the record of a session of which nothing is known."""
    return Record(
        status="live",
        fingerprint=fingerprint,
        model_version=model_version,
        seq=0,
        time=now,
        created=now,
        updated=now,
        encoder=NO_ENCODER,
        hidden=NO_HIDDEN,
        answer_state=b"",
        answers=(),
        events=(),
        unknown=(),
    )


def stepped(
    known: Record,
    stored: StoredAnswer,
    model_version: str,
    now: float,
    limits: Limits,
    *,
    ends: bool,
) -> Record:
    """Return a session's record after an event that was answered; the engine has its memory."""
    answers = known.answers
    if model_version != known.model_version:
        # The record names one version, the last; what another one said must still say so.
        answers = tuple(
            msgspec.structs.replace(old, model_version=old.model_version or known.model_version)
            for old in answers
        )
    return msgspec.structs.replace(
        known,
        status="ended" if ends else "live",
        model_version=model_version,
        seq=stored.seq,
        time=stored.time,
        updated=now,
        encoder=NO_ENCODER,
        hidden=NO_HIDDEN,
        answers=kept((*answers, stored), limits),
    )


def repeat(session: str, known: Record, stored: StoredAnswer) -> Answer:
    """Return the answer to an event that was answered before."""
    return Answer(
        session=session,
        seq=stored.seq,
        time=stored.time,
        model_version=stored.model_version or known.model_version,
        answer=msgspec.Raw(stored.answer),
        duplicate=True,
        session_reset=stored.reset,
    )


def tombstone(known: Record, now: float) -> Record:
    """Return what is left of a session that is deleted: that it was, and how far it had come."""
    return msgspec.structs.replace(
        known,
        status="deleted",
        updated=now,
        encoder=NO_ENCODER,
        hidden=NO_HIDDEN,
        answer_state=b"",
        answers=(),
        events=(),
        unknown=(),
    )


def view(session: str, known: Record) -> SessionView:
    """Return what is told of a session."""
    return SessionView(
        session=session,
        status=known.status,
        seq=known.seq,
        time=known.time,
        created=known.created,
        updated=known.updated,
        model_version=known.model_version,
    )
