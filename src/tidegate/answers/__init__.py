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

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tidegate.answers.anomaly import Anomaly
from tidegate.answers.classify import Classify
from tidegate.answers.columns import Column
from tidegate.answers.early import Early, by_share
from tidegate.answers.embed import Embed
from tidegate.answers.events import Events
from tidegate.answers.forecast import Forecast
from tidegate.answers.labels import (
    Labelled,
    encode_labels,
    fit_task,
    session_labels,
    task_labels,
)
from tidegate.answers.language import Language
from tidegate.answers.metrics import HIGHER_IS_BETTER
from tidegate.answers.next_item import NextItem
from tidegate.answers.regress import Regress
from tidegate.answers.tag import Tag
from tidegate.answers.weights import ClassWeight
from tidegate.core import AnswerWords
from tidegate.errors import InputError
from tidegate.spec import TaskSpec

if TYPE_CHECKING:
    from tidegate.schema import Schema

__all__ = [
    "HIGHER_IS_BETTER",
    "Answers",
    "ClassWeight",
    "Classify",
    "Column",
    "Early",
    "Events",
    "Forecast",
    "Labelled",
    "by_share",
    "encode_labels",
    "fit_task",
    "open",
    "session_labels",
    "task_labels",
]


class Answers(Protocol):
    """A task's answer half.

    It reads the numbers with which a model answers an event, `ModelSpec.answer_size` of them: the
    head's outputs, unless the model's readout makes others of them.
    """

    def answer(self, outputs: NDArray[np.float32]) -> list[dict[str, Any]]:
        """Word the numbers.

        Parameters
        ----------
        outputs : float32 array (events, answer_size)
            What the model answers with.

        Returns
        -------
        list of dict
            One answer an event, JSON-able. An event's answer depends on its own numbers alone: bit
            for bit the same in any batch.
        """

    def columns(self, outputs: NDArray[np.float32]) -> dict[str, Column]:
        """Word the numbers as columns of a table, with the very numbers of `answer`.

        Parameters
        ----------
        outputs : float32 array (events, answer_size)
            What the model answers with.

        Returns
        -------
        dict of str to Column
            Of a row an event. One whose numbers are NaN has no meaning.
        """

    def json(self, version: str) -> AnswerWords | None:
        """Return what words answers in C: the JSON of what `answer` gives for finite numbers.

        None: nothing does, and `answer` words them all.

        Parameters
        ----------
        version : str
            Of the model that answers.
        """

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of an answer."""

    @property
    def summary(self) -> str:
        """What the model does, as in "For each event it ..."."""

    def truth(self, events: Events, schema: Schema) -> NDArray[np.float64]:
        """Return what answers to a table's events are measured against.

        Parameters
        ----------
        events : Events
            The table.
        schema : Schema
            Of the model.

        Returns
        -------
        float64 array (events,) or (events, n)
            NaN where nothing is known.

        Raises
        ------
        InputError
            ``no_labels``: the task has a label, the table none; what `task_labels` raises.
        """

    def metrics(
        self,
        outputs: NDArray[np.float32],
        truth: NDArray[np.float64],
        offsets: NDArray[np.int64] | None = None,
    ) -> dict[str, float]:
        """Measure answers against the truth.

        Parameters
        ----------
        outputs : float32 array (events, answer_size)
            What the model answers with.
        truth : float64 array (events,) or (events, n)
            From `truth`; events for which it is NaN are left out.
        offsets : int64 array (sessions + 1,), optional
            Session i is events ``offsets[i]:offsets[i + 1]``; all events are one, if left out.

        Returns
        -------
        dict of str to float
            ``n`` (events that were measured) and the task's metrics. A metric that the truth does
            not define is left out: all but ``n`` without labels, the AUC of one class, the R2 of
            equal values.
        """

    def scores(self, outputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return one number an answer, of which the drift baseline keeps a histogram."""


_HALVES: Mapping[str, Callable[[TaskSpec], Answers]] = {
    "classify": Classify,
    "forecast": Forecast,
    "regress": Regress,
    "anomaly": Anomaly,
    "next_item": NextItem,
    "tag": Tag,
    "language": Language,
    "embed": Embed,
}


def open(task: TaskSpec) -> Answers:  # noqa: A001 - read as answers.open(task)
    """Return the answer half of a task.

    Raises
    ------
    InputError
        ``unknown_task``: this version has no such task.
    """
    half = _HALVES.get(task.name)
    if half is None:
        raise InputError(
            "unknown_task",
            f"{task.name!r} is no task of this version",
            field="task.name",
            hint=f"use one of {', '.join(_HALVES)}",
        )
    return half(task)
