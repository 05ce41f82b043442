"""Answers that name the likeliest next items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegate import core
from tidegate.answers import ranking
from tidegate.answers.columns import Column
from tidegate.answers.events import Events
from tidegate.answers.words import NUMBER, closed
from tidegate.spec import ItemsSpec, TaskSpec

if TYPE_CHECKING:
    from tidegate.schema import Schema

__all__ = ["NextItem"]


class NextItem:
    """Words outputs as ``{"items": [{"item": "tea", "score": 3.1}, {"item": "rum", ...}]}``.

    An event is answered with ``k`` scores, falling, and the ``k`` indices of their items, as the
    ``top`` readout gives them. A score is the head's output: it orders items, and is no
    probability.

    Parameters
    ----------
    task : TaskSpec
        With its `classes`, the items after an empty text for those that training does not know,
        and its `items`.

    Examples
    --------
    >>> task = TaskSpec("next_item", "item", classes=("", "rum", "tea"), items=ItemsSpec(top=2))
    >>> answers = NextItem(task)
    >>> outputs = np.array([[3.0, 0.5, 2, 1]], dtype=np.float32)
    >>> answers.answer(outputs)
    [{'items': [{'item': 'tea', 'score': 3.0}, {'item': 'rum', 'score': 0.5}]}]
    >>> answers.metrics(outputs, np.array([1.0]))
    {'n': 1, 'recall': 1.0, 'mrr': 0.5, 'ndcg': 0.6309297535714575}
    """

    def __init__(self, task: TaskSpec) -> None:
        self._field = task.label
        self._items = task.classes
        self._top = (task.items or ItemsSpec()).top

    def answer(self, outputs: NDArray[np.float32]) -> list[dict[str, Any]]:
        """Return the likeliest items with their scores, the best first."""
        scores, indices = outputs[:, : self._top].tolist(), outputs[:, self._top :].tolist()
        return [
            {
                "items": [
                    {"item": self._name(index), "score": score}
                    for score, index in zip(its_scores, its_indices, strict=True)
                ]
            }
            for its_scores, its_indices in zip(scores, indices, strict=True)
        ]

    def columns(self, outputs: NDArray[np.float32]) -> dict[str, Column]:
        """Return ``item_1`` and ``score_1``, the best, then ``item_2`` and so on."""
        found: dict[str, Column] = {}
        indices = np.nan_to_num(outputs[:, self._top :]).astype(np.int32)
        for place in range(self._top):
            found[f"item_{place + 1}"] = (indices[:, place], self._items)
            found[f"score_{place + 1}"] = outputs[:, place].astype(np.float64)
        return found

    def json(self, version: str) -> core.AnswerWords:
        """Return what words answers in C."""
        names = [msgspec.json.encode(item).decode() for item in self._items]
        pieces: list[Any] = []
        before = '{"items":[{"item":'
        for place in range(self._top):
            pieces.append(("name", before, self._top + place, names))
            # Adding -0.0 leaves every number as it is, -0.0 too.
            pieces.append(("number", ',"score":', place, 1.0, -0.0))
            before = '},{"item":'
        words = msgspec.json.encode(version).decode()
        return core.AnswerWords.template(words, 2 * self._top, pieces, "}]}")

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of an answer."""
        item = closed(
            {
                "item": {"type": "string", "description": f"A value of {self._field}."},
                "score": {**NUMBER, "description": "Higher is likelier; no probability."},
            }
        )
        best = {"type": "array", "items": item, "minItems": self._top, "maxItems": self._top}
        return closed({"items": {**best, "description": "The likeliest, the best first."}})

    @property
    def summary(self) -> str:
        """What the model does."""
        known = len(self._items) - 1
        return f"names the {self._top} likeliest next {self._field!r}, of {known:,}"

    def truth(self, events: Events, schema: Schema) -> NDArray[np.float64]:  # noqa: ARG002
        """Return the index of each event's next item.

        0 for one that training does not know: a miss. NaN at a session's last event, and where the
        next event has no item.
        """
        index: dict[str | None, float] = {item: float(at) for at, item in enumerate(self._items)}
        index[None] = np.nan
        items = events.columns[self._field].tolist()
        following = np.full(len(items), np.nan)
        following[:-1] = [index.get(item, 0.0) for item in items[1:]]
        following[events.offsets[1:][np.diff(events.offsets) > 0] - 1] = np.nan
        return following

    def metrics(
        self,
        outputs: NDArray[np.float32],
        truth: NDArray[np.float64],
        offsets: NDArray[np.int64] | None = None,  # noqa: ARG002
    ) -> dict[str, float]:
        """Measure ``recall``, ``mrr`` and ``ndcg`` of the items that an answer names.

        All items are ranked. The rank of the right one is its place in the answer: of equal scores
        the item that training met more often comes first.
        """
        known = ~np.isnan(truth)
        if not known.any():
            return {"n": 0}
        # Index 0 stands for items that no answer can name.
        right = np.where(truth[known] > 0, truth[known], np.nan)
        ranks = ranking.ranks_in_list(outputs[known, self._top :], right)
        return {
            "n": int(known.sum()),
            "recall": ranking.recall(ranks, self._top),
            "mrr": ranking.mrr(ranks, self._top),
            "ndcg": ranking.ndcg(ranks, self._top),
        }

    def scores(self, outputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the best item's score."""
        return outputs[:, 0].astype(np.float64)

    def _name(self, index: float) -> str | None:
        return self._items[int(index)] if 0 <= index < len(self._items) else None
