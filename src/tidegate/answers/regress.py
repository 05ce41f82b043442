"""Answers that are a number."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegate import core
from tidegate.answers import metrics
from tidegate.answers.columns import Column
from tidegate.spec import TaskSpec

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

    def metrics(
        self, outputs: NDArray[np.float32], labels: NDArray[np.float64]
    ) -> dict[str, float]:
        """Measure ``mae``, ``rmse`` and ``r2``."""
        known = ~np.isnan(labels)
        truth = labels[known]
        if len(truth) == 0:
            return {"n": 0}
        values = self.scores(outputs[known])
        found: dict[str, float] = {
            "n": len(truth),
            "mae": metrics.mae(values, truth),
            "rmse": metrics.rmse(values, truth),
        }
        if np.any(truth != truth[0]):
            found["r2"] = metrics.r2(values, truth)
        return found

    def scores(self, outputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the values."""
        return outputs[:, 0].astype(np.float64) * self._scale + self._mean
