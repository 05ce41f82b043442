from __future__ import annotations

import numpy as np
import pytest

from tidegate.answers import encode_labels, fit_task, session_labels, task_labels
from tidegate.errors import InputError
from tidegate.spec import TaskSpec


def text(*values: str | None) -> np.ndarray:
    return np.array(values, dtype=object)


def test_classes_are_those_that_occur_in_order() -> None:
    assert fit_task("classify", "y", "event", text("b", None, "a", "b")).classes == ("a", "b")
    numbers = np.array([10.0, 2.0, np.nan, -1.0])
    assert fit_task("classify", "y", "event", numbers).classes == ("-1", "2", "10")
    booleans = np.array([True, False])
    assert fit_task("classify", "y", "event", booleans).classes == ("0", "1")


def test_given_classes_keep_their_order() -> None:
    task = fit_task("classify", "y", "session", text("a", "b"), classes=("c", "b", "a"))
    assert task == TaskSpec("classify", "y", "session", classes=("c", "b", "a"))
    np.testing.assert_array_equal(encode_labels(task, text("a", None, "c")), [2, np.nan, 0])


def test_the_target_is_scaled_by_its_training_labels() -> None:
    task = fit_task("regress", "y", "event", np.array([1.0, np.nan, 5.0]))
    assert (task.target_mean, task.target_scale) == (3.0, 2.0)
    assert fit_task("regress", "y", "event", np.array([4.0, 4.0])).target_scale == 1.0


@pytest.mark.parametrize(
    ("name", "labels", "classes", "code", "said"),
    [
        ("classify", text(None), (), "no_labels", ""),
        ("regress", np.array([np.nan]), (), "no_labels", ""),
        ("classify", text("a", "a"), (), "one_class", "'a'"),
        ("classify", text("a", "b"), ("a",), "one_class", "'a'"),
        ("classify", text("a", "b"), ("a", "b", "a"), "repeated_class", "'a'"),
        ("classify", text("a", "c"), ("a", "b"), "unknown_class", "row 2: 'c'"),
        ("classify", np.array([0.0, 0.5]), (), "wrong_type", "row 2: 0.5"),
        ("regress", text(None, "x"), (), "wrong_type", "row 2: 'x'"),
        ("regress", np.array([1.0, np.inf]), (), "not_finite", "row 2: inf"),
    ],
)
def test_labels_that_fit_no_task_are_refused_by_name(
    name: str, labels: np.ndarray, classes: tuple[str, ...], code: str, said: str
) -> None:
    with pytest.raises(InputError) as caught:
        fit_task(name, "y", "event", labels, classes=classes)
    assert (caught.value.code, caught.value.field) == (code, "y")
    assert said in caught.value.message
    assert caught.value.hint


def test_a_class_that_training_never_saw_is_refused() -> None:
    task = fit_task("classify", "y", "event", text("a", "b"))
    with pytest.raises(InputError, match="row 2: 'c' is not among"):
        encode_labels(task, text("a", "c"))


def test_a_session_keeps_its_last_label() -> None:
    labels = np.array([0.0, 1.0, 2.0, np.nan, 4.0])
    kept = session_labels(labels, np.array([0, 2, 2, 4, 5]))
    np.testing.assert_array_equal(kept, [np.nan, 1.0, np.nan, np.nan, 4.0])


def test_per_session_the_labels_of_earlier_events_may_be_anything() -> None:
    offsets = np.array([0, 2, 3, 5])
    task = fit_task("classify", "y", "session", text("a", "b"))
    got = task_labels(task, text("open", "b", "a", None, None), offsets)
    np.testing.assert_array_equal(got, [np.nan, 1.0, 0.0, np.nan, np.nan])
    with pytest.raises(InputError, match="row 3: 'open' is not among"):
        task_labels(task, text("a", "b", "open", None, "a"), offsets)

    task = fit_task("regress", "y", "session", np.array([1.0, 2.0]))
    got = task_labels(task, np.array([np.inf, 2.0, 1.0, 7.0, np.nan]), offsets)
    np.testing.assert_array_equal(got, [np.nan, 2.0, 1.0, np.nan, np.nan])
    with pytest.raises(InputError, match="row 2: inf"):
        task_labels(task, np.array([0.0, np.inf, 1.0, 7.0, 1.0]), offsets)

    task = fit_task("classify", "y", "event", text("a", "b"))
    np.testing.assert_array_equal(task_labels(task, text("a", "b"), np.array([0, 2])), [0.0, 1.0])


def test_a_message_does_not_list_thousands_of_classes() -> None:
    names = text(*(f"c{at:04}" for at in range(3000)))
    task = fit_task("classify", "y", "event", names)
    with pytest.raises(InputError, match="'c0009'] and 2,990 more") as caught:
        encode_labels(task, text("never"))
    assert len(str(caught.value)) < 400
    with pytest.raises(InputError, match="'b' is named twice"):
        fit_task("classify", "y", "event", text("a"), classes=("a", "b", "c", "b"))


def test_numbers_too_large_to_scale_are_refused() -> None:
    with pytest.raises(InputError, match=r"y: the labels reach 1e\+308.*out_of_range"):
        fit_task("regress", "y", "event", np.array([1e308, -1e308]))
