"""A session's record as events change it, in plain Python: what a table has to write."""

from __future__ import annotations

import msgspec
import numpy as np

from tidegate.record import Record, StoredAnswer
from tidegate.serve.limits import Limits

NO_ENCODER = np.empty(0, dtype=np.float64)
NO_HIDDEN = np.empty(0, dtype=np.float32)


def kept(answers: tuple[StoredAnswer, ...], limits: Limits) -> tuple[StoredAnswer, ...]:
    """Return the last answers that the limits allow, the newest last."""
    first, total = len(answers), 0
    for stored in reversed(answers[-limits.answers :]):
        total += len(stored.answer)
        if total > limits.answer_bytes and first < len(answers):
            break
        first -= 1
    return answers[first:]


def blank(now: float, fingerprint: bytes, model_version: str) -> Record:
    """Return the record of a session of which nothing is known."""
    times = (now, now, now)
    return Record("live", fingerprint, model_version, 0, *times, NO_ENCODER, NO_HIDDEN)


def stepped(
    known: Record, stored: StoredAnswer, model_version: str, now: float, limits: Limits
) -> Record:
    """Return a session's record after an event that was answered; it lacks the states."""
    answers = known.answers
    if model_version != known.model_version:
        # The record names one version, the last; what another one said must still say so.
        answers = tuple(
            msgspec.structs.replace(old, model_version=old.model_version or known.model_version)
            for old in answers
        )
    return msgspec.structs.replace(
        known,
        model_version=model_version,
        seq=stored.seq,
        time=stored.time,
        updated=now,
        encoder=NO_ENCODER,
        hidden=NO_HIDDEN,
        answers=kept((*answers, stored), limits),
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
