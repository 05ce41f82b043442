"""Answers that label each event of a sequence."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.answers.classify import Classify
from tidegate.answers.spans import Bio, entity_metrics, is_bio
from tidegate.spec import TaskSpec

__all__ = ["Tag"]


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
    >>> measured = answers.metrics(outputs, truth, np.array([0, 3]))
    >>> measured["accuracy"], measured["f1"]  # the entity is longer than what was found of it
    (0.6666666666666666, 0.0)
    """

    def __init__(self, task: TaskSpec) -> None:
        super().__init__(task)
        self._bio = Bio.of(task.classes) if is_bio(task.classes) else None

    def metrics(
        self,
        numbers: NDArray[np.float32],
        truth: NDArray[np.float64],
        offsets: NDArray[np.int64],
    ) -> dict[str, float]:
        """Measure ``log_loss``, ``brier``, ``accuracy`` and entities; see `entity_metrics`.

        An event without a label is outside of all entities, whatever was answered.
        """
        found = super().metrics(numbers, truth, offsets)
        if self._bio is None or not found["n"]:
            return found
        known = ~np.isnan(truth)
        said = self._logits(numbers).argmax(axis=1)
        outside = len(self._bio.prefix)
        spans = (
            self._bio.spans(np.where(known, each, outside).astype(np.int64), offsets)
            for each in (said, truth)
        )
        return found | entity_metrics(*spans, self._bio.types)
