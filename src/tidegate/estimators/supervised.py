"""Estimators that learn from labels: a class, or a number."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils import check_array
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from tidegate import answers
from tidegate.answers.metrics import log_softmax
from tidegate.estimators.base import RecurrentEstimator

__all__ = ["RecurrentClassifier", "RecurrentRegressor"]


class RecurrentClassifier(ClassifierMixin, RecurrentEstimator):  # type: ignore[misc]
    """Names the class of a sequence, or of each event of one.

    The parameters are those of `RecurrentEstimator`; `task` may hold ``class_weight``, and
    ``calibrate = False``, as section ``[task]`` of a configuration.

    Attributes
    ----------
    classes_ : array (classes,)
        Sorted, in the order of the columns of `predict_proba`.
    trained_, n_features_in_
        As of `RecurrentEstimator`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.normal(size=(int(rng.integers(3, 9)), 1)) for _ in range(200)]
    >>> y = np.array(["up" if x[-1] > x[0] else "down" for x in X])
    >>> model = RecurrentClassifier(hidden_size=8, random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.9)
    True
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from sequences and their classes.

        Parameters
        ----------
        X : frame, list of arrays, or array
            As in `tidegate.estimators.events`.
        y : array (sequences,) or (events,)
            A class for each sequence, in the order of X, or for each event.

        Raises
        ------
        InputError, ValueError
            What makes no sequences, or no classes; from `train_model`.
        """
        y = column_or_1d(y, warn=True)
        check_array(y, ensure_2d=False, dtype=None, input_name="y")
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        names = [str(name) for name in self.classes_.tolist()]
        labels = np.array(names, dtype=object)[codes]
        self._fit(X, labels, {"name": "classify", "classes": tuple(names)})
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probability of each class, (sequences, classes) or (events, classes)."""
        return np.exp(log_softmax(self._logits(X)))

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the likeliest class of each sequence, or of each event."""
        chosen = self._logits(X).argmax(axis=1)
        return np.asarray(self.classes_[chosen])

    def _logits(self, X: Any) -> NDArray[np.float64]:
        outputs = self._answers(X)
        return answers.Classify(self.trained_.task).logits(outputs)


class RecurrentRegressor(RegressorMixin, RecurrentEstimator):  # type: ignore[misc]
    """Estimates a number for a sequence, or for each event of one.

    The parameters are those of `RecurrentEstimator`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(300, 5))  # sequences of one feature
    >>> model = RecurrentRegressor(hidden_size=8, random_state=0).fit(X, X.sum(axis=1))
    >>> bool(model.score(X, X.sum(axis=1)) > 0.9)
    True
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from sequences and their numbers; see `RecurrentClassifier.fit`."""
        numbers = column_or_1d(y, warn=True)
        numbers = check_array(numbers, ensure_2d=False, dtype=np.float64, input_name="y")
        self._fit(X, numbers, {"name": "regress"})
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Return the number of each sequence, or of each event."""
        outputs = self._answers(X)
        return answers.open(self.trained_.task).scores(outputs)
