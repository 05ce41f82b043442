"""scikit-learn's own checks."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from unittest import SkipTest

from sklearn.utils.estimator_checks import parametrize_with_checks

from tidegate.estimators import RecurrentClassifier, RecurrentRegressor

SMALL: dict[str, Any] = {"hidden_size": 8, "epochs": 20, "batch_tokens": 128}
EXPECTED = {
    "check_regressors_train": "One of ten numbers matters: here one step of ten, and to learn "
    "which takes more epochs than a check should last.",
}


@parametrize_with_checks(
    [RecurrentClassifier(**SMALL), RecurrentRegressor(**SMALL)],
    expected_failed_checks=lambda estimator: (
        EXPECTED if isinstance(estimator, RecurrentRegressor) else {}
    ),
)
def test_scikit_learns_checks(estimator: Any, check: Any) -> None:
    with suppress(SkipTest):  # what needs SCIPY_ARRAY_API in the environment
        check(estimator)
