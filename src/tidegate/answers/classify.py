"""Answers that name a class, with a probability for each."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegate import core
from tidegate.answers import metrics
from tidegate.answers.columns import Column
from tidegate.answers.events import Events
from tidegate.answers.labels import table_labels
from tidegate.answers.words import closed
from tidegate.spec import TaskSpec

if TYPE_CHECKING:
    from tidegate.schema import Schema

__all__ = ["Classify"]


class Classify:
    """Words outputs as ``{"label": "late", "probabilities": {"on_time": 0.27, "late": 0.73}}``.

    Two classes share one output, the logit of the second; more have one each (softmax).

    Parameters
    ----------
    task : TaskSpec
        With its `classes`.

    Notes
    -----
    `answer` works event by event with the C library's ``exp``: it is the faster way for the small
    batches of serving, and what it gives cannot depend on the batch or on NumPy's choice of vector
    instructions.

    Examples
    --------
    >>> answers = Classify(TaskSpec("classify", "size", classes=("s", "m", "l")))
    >>> answers.answer(np.array([[0.0, 0.0, -800.0]], dtype=np.float32))
    [{'label': 's', 'probabilities': {'s': 0.5, 'm': 0.5, 'l': 0.0}}]
    """

    word: ClassVar[str] = "label"
    """What the likeliest class is called."""

    def __init__(self, task: TaskSpec) -> None:
        self._task = task
        self._classes = task.classes
        self._most = len(task.classes)

    def answer(self, outputs: NDArray[np.float32]) -> list[dict[str, Any]]:
        """Return the likeliest class (the first of equals) and every class's probability."""
        if len(self._classes) > 2:
            return [self._of_many(logits) for logits in outputs.tolist()]
        first, second = self._classes
        return [_of_two(first, second, logit) for (logit,) in outputs.tolist()]

    def columns(self, outputs: NDArray[np.float32]) -> dict[str, Column]:
        """Return ``label`` and ``probability``: the second class's of two, the label's of more."""
        if len(self._classes) > 2:
            words = self.answer(outputs)
            likeliest = [each["probabilities"][each[self.word]] for each in words]
            return {
                self.word: (outputs.argmax(axis=1).astype(np.int32), self._classes),
                "probability": np.array(likeliest, np.float64),
            }
        label, second = _two(outputs)
        return {"label": (label, self._classes), "probability": second}

    def members(self, outputs: NDArray[np.float32]) -> dict[str, Column]:
        """Return the members of `answer` as columns: ``label``, ``probabilities.late`` and so on.

        Of a task that names all of its classes.
        """
        if len(self._classes) == 2:
            label, second = _two(outputs)
            first = _two(-outputs)[1]  # each from exp(-|logit|), so that neither is 1 - the other
            shares = np.stack([first, second], axis=1)
        else:
            logits = outputs.astype(np.float64)
            exps = core.exp(logits - logits.max(axis=1, keepdims=True))
            totals = np.array([math.fsum(row) for row in exps.tolist()])
            label, shares = outputs.argmax(axis=1).astype(np.int32), exps / totals[:, None]
        named = zip(self._classes, shares.T, strict=True)
        return {
            self.word: (label, self._classes),
            **{f"probabilities.{name}": share for name, share in named},
        }

    def json(self, version: str) -> core.AnswerWords:
        """Return what words answers in C."""
        names = [msgspec.json.encode(name).decode() for name in self._classes]
        words = msgspec.json.encode(version).decode()
        return core.AnswerWords.classify(words, names, self.word, self._most)

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of an answer."""
        probability = {"type": "number", "minimum": 0, "maximum": 1}
        named: dict[str, Any] = closed(dict.fromkeys(self._classes, probability))
        if self._most < len(self._classes):  # some of them, and there may be very many
            named = {
                "type": "object",
                "additionalProperties": probability,
                "minProperties": self._most,
                "maxProperties": self._most,
            }
        likeliest = {"enum": list(self._classes), "description": "The likeliest."}
        return closed({self.word: likeliest, "probabilities": named})

    @property
    def summary(self) -> str:
        """What the model does."""
        return f"classifies {self._task.label!r} into {', '.join(self._classes)}"

    def truth(self, events: Events, schema: Schema) -> NDArray[np.float64]:  # noqa: ARG002
        """Return the index of each label's class."""
        return table_labels(self._task, events)

    def metrics(
        self,
        outputs: NDArray[np.float32],
        truth: NDArray[np.float64],
        offsets: NDArray[np.int64] | None = None,  # noqa: ARG002
    ) -> dict[str, float]:
        """Measure ``log_loss``, ``brier``, ``accuracy`` and ``ece``.

        Of two classes also how well the second is found: ``auc``, ``average_precision``, and
        ``precision_at_k`` with as many events looked at as are of that class.
        """
        known = ~np.isnan(truth)
        classes = truth[known].astype(np.int64)
        if len(classes) == 0:
            return {"n": 0}
        logits = self.logits(outputs[known])
        found: dict[str, float] = {
            "n": len(classes),
            "log_loss": metrics.log_loss(logits, classes),
            "brier": metrics.brier(logits, classes),
            "accuracy": metrics.accuracy(logits, classes),
            "ece": metrics.ece(logits, classes),
        }
        if len(self._classes) == 2 and 0 < classes.sum() < len(classes):
            # The logit ranks as the probability does, without ties where that rounds to 1.
            scores, positive = logits[:, 1], classes == 1
            found["auc"] = metrics.roc_auc(scores, positive)
            found["average_precision"] = metrics.average_precision(scores, positive)
            found["precision_at_k"] = metrics.precision_at_k(scores, positive, int(classes.sum()))
        return found

    def scores(self, outputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the second class's probability of two, the likeliest's of more."""
        probabilities = np.exp(metrics.log_softmax(self.logits(outputs)))
        return probabilities[:, 1] if len(self._classes) == 2 else probabilities.max(axis=1)

    def _of_many(self, logits: list[float]) -> dict[str, Any]:
        highest = max(logits)
        exps = [math.exp(logit - highest) for logit in logits]
        # fsum: the plain sum's rounding differs between versions of Python.
        total = math.fsum(exps)
        shares = [e / total for e in exps]
        named = list(range(len(shares)))
        if self._most < len(shares):
            named = sorted(named, key=lambda at: -shares[at])[: self._most]
        return {
            self.word: self._classes[logits.index(highest)],
            "probabilities": {self._classes[at]: shares[at] for at in named},
        }

    def logits(self, outputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return one logit a class, (events, classes)."""
        logits = outputs.astype(np.float64)
        if len(self._classes) > 2:
            return logits
        return np.concatenate([np.zeros_like(logits), logits], axis=1)


def _two(outputs: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return the index of the likelier class, and the second's probability, as `_of_two` does."""
    logits = outputs[:, 0].astype(np.float64)
    e = core.exp(-np.abs(logits))
    small, large = e / (1.0 + e), 1.0 / (1.0 + e)
    is_second = logits > 0
    return is_second.astype(np.int32), np.where(is_second, large, small)


def _of_two(first: str, second: str, logit: float) -> dict[str, Any]:
    # Both from exp(-|logit|): neither overflows, and the small one keeps its digits.
    e = math.exp(-abs(logit))
    small, large = e / (1.0 + e), 1.0 / (1.0 + e)
    if logit > 0:
        return {"label": second, "probabilities": {first: small, second: large}}
    return {"label": first, "probabilities": {first: large, second: small}}
