"""scikit-learn's own checks."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from unittest import SkipTest

from sklearn.utils.estimator_checks import parametrize_with_checks

from tidegate import estimators
from tidegate.estimators import (
    RecurrentAnomalyDetector,
    RecurrentClassifier,
    RecurrentEmbedder,
    RecurrentForecaster,
    RecurrentRegressor,
)

SMALL: dict[str, Any] = {"hidden_size": 8, "epochs": 20, "batch_tokens": 128}
QUICK: dict[str, Any] = {"hidden_size": 4, "epochs": 2, "batch_tokens": 512, "random_state": 0}
CHECKED = [
    RecurrentClassifier(**SMALL),
    RecurrentRegressor(**SMALL),
    RecurrentAnomalyDetector(**QUICK, per="session", false_alarm_rate=0.05),
    RecurrentEmbedder(RecurrentAnomalyDetector(**QUICK)),
    RecurrentForecaster(**QUICK, horizons=1, validation_fraction=0),
]
LONGER = "A row is a series, and may be longer after `fit`: it has one feature."
EXPECTED: dict[str, dict[str, str]] = {
    "RecurrentRegressor": {
        "check_regressors_train": "One of ten numbers matters: here one step of ten, and to learn "
        "which takes more epochs than a check should last.",
    },
    "RecurrentForecaster": {
        "check_n_features_in": LONGER,
        "check_n_features_in_after_fitting": LONGER,
        "check_fit2d_1feature": "One value is a series that is too short, and the error says that.",
    },
}
NOT_CHECKED = {
    "RecurrentRecommender": "X holds items, not numbers that are measured.",
    "RecurrentTagger": "y has a label for each event, and the checks' have one for each row.",
    "RecurrentLanguageModel": "X holds texts, not numbers.",
}


def test_each_estimator_is_checked_or_says_why_not() -> None:
    checked = {type(estimator).__name__ for estimator in CHECKED}
    assert not checked & NOT_CHECKED.keys()
    assert checked | NOT_CHECKED.keys() == set(estimators.__all__)
    assert sum(map(len, EXPECTED.values())) <= 8


@parametrize_with_checks(
    CHECKED,
    expected_failed_checks=lambda estimator: EXPECTED.get(type(estimator).__name__, {}),
)
def test_scikit_learns_checks(estimator: Any, check: Any) -> None:
    with suppress(SkipTest):  # what needs SCIPY_ARRAY_API in the environment
        check(estimator)
