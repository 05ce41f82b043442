"""Which counters a batch moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from tidegate.errors import TidegateError
from tidegate.metrics import OUTCOMES, GateMetrics
from tidegate.serve.operations import Answer, Event, Operation, Result

__all__ = ["KINDS", "count"]

KINDS = {
    "seq_gap": "gap",
    "seq_stale": "stale",
    "payload_conflict": "conflict",
    "session_ended": "ended",
    "session_deleted": "deleted",
    "session_expired": "expired",
    "record_damaged": "record_damaged",
}
"""Which errors count as a break of continuity, and as which."""


def count(
    metrics: GateMetrics,
    model: str,
    operations: Sequence[Operation],
    results: Sequence[Result],
    kinds: Iterable[str],
) -> None:
    """Count what became of a batch.

    Parameters
    ----------
    metrics : GateMetrics
        Where to.
    model : str
        Whose sessions.
    operations, results : sequence
        One of each.
    kinds : iterable of str
        Breaks of continuity that are no errors: a session that began anew, a time that went back.
    """
    broken = Counter(kinds)
    outcomes: Counter[str] = Counter()
    for operation, result in zip(operations, results, strict=True):
        if not isinstance(operation, Event):
            continue  # to look breaks nothing
        outcomes[_outcome(result)] += 1
        if isinstance(result, TidegateError) and result.code in KINDS:
            broken[KINDS[result.code]] += 1
    for outcome, n in outcomes.items():
        metrics.count_event(model, outcome, n)
    for kind, n in broken.items():
        metrics.count_continuity(model, kind, n)


def _outcome(result: Result) -> str:
    if isinstance(result, Answer):
        return "repeat" if result.duplicate else "answered"
    code = result.code if isinstance(result, TidegateError) else "internal"
    return code if code in OUTCOMES else "bad_input"
