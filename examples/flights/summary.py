"""The demo in numbers, and whether they are as they must be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from check import Compared, Finding
from stream import Streamed

__all__ = ["NO_HISTORY", "Summary", "failures", "summarise"]

NO_HISTORY = (
    "gru_memory_reset",
    "gru_trained_without_memory",
    "logistic_no_history",
    "gradient_boosting_no_history",
)
"""The models that see the flight asked about, and nothing before it."""

LEAST_GAIN = 0.015
"""How much AUC the memory must be worth."""


class Summary(msgspec.Struct, frozen=True):
    """What ``build/demo/summary.json`` holds.

    Parameters
    ----------
    events, sessions : int
        Streamed.
    kills : int
        How often the server was killed with SIGKILL.
    in_flight_at_kill : tuple of int
        Requests that were on their way at each kill, and whose answer never came.
    retried : int
        Events that were sent more than once.
    duplicates : int
        Those of them that the server had, and answered from its store.
    continuity_errors : int
        Events that did not simply continue their session, answers that never came, and records in
        the store that do not hold what was acknowledged.
    replay_compared, replay_mismatches : int
        Answers compared with an offline replay, and those that differ in any byte.
    http_p50_ms, http_p99_ms : float
        From sending a request to its whole answer.
    events_per_s : float
        Over the whole stream, outages included.
    seconds : float
        Of the whole demo.
    auc : dict of str to float
        Area under the ROC curve on November and December, by model.
    """

    events: int
    sessions: int
    kills: int
    in_flight_at_kill: tuple[int, ...]
    retried: int
    duplicates: int
    continuity_errors: int
    replay_compared: int
    replay_mismatches: int
    http_p50_ms: float
    http_p99_ms: float
    events_per_s: float
    seconds: float
    auc: dict[str, float]


def summarise(
    *,
    events: int,
    sessions: int,
    streamed: Streamed,
    compared: Compared,
    audited: Sequence[Finding],
    auc: Mapping[str, float],
    seconds: float,
) -> Summary:
    """Count."""
    received = streamed.journal.received
    p50, p99 = np.percentile([answer.latency for answer in received], [50, 99]) * 1000
    unanswered = events - len({(answer.session, answer.seq) for answer in received})
    # An event that went wrong also has no answer; it counts once.
    broken = max(unanswered, len(streamed.journal.continuity_errors))
    return Summary(
        events=events,
        sessions=sessions,
        kills=len(streamed.kills),
        in_flight_at_kill=tuple(kill.in_flight for kill in streamed.kills),
        retried=sum(answer.attempts > 1 for answer in received),
        duplicates=sum(answer.duplicate for answer in received),
        continuity_errors=broken + len(audited),
        replay_compared=compared.count,
        replay_mismatches=len(compared.findings),
        http_p50_ms=round(float(p50), 3),
        http_p99_ms=round(float(p99), 3),
        events_per_s=round(len(received) / (streamed.ended - streamed.began), 1),
        seconds=round(seconds, 1),
        auc={name: round(value, 4) for name, value in auc.items()},
    )


def failures(summary: Summary, kills: int, exit_status: int) -> list[str]:
    """Say what is not as it must be; nothing if all is well."""
    auc = summary.auc
    best_without = max(NO_HISTORY, key=auc.__getitem__)
    rules = {
        f"{summary.continuity_errors} continuity errors": summary.continuity_errors == 0,
        f"{summary.replay_mismatches} answers differ from the replay": (
            summary.replay_mismatches == 0
        ),
        f"{summary.replay_compared} of {summary.events} answers were compared": (
            summary.replay_compared == summary.events
        ),
        f"{summary.kills} kills, not {kills}": summary.kills == kills,
        f"a kill met no request: {summary.in_flight_at_kill}": min(
            summary.in_flight_at_kill, default=1
        )
        >= 1,
        f"the server ended with status {exit_status} after SIGTERM": exit_status == 0,
        f"the memory is worth less than {LEAST_GAIN} of AUC": (
            auc["gru"] - auc["gru_memory_reset"] >= LEAST_GAIN
        ),
        f"{best_without} is as good as the GRU": auc["gru"] > auc[best_without],
    }
    return [what for what, holds in rules.items() if not holds]
