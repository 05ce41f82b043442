"""Early answers: how good a model is that has seen a part of a session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Early", "by_share", "events_at"]


@dataclass(frozen=True)
class Early:
    """How good the answers were when so large a part of each session had been seen.

    Parameters
    ----------
    share : float
        The part, 1 for all of it.
    metrics : dict of str to float
        The task's, of one answer a session.
    """

    share: float
    metrics: dict[str, float]


def by_share(
    measure: Callable[[NDArray[np.float32], NDArray[np.float64]], dict[str, float]],
    outputs: NDArray[np.float32],
    labels: NDArray[np.float64],
    offsets: NDArray[np.int64],
    parts: int = 10,
) -> list[Early]:
    """Measure a task with one label a session at 1/parts, 2/parts, ... of each session.

    Parameters
    ----------
    measure : callable
        `Answers.metrics`.
    outputs : float32 array (events, output_size)
        Outputs of the head.
    labels : float64 array (events,)
        From `task_labels`: the label of each session at its last event.
    offsets : int64 array (sessions + 1,)
        Session i is events ``offsets[i]:offsets[i + 1]``; at least one event each.
    parts : int
        How many.

    Returns
    -------
    list of Early
        The last is of whole sessions.

    Examples
    --------
    >>> from tidegate import answers
    >>> from tidegate.spec import TaskSpec
    >>> task = TaskSpec("classify", "outcome", "session", classes=("kept", "sold"))
    >>> outputs = np.array([[-1.0], [1.0], [1.0], [1.0]], dtype=np.float32)
    >>> labels = np.array([np.nan, 1.0, np.nan, 1.0])
    >>> found = by_share(answers.open(task).metrics, outputs, labels, np.array([0, 2, 4]), parts=2)
    >>> [(each.share, each.metrics["accuracy"]) for each in found]
    [(0.5, 0.5), (1.0, 1.0)]
    """
    of_session = labels[offsets[1:] - 1]
    found = []
    for part in range(1, parts + 1):
        at = events_at(offsets, part, parts)
        found.append(Early(part / parts, measure(outputs[at], of_session)))
    return found


def events_at(offsets: NDArray[np.int64], part: int, parts: int) -> NDArray[np.int64]:
    """Return the event of each session at which ``part / parts`` of its events have been seen.

    An event counts as seen whole: of a session of 3, half are 2 events.

    Examples
    --------
    >>> events_at(np.array([0, 10, 13]), 1, 2), events_at(np.array([0, 10, 13]), 2, 2)
    (array([ 4, 11]), array([ 9, 12]))
    """
    return np.asarray(offsets[:-1] - (-np.diff(offsets) * part // parts) - 1)
