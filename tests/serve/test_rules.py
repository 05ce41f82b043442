"""The sequence table, checked against a model of it that is too slow to be wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.serve import rules

K = 3
HOUR = 3600.0


class Stored(NamedTuple):
    seq: int
    payload_hash: int


@dataclass
class Known:
    status: Literal["live", "ended", "deleted", "expired"] = "live"
    seq: int = 0
    updated: float = 0.0
    answers: list[Stored] = field(default_factory=list)


def live(*hashes: int) -> Known:
    """A session whose events 1.. had these payloads; the last K are remembered."""
    stored = [Stored(seq, value) for seq, value in enumerate(hashes, start=1)]
    return Known(seq=len(stored), answers=stored[-K:])


@pytest.mark.parametrize(
    ("known", "seq", "payload_hash", "start", "outcome", "answered_seq", "expected"),
    [
        (None, None, 7, False, "begin", 1, None),
        (None, 1, 7, False, "begin", 1, None),
        (None, 1, 7, True, "begin", 1, None),
        (None, 2, 7, False, "seq_gap", 2, 1),
        (None, 2, 7, True, "seq_gap", 2, 1),
        (live(10), 2, 20, False, "step", 2, None),
        (live(10), None, 10, False, "step", 2, None),
        (live(10, 20, 30, 40), 4, 40, False, "repeat", 4, None),
        (live(10, 20, 30, 40), 2, 20, False, "repeat", 2, None),
        (live(10, 20, 30, 40), 2, 21, False, "payload_conflict", 2, 5),
        (live(10, 20, 30, 40), 1, 10, False, "seq_stale", 1, 5),
        (live(10, 20, 30), 5, 50, False, "seq_gap", 5, 4),
        (live(10, 20), None, 10, True, "begin_anew", 1, None),
        (live(10, 20), 1, 10, True, "begin_anew", 1, None),
        (live(10), 1, 11, True, "begin_anew", 1, None),
        (live(10), None, 10, True, "begin_anew", 1, None),
        (live(10), 1, 10, True, "repeat", 1, None),
        (live(10, 20), 3, 30, True, "seq_gap", 3, 1),
    ],
)
def test_the_table(
    known: Known | None,
    seq: int | None,
    payload_hash: int,
    start: bool,
    outcome: str,
    answered_seq: int,
    expected: int | None,
) -> None:
    verdict = rules.judge(known, seq=seq, payload_hash=payload_hash, start=start)
    assert (verdict.outcome, verdict.seq, verdict.expected) == (outcome, answered_seq, expected)
    if outcome == "repeat":
        assert known is not None
        assert verdict.answer is not None
        assert known.answers[verdict.answer].seq == answered_seq


@pytest.mark.parametrize("status", ["ended", "deleted", "expired"])
@pytest.mark.parametrize("seq", [None, 1, 3, 9])
def test_a_tombstone_refuses_until_it_is_begun_anew(status: str, seq: int | None) -> None:
    known = live(10, 20)
    known.status = status  # type: ignore[assignment]
    verdict = rules.judge(known, seq=seq, payload_hash=77)
    assert verdict.outcome == f"session_{status}"
    assert rules.judge(known, seq=None, payload_hash=77, start=True).outcome == "begin_anew"


def test_the_retry_of_the_last_event_finds_its_answer_after_the_end() -> None:
    known = live(10, 20)
    known.status = "ended"
    assert rules.judge(known, seq=2, payload_hash=20).outcome == "repeat"
    assert rules.judge(known, seq=2, payload_hash=21).outcome == "session_ended"


@pytest.mark.parametrize(
    ("known", "seq", "outcome", "expected"),
    [(None, 4, "seq_gap", 1), (live(1, 2), 3, "seq_gap", 3), (live(1), None, "previous_failed", 2)],
)
def test_after_a_failure_everything_fails(
    known: Known | None, seq: int | None, outcome: str, expected: int
) -> None:
    verdict = rules.judge_after_failure(known, seq)
    assert (verdict.outcome, verdict.expected) == (outcome, expected)
    assert rules.refusal(verdict, after_failure=True).to_dict() == {
        "code": outcome,
        "message": "an earlier event of this session in the same request failed",
        "field": "seq",
        "expected": expected,
        "hint": "correct that event, then send this one again",
    }


@pytest.mark.parametrize("status", ["ended", "deleted", "expired"])
def test_a_tombstone_stands_for_its_time(status: rules.Status) -> None:
    times = {"ttl_seconds": HOUR, "tombstone_seconds": 24 * HOUR}
    assert rules.standing(status, 100.0, 100.0 + 24 * HOUR - 1, **times) == status
    assert rules.standing(status, 100.0, 100.0 + 24 * HOUR, **times) is None


def test_a_silent_session_expires_and_is_forgotten_later() -> None:
    times = {"ttl_seconds": HOUR, "tombstone_seconds": 24 * HOUR}
    found = [
        rules.standing("live", 100.0, 100.0 + seconds, **times)
        for seconds in (0.0, HOUR - 1, HOUR, 25 * HOUR - 1, 25 * HOUR)
    ]
    assert found == ["live", "live", "expired", "expired", None]
    never = rules.standing("live", 0.0, 1e12, ttl_seconds=math.inf, tombstone_seconds=1.0)
    assert never == "live"


def test_a_refusal_says_what_to_do() -> None:
    error = rules.refusal(rules.judge(live(1, 2, 3), seq=5, payload_hash=0))
    assert error.to_dict() == {
        "code": "seq_gap",
        "message": "event 5 came where 4 was expected",
        "field": "seq",
        "expected": 4,
        "hint": "send the missing events first, in order",
    }


class Model:
    """A session as a list of everything that happened to it."""

    def __init__(self) -> None:
        self.payloads: list[int] = []  # of the events since it began, oldest first
        self.state: str = "unknown"

    def arrive(self, seq: int | None, payload: int, *, start: bool, end: bool) -> str:
        n = len(self.payloads)
        retry_of_start = (
            self.state != "unknown" and n == 1 and seq == 1 and payload == self.payloads[0]
        )
        if self.state == "unknown" or (start and not retry_of_start):
            if seq not in (None, 1):
                return "seq_gap"
            outcome = "begin" if self.state == "unknown" else "begin_anew"
            self.payloads, self.state = [payload], "ended" if end else "live"
            return outcome
        if start and retry_of_start and self.state in ("live", "ended"):
            return "repeat"
        if start:
            self.payloads, self.state = [payload], "ended" if end else "live"
            return "begin_anew"
        remembered = seq is not None and n - K < seq <= n and seq >= 1
        if self.state == "ended" and remembered and self.payloads[seq - 1] == payload:
            return "repeat"
        if self.state != "live":
            return f"session_{self.state}"
        if seq is None or seq == n + 1:
            self.payloads.append(payload)
            if end:
                self.state = "ended"
            return "step"
        if seq > n + 1:
            return "seq_gap"
        if not remembered:
            return "seq_stale"
        return "repeat" if self.payloads[seq - 1] == payload else "payload_conflict"


def apply(known: Known | None, verdict: rules.Verdict, payload: int, end: bool) -> Known | None:
    """What the processor makes of a verdict."""
    if verdict.outcome not in rules.STEPS:
        return known
    older = known.answers if known is not None and verdict.outcome == "step" else []
    return Known(
        status="ended" if end else "live",
        seq=verdict.seq,
        answers=[*older, Stored(verdict.seq, payload)][-K:],
    )


arrivals = st.tuples(
    st.one_of(st.none(), st.integers(1, 8)),
    st.integers(0, 2),
    st.sampled_from([False, False, False, True]),
    st.sampled_from([False, False, False, False, True]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(arrivals, st.sampled_from(["delete", "expire", "forget"])), max_size=40))
def test_the_rules_are_the_model(history: list[tuple[int | None, int, bool, bool] | str]) -> None:
    known: Known | None = None
    model = Model()
    for arrival in history:
        if arrival == "forget":
            known = None if known is not None and known.status != "live" else known
            model.state = "unknown" if model.state != "live" else model.state
        elif isinstance(arrival, str):
            if known is not None:
                status = {"delete": "deleted", "expire": "expired"}[arrival]
                known = Known(status=status, seq=known.seq)  # type: ignore[arg-type]
                model.state = status
        else:
            seq, payload, start, end = arrival
            verdict = rules.judge(known, seq=seq, payload_hash=payload, start=start)
            assert verdict.outcome == model.arrive(seq, payload, start=start, end=end)
            known = apply(known, verdict, payload, end)
            if known is not None and known.status in ("live", "ended"):
                assert known.seq == len(model.payloads)
