"""Answers: from the head's outputs to the task's words, and how good they were.

NumPy only, and stateless: the gate answers with it, the workshop measures with it.

Examples
--------
>>> import numpy as np
>>> labels = np.array(["late", "on_time", None, "late"], dtype=object)
>>> task = fit_task("classify", "outcome", "event", labels, classes=("on_time", "late"))
>>> open(task).answer(np.array([[1.0]], dtype=np.float32))
[{'label': 'late', 'probabilities': {'on_time': 0.2689414213699951, 'late': 0.7310585786300049}}]
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tidegate.answers.classify import Classify
from tidegate.answers.columns import Column
from tidegate.answers.early import Early, by_share
from tidegate.answers.labels import encode_labels, fit_task, session_labels, task_labels
from tidegate.answers.metrics import HIGHER_IS_BETTER
from tidegate.answers.regress import Regress
from tidegate.answers.weights import ClassWeight
from tidegate.core import AnswerWords
from tidegate.spec import TaskSpec

__all__ = [
    "HIGHER_IS_BETTER",
    "Answers",
    "ClassWeight",
    "Classify",
    "Column",
    "Early",
    "by_share",
    "encode_labels",
    "fit_task",
    "open",
    "session_labels",
    "task_labels",
]


class Answers(Protocol):
    """A task's answer half."""

    def answer(self, outputs: NDArray[np.float32]) -> list[dict[str, Any]]:
        """Word the outputs.

        Parameters
        ----------
        outputs : float32 array (events, output_size)
            Outputs of the head.

        Returns
        -------
        list of dict
            One answer an event, JSON-able. An event's answer depends on its own output alone: bit
            for bit the same in any batch.
        """

    def columns(self, outputs: NDArray[np.float32]) -> dict[str, Column]:
        """Word the outputs as columns of a table, with the very numbers of `answer`.

        Parameters
        ----------
        outputs : float32 array (events, output_size)
            Outputs of the head.

        Returns
        -------
        dict of str to Column
            Of a row an event. One whose output is NaN has no meaning.
        """

    def json(self, version: str) -> AnswerWords:
        """Return what words answers in C: the JSON of what `answer` gives for finite outputs.

        Parameters
        ----------
        version : str
            Of the model that answers.
        """

    def metrics(
        self, outputs: NDArray[np.float32], labels: NDArray[np.float64]
    ) -> dict[str, float]:
        """Measure the outputs against labels.

        Parameters
        ----------
        outputs : float32 array (events, output_size)
            Outputs of the head.
        labels : float64 array (events,)
            From `encode_labels`; events whose label is NaN are left out.

        Returns
        -------
        dict of str to float
            ``n`` (labelled events) and the task's metrics. A metric that the labels do not define
            is left out: all but ``n`` without labels, the AUC of one class, the R2 of equal values.
        """

    def scores(self, outputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return one number an answer, of which the drift baseline keeps a histogram."""


def open(task: TaskSpec) -> Answers:  # noqa: A001 - read as answers.open(task)
    """Return the answer half of a task."""
    return Classify(task) if task.name == "classify" else Regress(task)
