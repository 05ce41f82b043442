"""Answers that say how surprising an event was, and whether it is an anomaly."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegate import core
from tidegate.answers import metrics
from tidegate.answers.columns import Column
from tidegate.answers.events import Events
from tidegate.answers.words import NUMBER, closed
from tidegate.errors import InputError
from tidegate.spec import TaskSpec

if TYPE_CHECKING:
    from tidegate.schema import Schema

__all__ = ["Anomaly", "threshold"]


class Anomaly:
    """Words outputs as ``{"score": 9.2, "anomalous": true, "fields": {"heat": 8.9, "mode": 0.3}}``.

    A score is how much an event surprised the model, in nats: minus the log likelihood of its
    fields, given the events before it. It is the sum of its fields' scores, may be negative (the
    likelihood of a number is a density), and has no meaning of its own: the threshold, which the
    validation part has set, tells what is much.

    Parameters
    ----------
    task : TaskSpec
        With `anomaly`.

    Examples
    --------
    >>> from tidegate.spec import AnomalySpec, SurprisePart
    >>> parts = (SurprisePart("gaussian", 0, 0), SurprisePart("gaussian", 1, 2))
    >>> spec = AnomalySpec(("heat", "load"), parts, threshold=6.0)
    >>> answers = Anomaly(TaskSpec("anomaly", "", anomaly=spec))
    >>> answers.answer(np.array([[6.5, 7.0, -0.5]], dtype=np.float32))
    [{'score': 6.5, 'anomalous': True, 'fields': {'heat': 7.0, 'load': -0.5}}]
    """

    def __init__(self, task: TaskSpec) -> None:
        assert task.anomaly is not None
        self._label = task.label
        self._spec = task.anomaly

    def answer(self, outputs: NDArray[np.float32]) -> list[dict[str, Any]]:
        """Return each event's score, whether it is above the threshold, and its fields' scores."""
        return [
            {
                "score": score,
                "anomalous": score > self._spec.threshold,
                "fields": dict(zip(self._spec.fields, fields, strict=True)),
            }
            for score, *fields in outputs.tolist()
        ]

    def columns(self, outputs: NDArray[np.float32]) -> dict[str, Column]:
        """Return ``score``, ``anomalous`` (0 or 1), and ``score of FIELD`` for each field."""
        scores = outputs.astype(np.float64)
        alarms = scores[:, 0] > self._spec.threshold
        found: dict[str, Column] = {"score": scores[:, 0], "anomalous": alarms.astype(np.float64)}
        for at, field in enumerate(self._spec.fields, 1):
            found[f"score of {field}"] = scores[:, at]
        return found

    def json(self, version: str) -> core.AnswerWords:
        """Return what words answers in C."""
        pieces: list[Any] = [
            # Adding -0.0 leaves every number as it is, -0.0 too.
            ("number", '{"score":', 0, 1.0, -0.0),
            ("above", ',"anomalous":', 0, self._spec.threshold),
        ]
        before = ',"fields":{'
        for at, field in enumerate(self._spec.fields, 1):
            name = msgspec.json.encode(field).decode()
            pieces.append(("number", f"{before}{name}:", at, 1.0, -0.0))
            before = ","
        words = msgspec.json.encode(version).decode()
        return core.AnswerWords.template(words, 1 + len(self._spec.fields), pieces, "}}")

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of an answer."""
        rate = self._spec.false_alarm_rate
        return closed(
            {
                "score": {**NUMBER, "description": "Surprise in nats, of all fields together."},
                "anomalous": {
                    "type": "boolean",
                    "description": f"Whether the score is above {self._spec.threshold:g}: so was "
                    f"at most {rate:g} of the ordinary events of the validation part.",
                },
                "fields": closed(dict.fromkeys(self._spec.fields, NUMBER)),
            }
        )

    @property
    def summary(self) -> str:
        """What the model does."""
        return f"says how surprising {', '.join(self._spec.fields)} are"

    def truth(self, events: Events, schema: Schema) -> NDArray[np.float64]:  # noqa: ARG002
        """Return 1 where an event is labelled an anomaly, 0 where it is not, NaN without a label.

        Raises
        ------
        InputError
            ``wrong_label``: a label is neither.
        """
        labels = events.labels
        if labels is None:
            return np.full(len(events.times), np.nan)
        if labels.dtype == object:
            wrong = np.array([label is not None for label in labels], dtype=bool)
            values = np.full(len(labels), np.nan)
        else:
            values = labels.astype(np.float64)
            wrong = ~np.isnan(values) & (values != 0) & (values != 1)
        if wrong.any():
            row = int(wrong.argmax())
            raise InputError(
                "wrong_label",
                f"{labels.tolist()[row]!r} does not say whether the event is an anomaly",
                field=self._label or None,
                hint="a label is 1 of an anomaly, 0 of an ordinary event, and may be left empty: "
                "is it the right column?",
                row=row,
            )
        return values

    def metrics(
        self,
        outputs: NDArray[np.float32],
        truth: NDArray[np.float64],
        offsets: NDArray[np.int64] | None = None,  # noqa: ARG002
    ) -> dict[str, float]:
        """Measure ``nats``, ``alarm_rate``, ``false_alarm_rate`` and how labels are met.

        ``nats`` is the mean score of events that are not labelled anomalies, ``false_alarm_rate``
        the share of them above the threshold, ``alarm_rate`` that of all. With anomalies among
        labelled events: ``average_precision`` and, with ordinary events, ``auc`` over all
        thresholds; ``precision`` (if there was an alarm), ``recall`` and ``f1`` at the model's.
        While there is no threshold, which the end of training sets, its figures are left out.
        """
        scores, known = self.scores(outputs), ~np.isnan(truth)
        ordinary, positive = truth != 1, truth[known] == 1
        found: dict[str, float] = {"n": len(scores)}
        if ordinary.any():
            found["nats"] = float(scores[ordinary].mean())
        if positive.any():
            found["anomalies"] = int(positive.sum())
            found["average_precision"] = metrics.average_precision(scores[known], positive)
            if not positive.all():
                found["auc"] = metrics.roc_auc(scores[known], positive)
        if math.isfinite(self._spec.threshold):
            found |= self._at_threshold(scores > self._spec.threshold, truth)
        return found

    def _at_threshold(
        self, alarms: NDArray[np.bool_], truth: NDArray[np.float64]
    ) -> dict[str, float]:
        found: dict[str, float] = {}
        if len(alarms):
            found["alarm_rate"] = float(alarms.mean())
        if (truth != 1).any():
            found["false_alarm_rate"] = float(alarms[truth != 1].mean())
        positives, raised = int((truth == 1).sum()), int(alarms[~np.isnan(truth)].sum())
        if positives:
            hits = int(alarms[truth == 1].sum())
            if raised:
                found["precision"] = hits / raised
            found["recall"] = hits / positives
            found["f1"] = 2 * hits / (raised + positives)
        return found

    def scores(self, outputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the scores."""
        return outputs[:, 0].astype(np.float64)


def threshold(scores: NDArray[np.float64], false_alarm_rate: float) -> float:
    """Return the score above which at most such a share of ordinary events lies.

    Of another `n` events like these, it lets pass no larger share on average: it is the score of
    rank ``ceil((n + 1) * (1 - rate))``. Where there are too few events for that, fewer than
    ``1 / rate - 1``, it is the largest score, and alarms come as often as once in ``n + 1`` events.

    Parameters
    ----------
    scores : float64 array (n,)
        Of ordinary events that the model has not learned from; at least one.
    false_alarm_rate : float
        Between 0 and 1.

    References
    ----------
    V. Vovk, A. Gammerman and G. Shafer, "Algorithmic Learning in a Random World", 2005: the split
    form of conformal prediction.

    Examples
    --------
    >>> threshold(np.arange(999.0), 0.01)
    989.0
    >>> threshold(np.array([3.0, 1.0]), 0.01)
    3.0
    """
    n = len(scores)
    # The product of 1,000 and 0.999 is a little more than 999.
    rank = int(np.ceil(np.round((n + 1) * (1.0 - false_alarm_rate), 9)))
    return float(np.sort(scores)[min(rank, n) - 1])
