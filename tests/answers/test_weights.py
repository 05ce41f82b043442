from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from tidegate import answers
from tidegate.answers.weights import class_weights
from tidegate.errors import InputError

LABELS = np.array(["a", "b", "a", None, "c", "a"], dtype=object)


def test_balanced_is_that_of_scikit_learn() -> None:
    task = answers.fit_task("classify", "y", "event", LABELS, class_weight="balanced")
    known = [label for label in LABELS if label]
    expected = compute_class_weight("balanced", classes=np.array(task.classes), y=known)
    np.testing.assert_allclose(task.class_weights, expected)


def test_a_class_that_is_not_named_weighs_one() -> None:
    task = answers.fit_task("classify", "y", "event", LABELS, class_weight={"c": 3})
    assert task.class_weights == (1.0, 1.0, 3.0)
    assert answers.fit_task("classify", "y", "event", LABELS).class_weights == ()


@pytest.mark.parametrize(
    ("wanted", "code", "said"),
    [
        ("balanced", "empty_class", "'d'"),
        ({"e": 1.0}, "unknown_class", "'e'"),
        ({"a": 0.0}, "out_of_range", "'a'"),
        ({"a": float("inf")}, "out_of_range", "inf"),
    ],
)
def test_what_makes_no_weights_is_refused(wanted: object, code: str, said: str) -> None:
    labels = np.array([0.0, 1.0, 2.0])
    with pytest.raises(InputError, match=said) as refused:
        class_weights(("a", "b", "c", "d"), labels, wanted)  # type: ignore[arg-type]
    assert (refused.value.code, refused.value.field) == (code, "class_weight")
