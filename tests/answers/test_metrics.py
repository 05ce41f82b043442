from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from tidegate.answers import metrics

EVENTS = st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30).filter(
    lambda events: len({positive for _, positive in events}) == 2
)


@settings(max_examples=50, deadline=None)
@given(EVENTS)
def test_roc_auc_counts_ties_as_scikit_learn_does(events: list[tuple[int, bool]]) -> None:
    scores = np.array([score for score, _ in events], dtype=np.float64)
    positive = np.array([positive for _, positive in events])
    assert metrics.roc_auc(scores, positive) == pytest.approx(roc_auc_score(positive, scores))


@settings(max_examples=50, deadline=None)
@given(EVENTS)
def test_average_precision_is_that_of_scikit_learn(events: list[tuple[int, bool]]) -> None:
    scores = np.array([score for score, _ in events], dtype=np.float64)
    positive = np.array([positive for _, positive in events])
    expected = average_precision_score(positive, scores)
    assert metrics.average_precision(scores, positive) == pytest.approx(expected)


@settings(max_examples=50, deadline=None)
@given(EVENTS, st.integers(1, 30))
def test_precision_at_k_is_the_mean_over_the_orders_of_equals(
    events: list[tuple[int, bool]], k: int
) -> None:
    k = min(k, len(events))
    scores = np.array([score for score, _ in events], dtype=np.float64)
    positive = np.array([positive for _, positive in events])
    edge = np.sort(scores)[-k]
    sure, equal = positive[scores > edge], positive[scores == edge]
    expected = (sure.sum() + (k - len(sure)) * equal.mean()) / k
    assert metrics.precision_at_k(scores, positive, k) == pytest.approx(expected)


def test_log_softmax_does_not_overflow() -> None:
    found = metrics.log_softmax(np.array([[1e4, 0.0], [-1e4, 0.0]]))
    np.testing.assert_array_equal(found, [[0.0, -1e4], [-1e4, 0.0]])


def test_a_bin_of_the_calibration_error_holds_its_upper_end() -> None:
    """A confidence of 0.5 is of the bin that ends there: 0.6 is of the next one."""
    logits = np.log(np.array([[0.5, 0.5], [0.6, 0.4]]))
    assert metrics.ece(logits, np.array([0, 1]), bins=4) == pytest.approx((0.5 + 0.6) / 2)
