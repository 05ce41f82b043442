"""Sequence rules: what an arriving event is to its session. No I/O, no clock, no numbers.

======================================= ============== ==========================================
arriving ``seq``                        same payload   verdict
======================================= ============== ==========================================
last + 1, or none given                                step
one of the last K                       yes            repeat: the stored answer, no step
one of the last K                       no             payload_conflict
older                                                  seq_stale
beyond last + 1                                        seq_gap
======================================= ============== ==========================================

An unknown session begins at its first event. ``start`` begins a session anew whatever went before,
with one exception: a ``start`` with the number 1, while the session stands at 1 with that very
payload, is the client's retry and gets the stored answer. (Beginning anew would end in the same
state; only the answer's time would differ.)

A number beyond last + 1 may wait a little for those before it (`reorder.Window`). A session that is
silent for too long expires, by time alone (`standing`).

An ended, deleted or expired session leaves a tombstone, which refuses events until it is forgotten.
One that ended keeps its last answers, so that the retry of its last event still finds its answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from tidegate.errors import SequenceError

__all__ = [
    "STEPS",
    "Known",
    "Outcome",
    "Status",
    "Stored",
    "Verdict",
    "gone",
    "judge",
    "judge_after_failure",
    "refusal",
    "standing",
]

Status = Literal["live", "ended", "deleted", "expired"]
"""What is left of a session: all of it, or why not."""

Outcome = Literal[
    "step",
    "begin",
    "begin_anew",
    "repeat",
    "payload_conflict",
    "seq_stale",
    "seq_gap",
    "previous_failed",
    "session_ended",
    "session_deleted",
    "session_expired",
]
STEPS: frozenset[Outcome] = frozenset({"step", "begin", "begin_anew"})
"""The verdicts after which the event is stepped."""


class Stored(Protocol):
    """One of the last K answered events of a session."""

    @property
    def seq(self) -> int:
        """Its number."""

    @property
    def payload_hash(self) -> int:
        """Hash of its payload."""


class Known(Protocol):
    """What is known of a session that is live or has left a tombstone."""

    @property
    def status(self) -> Status:
        """Live, or why not."""

    @property
    def seq(self) -> int:
        """Number of its last event."""

    @property
    def answers(self) -> Sequence[Stored]:
        """The last K of its answered events, the newest last."""


class Verdict(NamedTuple):
    """What to do with an event.

    Parameters
    ----------
    outcome : Outcome
        The rule that applies.
    seq : int
        The number that the event has or gets (0: it had none, and gets none).
    expected : int or None
        The number that would have been accepted, where the event has another.
    answer : int or None
        ``repeat``: index of the stored answer.
    """

    outcome: Outcome
    seq: int
    expected: int | None = None
    answer: int | None = None


def judge(
    known: Known | None,
    *,
    seq: int | None,
    payload_hash: int,
    start: bool = False,
) -> Verdict:
    """Say what an arriving event is to its session.

    Parameters
    ----------
    known : Known or None
        The session, as it is by now; None if it is unknown (see `standing`).
    seq : int or None
        The event's number, from 1, or none.
    payload_hash : int
        Hash of the event after typing.
    start : bool
        The event asks to begin the session anew.

    Examples
    --------
    >>> judge(None, seq=None, payload_hash=7)
    Verdict(outcome='begin', seq=1, expected=None, answer=None)
    >>> judge(None, seq=5, payload_hash=7)
    Verdict(outcome='seq_gap', seq=5, expected=1, answer=None)
    """
    if known is None:
        return _begin(seq, "begin")
    if start:
        retried = _find(known, seq, payload_hash) if seq == known.seq == 1 else None
        if retried is None or retried.outcome != "repeat":
            return _begin(seq, "begin_anew")
        return retried
    if known.status != "live":
        found = _find(known, seq, payload_hash) if known.status == "ended" else None
        if found is not None and found.outcome == "repeat":
            return found
        return gone(known.status, known.seq)
    following = known.seq + 1
    if seq is None or seq == following:
        return Verdict("step", following)
    if seq > following:
        return Verdict("seq_gap", seq, following)
    return _find(known, seq, payload_hash) or Verdict("seq_stale", seq, following)


def judge_after_failure(known: Known | None, seq: int | None) -> Verdict:
    """Say what an event is if an earlier one of its session in the same request failed.

    Examples
    --------
    >>> judge_after_failure(None, 2)
    Verdict(outcome='seq_gap', seq=2, expected=1, answer=None)
    """
    expected = known.seq + 1 if known is not None and known.status == "live" else 1
    if seq is None:
        return Verdict("previous_failed", 0, expected)
    return Verdict("seq_gap", seq, expected)


def gone(status: Literal["ended", "deleted", "expired"], seq: int) -> Verdict:
    """Say what refuses everything that asks for a session which has left a tombstone."""
    return Verdict(_GONE[status], seq)


_GONE: dict[str, Outcome] = {
    "ended": "session_ended",
    "deleted": "session_deleted",
    "expired": "session_expired",
}


def _begin(seq: int | None, outcome: Outcome) -> Verdict:
    if seq is not None and seq > 1:
        return Verdict("seq_gap", seq, 1)
    return Verdict(outcome, 1)


def _find(known: Known, seq: int | None, payload_hash: int) -> Verdict | None:
    for index, stored in enumerate(known.answers):
        if stored.seq == seq:
            if stored.payload_hash == payload_hash:
                return Verdict("repeat", stored.seq, None, index)
            return Verdict("payload_conflict", stored.seq, known.seq + 1)
    return None


def standing(
    status: Status, updated: float, now: float, *, ttl_seconds: float, tombstone_seconds: float
) -> Status | None:
    """Say what a session is by now: time alone makes it expire, and be forgotten.

    Parameters
    ----------
    status : Status
        What it was when it last changed.
    updated : float
        When that was, unix seconds by the server's clock.
    now : float
        Unix seconds.
    ttl_seconds : float
        How long a session may be silent before it expires.
    tombstone_seconds : float
        How long a tombstone stands, that of an expired session from its expiry on.

    Returns
    -------
    Status or None
        None: it is forgotten, and so unknown.

    Examples
    --------
    >>> for now in (9.0, 10.0, 14.0, 15.0):
    ...     print(standing("live", 0.0, now, ttl_seconds=10.0, tombstone_seconds=5.0))
    live
    expired
    expired
    None
    """
    if status == "live":
        if now - updated < ttl_seconds:
            return "live"
        status, updated = "expired", updated + ttl_seconds
    return None if now - updated >= tombstone_seconds else status


def refusal(verdict: Verdict, *, after_failure: bool = False) -> SequenceError:
    """Return the error that words a verdict which is neither a step nor a repeat.

    Parameters
    ----------
    verdict : Verdict
        From `judge`, `gone` or `judge_after_failure`.
    after_failure : bool
        It is from `judge_after_failure`: the number may be right, and only come too late.
    """
    message, hint = _WORDS["previous_failed" if after_failure else verdict.outcome]
    return SequenceError(
        verdict.outcome,
        message.format(seq=verdict.seq, expected=verdict.expected),
        field="seq" if verdict.expected is not None else "session",
        expected=verdict.expected,
        hint=hint,
    )


_WORDS: dict[Outcome, tuple[str, str]] = {
    "payload_conflict": (
        "event {seq} was answered before, with another payload",
        "a retry must repeat its event exactly; a new event takes the expected number",
    ),
    "seq_stale": (
        "event {seq} is older than the answers that are kept",
        "it was applied before or never will be; go on with the expected number",
    ),
    "seq_gap": (
        "event {seq} came where {expected} was expected",
        "send the missing events first, in order",
    ),
    "previous_failed": (
        "an earlier event of this session in the same request failed",
        "correct that event, then send this one again",
    ),
    "session_ended": (
        "the session has ended",
        'send "start": true to begin it anew, or use another id',
    ),
    "session_deleted": (
        "the session was deleted",
        'send "start": true to begin it anew, or use another id',
    ),
    "session_expired": (
        "the session expired",
        'send "start": true to begin it anew, or use another id',
    ),
}
