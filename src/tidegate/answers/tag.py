"""Answers that label each event of a sequence."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.answers.classify import Classify
from tidegate.answers.spans import Bio, entity_metrics, is_bio
from tidegate.spec import TaskSpec

__all__ = ["Tag"]

MANY = 20
FEW = 5


class Tag(Classify):
    """Words outputs as `Classify` does, and measures entities where the labels tell some.

    Of more than 20 labels, an answer holds the probabilities of the 5 likeliest, falling.

    Parameters
    ----------
    task : TaskSpec
        With its `classes`.

    Examples
    --------
    >>> task = TaskSpec("tag", "entity", classes=("O", "B-PER", "I-PER"))
    >>> answers = Tag(task)
    >>> outputs = np.array([[0, 9, 0], [0, 0, 9], [9, 0, 0]], dtype=np.float32)
    >>> [each["label"] for each in answers.answer(outputs)]
    ['B-PER', 'I-PER', 'O']
    >>> truth = np.array([1.0, 2.0, 2.0])
    >>> measured = answers.metrics(outputs, truth)
    >>> measured["accuracy"], measured["f1"]  # the entity is longer than what was found of it
    (0.6666666666666666, 0.0)
    """

    def __init__(self, task: TaskSpec) -> None:
        super().__init__(task)
        if len(task.classes) > MANY:
            self._most = FEW
        self._bio = Bio.of((*task.classes, "O")) if is_bio(task.classes) else None

    @property
    def summary(self) -> str:
        """What the model does."""
        shown = ", ".join(self._classes[:MANY])
        more = len(self._classes) - MANY
        return f"tags {self._task.label!r} as {shown}" + (f" and {more} more" * (more > 0))

    def metrics(
        self,
        outputs: NDArray[np.float32],
        truth: NDArray[np.float64],
        offsets: NDArray[np.int64] | None = None,
    ) -> dict[str, float]:
        """Measure ``accuracy``, ``log_loss``, ``brier`` and entities; see `entity_metrics`.

        An event without a label is outside of all entities, whatever was answered.
        """
        found = super().metrics(outputs, truth, offsets)
        if self._bio is None or not found["n"]:
            return found
        offsets = np.array([0, len(truth)]) if offsets is None else offsets
        outside, known = len(self._classes), ~np.isnan(truth)
        said, real = (
            self._bio.spans(np.where(known, each, outside).astype(np.int64), offsets)
            for each in (self.logits(outputs).argmax(axis=1), truth)
        )
        return found | entity_metrics(said, real, self._bio.types)
