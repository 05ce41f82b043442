"""Answers that are the state itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegate import core
from tidegate.answers.columns import Column
from tidegate.answers.events import Events
from tidegate.answers.words import NUMBER, closed
from tidegate.spec import TaskSpec

if TYPE_CHECKING:
    from tidegate.schema import Schema

__all__ = ["Embed"]


class Embed:
    """Words outputs as ``{"state": [0.1, -0.7]}``.

    Parameters
    ----------
    task : TaskSpec
        Whose `classes` name the state's numbers.

    Examples
    --------
    >>> answers = Embed(TaskSpec("embed", "state", classes=("h0", "h1")))
    >>> answers.answer(np.array([[0.5, -0.25]], dtype=np.float32))
    [{'state': [0.5, -0.25]}]
    """

    def __init__(self, task: TaskSpec) -> None:
        self._names = task.classes

    def answer(self, outputs: NDArray[np.float32]) -> list[dict[str, Any]]:
        """Return the numbers."""
        return [{"state": numbers} for numbers in outputs.tolist()]

    def columns(self, outputs: NDArray[np.float32]) -> dict[str, Column]:
        """Return a column a number."""
        return {name: outputs[:, at].astype(np.float64) for at, name in enumerate(self._names)}

    def json(self, version: str) -> core.AnswerWords:
        """Return what words answers in C."""
        words, size = msgspec.json.encode(version).decode(), len(self._names)
        return core.AnswerWords.template(
            words,
            size,
            # What is added leaves every number as it is, -0.0 too.
            [("number", "," if at else '{"state":[', at, 1.0, -0.0) for at in range(size)],
            "]}",
        )

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of an answer."""
        size = len(self._names)
        state = {"type": "array", "items": NUMBER, "minItems": size, "maxItems": size}
        return closed({"state": state})

    @property
    def summary(self) -> str:
        """What the model does."""
        return f"gives its state, {len(self._names)} numbers"

    def truth(self, events: Events, schema: Schema) -> NDArray[np.float64]:  # noqa: ARG002
        """Return NaN: a state is neither right nor wrong."""
        return np.full(len(events.times), np.nan)

    def metrics(
        self,
        outputs: NDArray[np.float32],  # noqa: ARG002
        truth: NDArray[np.float64],  # noqa: ARG002
        offsets: NDArray[np.int64] | None = None,  # noqa: ARG002
    ) -> dict[str, float]:
        """Measure nothing."""
        return {"n": 0}

    def scores(self, outputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the length of the state."""
        return np.asarray(np.sqrt((outputs.astype(np.float64) ** 2).sum(axis=1)))
