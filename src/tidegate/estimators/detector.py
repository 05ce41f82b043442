"""An estimator that finds what was not to be expected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import OutlierMixin

from tidegate import tables
from tidegate.errors import InputError
from tidegate.estimators import events, served
from tidegate.estimators.base import RecurrentEstimator
from tidegate.estimators.parameters import checked
from tidegate.schema import SchemaConfig
from tidegate.tables import EventTable
from tidegate.tasks.config import AnomalyConfig

__all__ = ["RecurrentAnomalyDetector"]


class RecurrentAnomalyDetector(OutlierMixin, RecurrentEstimator):  # type: ignore[misc]
    """Tells of each event how surprising it was, after those before it in its sequence.

    It has the conventions of scikit-learn's outlier detectors: higher scores are more ordinary, and
    -1 is an anomaly. What is scored is an event, not a row of X: see `per`. `fit` learns from all
    of X: leave out what is known to be an anomaly, or give `label`.

    Parameters
    ----------
    false_alarm_rate : float
        Share of ordinary events that may be called anomalous: what ``contamination`` is to others,
        but of the validation part, which sets `offset_`, and not of X.
    per : {"event", "session"}
        Whether answers are of events, or of sequences: a sequence is as surprising as its most
        surprising event, and anomalous if that one is.
    fields : sequence of str
        What is predicted; by default all. Features of arrays are called ``x0``, ``x1`` and so on.
    label : str, optional
        Of a frame given to `fit`: the column with 1 of an anomaly, which is not learned from, 0 of
        another event, or nothing.
    **shared
        As of `RecurrentEstimator`. Of one sequence alone, the last events are the validation part.

    Attributes
    ----------
    offset_ : float
        ``decision_function`` is ``score_samples`` minus it.
    trained_, n_features_in_
        As of `RecurrentEstimator`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = np.sin(np.arange(40) / 2)[None, :, None] + rng.normal(scale=0.1, size=(50, 40, 1))
    >>> model = RecurrentAnomalyDetector(hidden_size=8, epochs=10, random_state=0).fit(X)
    >>> X[0, 30] += 3
    >>> found = model.predict(X[:1])  # of each event
    >>> found.shape, found[30]
    ((40,), np.int64(-1))
    """

    _stratified = False  # what the last labels are tells nothing

    def __init__(
        self,
        *,
        false_alarm_rate: float = 0.001,
        per: Literal["event", "session"] = "event",
        fields: Sequence[str] = (),
        label: str | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.false_alarm_rate = false_alarm_rate
        self.per = per
        self.fields = fields
        self.label = label

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: ARG002 - scikit-learn's signature
        """Learn what is ordinary.

        Parameters
        ----------
        X : frame, list of arrays, or array
            As in `tidegate.estimators.events`.
        y : None
            Is not read.

        Raises
        ------
        InputError
            ``constant_series``: a number never changes; ``out_of_range``; ``wrong_label``; from
            `train_model`.
        """
        if self.per not in ("event", "session"):
            raise InputError(
                "out_of_range",
                f"{self.per!r} has no answers",
                field="per",
                hint='use "event" or "session"',
            )
        wanted = checked(
            AnomalyConfig,
            {"fields": tuple(self.fields), "false_alarm_rate": self.false_alarm_rate},
        )
        config, table = self._read(X, reset=True)
        self._learn(config, table, {"name": "anomaly", "anomaly": wanted})
        settled = self.trained_.task.anomaly
        assert settled is not None
        self.offset_ = -settled.threshold
        return self

    def score_samples(self, X: Any) -> NDArray[np.float64]:
        """Return minus the surprise, the log likelihood of an event's fields (nats).

        Returns
        -------
        float64 array (events,) or (sequences,)
            In the order of X: all events of its first sequence, then those of the next; of a frame,
            its rows. Higher is more ordinary.
        """
        table, found = self._run(X)
        scores = self._half.scores(found)
        if self.per == "session":
            # Where a sequence stands is read off its last event, which now has the most.
            scores[table.offsets[1:] - 1] = np.maximum.reduceat(scores, table.offsets[:-1])
        return -served.arranged(table, scores, self.per)

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Return `score_samples` minus `offset_`: below 0 is an anomaly."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Return -1 of an anomaly, else 1, of each event, or of each sequence."""
        return np.where(self.decision_function(X) < 0, -1, 1).astype(np.int64)

    def score(self, X: Any, y: Any = None) -> float:  # noqa: ARG002 - scikit-learn's signature
        """Return the mean log likelihood of an event (nats): higher is better."""
        return -self._measured(*self._run(X), "nats")

    def _schema_of(self, X: Any) -> SchemaConfig:
        fields = super()._schema_of(X).fields
        return SchemaConfig({name: each for name, each in fields.items() if name != self.label})

    def _read(self, X: Any, *, reset: bool) -> tuple[SchemaConfig, EventTable]:
        if not reset or self.label is None:
            return super()._read(X, reset=reset)
        if not events.is_frame(X, self.session):
            raise InputError(
                "missing_column",
                "X is no frame, and has no such column",
                field=self.label,
                hint="leave `label` out",
            )
        config, table = super()._read(X, reset=reset)
        labelled = tables.read(X, session=self.session, fields={}, time=self.time, label=self.label)
        return config, replace(table, labels=labelled.labels)
