"""Answers that name the likeliest next tokens of a text."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tidegate.answers import metrics
from tidegate.answers.classify import Classify
from tidegate.answers.events import Events
from tidegate.spec import ItemsSpec, TaskSpec

if TYPE_CHECKING:
    from tidegate.schema import Schema

__all__ = ["Language"]

_PART = 65_536
"""Events that are measured at a time: their probabilities take more memory than their outputs."""


class Language(Classify):
    """Words outputs as ``{"token": "e", "probabilities": {"e": 0.41, "a": 0.2}}``.

    Of many tokens an answer names the likeliest, falling, `TaskSpec.items` says how many. The empty
    token stands for all that training did not know.

    Parameters
    ----------
    task : TaskSpec
        With its `classes`, the vocabulary, and its `items`.

    Examples
    --------
    >>> task = TaskSpec("language", "character", classes=("", "a", "b"), items=ItemsSpec(top=2))
    >>> answers = Language(task)
    >>> outputs = np.log(np.array([[0.125, 0.5, 0.375]] * 3, dtype=np.float32))
    >>> answers.answer(outputs)[0]["token"], list(answers.answer(outputs)[0]["probabilities"])
    ('a', ['a', 'b'])
    >>> found = answers.metrics(outputs, np.array([1.0, 0.0, np.nan]))
    >>> {name: round(value, 3) for name, value in found.items()}
    {'n': 2, 'log_loss': 1.386, 'perplexity': 4.0, 'accuracy': 0.5, 'bits_per_character': 2.0}
    """

    word = "token"

    def __init__(self, task: TaskSpec) -> None:
        super().__init__(task)
        self._most = min((task.items or ItemsSpec()).top, len(task.classes))
        self._are_characters = all(len(token) <= 1 for token in task.classes)

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of an answer; it does not list the vocabulary."""
        found = super().schema()
        found["properties"]["token"] = {
            "type": "string",
            "description": "The likeliest next one; empty: one that training did not know.",
        }
        return found

    @property
    def summary(self) -> str:
        """What the model does."""
        return f"foretells the next {self._task.label!r}, one of {len(self._classes):,}"

    def truth(self, events: Events, schema: Schema) -> NDArray[np.float64]:  # noqa: ARG002
        """Return the index of each event's next token; NaN at the end of a session."""
        index: dict[str | None, float] = {token: at for at, token in enumerate(self._classes)}
        index[None] = np.nan
        tokens = events.columns[self._task.label].tolist()
        given = np.fromiter((index.get(token, 0.0) for token in tokens), np.float64, len(tokens))
        following = np.full(len(given), np.nan)
        following[:-1] = given[1:]
        following[events.offsets[1:][np.diff(events.offsets) > 0] - 1] = np.nan
        return following

    def metrics(
        self,
        outputs: NDArray[np.float32],
        truth: NDArray[np.float64],
        offsets: NDArray[np.int64] | None = None,  # noqa: ARG002
    ) -> dict[str, float]:
        """Measure ``log_loss`` (nats a token), ``perplexity`` (its exponential) and ``accuracy``.

        Where all tokens are characters, also ``bits_per_character``.
        """
        events = np.flatnonzero(~np.isnan(truth))
        if len(events) == 0:
            return {"n": 0}
        nats, right = 0.0, 0
        for part in _parts(events):
            tokens = truth[part].astype(np.int64)
            logits = outputs[part].astype(np.float64)
            nats += metrics.log_loss(logits, tokens) * len(part)
            right += int((logits.argmax(axis=1) == tokens).sum())
        loss = nats / len(events)
        found = {
            "n": len(events),
            "log_loss": loss,
            "perplexity": math.exp(min(loss, 700.0)),
            "accuracy": right / len(events),
        }
        return found | ({"bits_per_character": loss / math.log(2)} if self._are_characters else {})

    def scores(self, outputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the likeliest token's probability."""
        parts = _parts(np.arange(len(outputs)))
        return np.concatenate([super(Language, self).scores(outputs[part]) for part in parts])


def _parts(events: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    yield from (events[at : at + _PART] for at in range(0, max(1, len(events)), _PART))
