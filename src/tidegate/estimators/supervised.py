"""Estimators that learn from labels: a class, or a number."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, _check_y

from tidegate import answers
from tidegate.answers.metrics import log_softmax
from tidegate.errors import InputError
from tidegate.estimators.base import RecurrentEstimator
from tidegate.spec import TaskSpec
from tidegate.tables import EventTable

__all__ = ["RecurrentClassifier", "RecurrentRegressor"]

_LABEL = "label"


class RecurrentClassifier(ClassifierMixin, RecurrentEstimator):  # type: ignore[misc]
    __doc__ = f"""Names the class of a sequence, or of each event of one.

    Parameters
    ----------
    class_weight : "balanced" or dict of class to number, optional
        How much each class weighs in the loss.
    calibrate : bool
        Whether probabilities are made to suit the validation part; see `tidegate.tasks.Classify`.
    """
