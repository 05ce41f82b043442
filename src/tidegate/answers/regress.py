"""Answers that are a number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegate import core
from tidegate.answers import metrics
from tidegate.answers.columns import Column
from tidegate.answers.events import Events
from tidegate.answers.labels import table_labels
from tidegate.answers.words import NUMBER, closed
from tidegate.spec import TaskSpec

if TYPE_CHECKING:
    from tidegate.schema import Schema

__all__ = ["Regress"]


class Regress:
    """Words outputs as ``{"value": 12.3}``, in the label's unit.

    Parameters
    ----------
    task : TaskSpec
        With `target_mean` and `target_scale`.

    Examples
    --------
    >>> answers = Regress(TaskSpec("regress", "delay", target_mean=10.0, target_scale=4.0))
    >>> answers.answer(np.array([[0.5], [-1.0]], dtype=np.float32))
    [{'value': 12.0}, {'value': 6.0}]
    """

    def __init__(self, task: TaskSpec) -> None:
        self._task = task
        self._mean = task.target_mean
        self._scale = task.target_scale

    def answer(self, outputs: NDArray[np.float32]) -> list[dict[str, Any]]:
        """Return the value of each output."""
        return [{"value": value} for value in self.scores(outputs).tolist()]

    def columns(self, outputs: NDArray[np.float32]) -> dict[str, Column]:
        """Return ``value``."""
        return {"value": self.scores(outputs)}

    def json(self, version: str) -> core.AnswerWords:
        """Return what words answers in C."""
        words = msgspec.json.encode(version).decode()
        return core.AnswerWords.template(
            words, 1, [("number", '{"value":', 0, self._scale, self._mean)], "}"
        )

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of an answer."""
        value = f"{self._task.label}, in the unit of training."
        return closed({"value": {**NUMBER, "description": value}})

    @property
    def summary(self) -> str:
        """What the model does."""
        return f"estimates {self._task.label!r}"

    def truth(self, events: Events, schema: Schema) -> NDArray[np.float64]:  # noqa: ARG002
        """Return the labels."""
        return table_labels(self._task, events)

    def metrics(
        self,
        outputs: NDArray[np.float32],
        truth: NDArray[np.float64],
        offsets: NDArray[np.int64] | None = None,  # noqa: ARG002
    ) -> dict[str, float]:
        """Measure ``mae``, ``rmse`` and ``r2``."""
        known = ~np.isnan(truth)
        right = truth[known]
        if len(right) == 0:
            return {"n": 0}
        values = self.scores(outputs[known])
        found: dict[str, float] = {
            "n": len(right),
            "mae": metrics.mae(values, right),
            "rmse": metrics.rmse(values, right),
        }
        if np.any(right != right[0]):
            found["r2"] = metrics.r2(values, right)
        return found

    def scores(self, outputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the values."""
        return outputs[:, 0].astype(np.float64) * self._scale + self._mean
