"""Which counters a batch moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tidegate.errors import TidegateError
from tidegate.metrics import OUTCOMES, GateMetrics
from tidegate.serve import bits
from tidegate.serve.operations import Answer, Delete, Operation, Read, Result

if TYPE_CHECKING:
    from tidegate.core import Processed

__all__ = ["KINDS", "count_codes", "count_marks", "count_results"]

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

_MARKS = (
    (bits.RESET, "reset"),
    (bits.BACKWARDS, "time_backwards"),
    (bits.ANEW_LIVE, "start_on_live"),
    (bits.ANEW_TOMBSTONE, "start_on_tombstone"),
    (bits.ANEW_DAMAGED, "record_damaged"),
)
"""Which marks of an event that was stepped count as one."""


def count_results(
    metrics: GateMetrics,
    model: str,
    operations: Iterable[Operation],
    results: Sequence[Result],
) -> None:
    """Count what became of the operations of a batch.

    Parameters
    ----------
    metrics : GateMetrics
        Where to.
    model : str
        Whose sessions.
    operations, results : sequence
        One of each.
    """
    events = [
        result
        for operation, result in zip(operations, results, strict=True)
        if type(operation) is not Read and type(operation) is not Delete  # to look breaks nothing
    ]
    errors = [result for result in events if isinstance(result, TidegateError)]
    answers = [result for result in events if isinstance(result, Answer)]
    repeats = sum(result.duplicate for result in answers)
    _count(metrics, model, len(answers) - repeats, repeats, errors)


def count_codes(
    metrics: GateMetrics, model: str, processed: Processed, errors: Mapping[int, TidegateError]
) -> None:
    """Count what became of a batch of columns."""
    answered = len(processed.codes) - len(errors)
    repeats = int(np.count_nonzero(processed.marks & bits.DUPLICATE))
    _count(metrics, model, answered - repeats, repeats, errors.values())


def count_marks(metrics: GateMetrics, model: str, processed: Processed) -> None:
    """Count breaks of continuity that are no errors: a session that began anew, say."""
    if not processed.marks.any():
        return
    first = processed.marks[(processed.marks & bits.DUPLICATE) == 0]
    for bit, kind in _MARKS:
        n = int(np.count_nonzero(first & bit))
        if n:
            metrics.count_continuity(model, kind, n)


def _count(
    metrics: GateMetrics, model: str, answered: int, repeats: int, errors: Iterable[TidegateError]
) -> None:
    if answered:
        metrics.count_event(model, "answered", answered)
    if repeats:
        metrics.count_event(model, "repeat", repeats)
    for code, n in Counter(error.code for error in errors).items():
        metrics.count_event(model, code if code in OUTCOMES else "bad_input", n)
        if code in KINDS:
            metrics.count_continuity(model, KINDS[code], n)
