"""What a model knows of sequences, as features for another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted

from tidegate import bundle
from tidegate.bundle import Bundle
from tidegate.engine.embed import embedder
from tidegate.errors import InputError
from tidegate.estimators.detector import RecurrentAnomalyDetector

__all__ = ["RecurrentEmbedder"]


class RecurrentEmbedder(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Gives the state of a recurrent model after a sequence, or each event, as features.

    In a `Pipeline` it stands before any other model, such as gradient boosting. Mind the leak: a
    model that was trained on a sequence may remember its label. Fit what follows on other
    sequences, with the embedder frozen (``RecurrentEmbedder(FrozenEstimator(model))``), or measure
    the two on sequences that neither saw.

    Parameters
    ----------
    estimator : estimator of this package, optional
        Is cloned and fitted; one in a `sklearn.frozen.FrozenEstimator` stays as it is. By default a
        `RecurrentAnomalyDetector`, which learns without y.
    per : {"session", "event"}
        Features of each sequence, after its last event, or of each event.

    Attributes
    ----------
    estimator_ : estimator
        Fitted.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 5)).cumsum(axis=1)
    >>> RecurrentEmbedder(RecurrentAnomalyDetector(hidden_size=8, epochs=2)).fit_transform(X).shape
    (60, 8)
    """

    def __init__(self, estimator: Any = None, *, per: Literal["session", "event"] = "session"):
        self.estimator = estimator
        self.per = per

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the estimator.

        Parameters
        ----------
        X, y
            As the estimator takes them.

        Raises
        ------
        InputError
            ``wrong_type``: it is none of this package; ``out_of_range``; from its `fit`.
        """
        wanted = RecurrentAnomalyDetector() if self.estimator is None else self.estimator
        if not hasattr(wanted, "states"):
            raise InputError(
                "wrong_type",
                f"{type(wanted).__name__} has no states",
                field="estimator",
                hint="give an estimator of tidegate.estimators, such as RecurrentClassifier()",
            )
        if self.per not in ("session", "event"):
            raise InputError(
                "out_of_range",
                f"{self.per!r} has no features",
                field="per",
                hint='use "session" or "event"',
            )
        self.estimator_ = clone(wanted).fit(X, y)
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.estimator_, name):
                setattr(self, name, getattr(self.estimator_, name))
        return self

    def transform(self, X: Any) -> NDArray[np.float64]:
        """Return states, (sequences, units) or (events, units); see `RecurrentEstimator.states`.

        Those of sequences stand in the order in which they begin in X, those of events in the order
        of X.
        """
        check_is_fitted(self, "estimator_")
        return np.asarray(self.estimator_.states(X, self.per), dtype=np.float64)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:  # noqa: ARG002
        """Return the names of the states' numbers: ``h0``, ``h1`` and so on."""
        check_is_fitted(self, "estimator_")
        size = self.estimator_.trained_.spec.layers[-1].output_size
        return np.array([f"h{at}" for at in range(size)], dtype=object)

    def to_bundle(
        self, path: str | Path, name: str, version: str, *, overwrite: bool = False
    ) -> Bundle:
        """Write a bundle that answers with the state, as ``tidegate embed --save`` does.

        Parameters
        ----------
        path : str or Path
            Folder of the bundle.
        name, version : str
            Of the model.
        overwrite : bool
            Whether a bundle that is there already may be replaced.
        """
        check_is_fitted(self, "estimator_")
        made = self.estimator_.made_bundle(name, version)
        return bundle.save(embedder(made, name=name), path, overwrite=overwrite)
