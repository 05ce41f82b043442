from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from tidegate import answers
from tidegate.spec import TaskSpec

TASK = TaskSpec("regress", "delay", target_mean=12.5, target_scale=30.0)


def test_metrics_are_those_of_scikit_learn_in_the_labels_unit() -> None:
    rng = np.random.default_rng(0)
    outputs = rng.standard_normal((100, 1)).astype(np.float32)
    values = outputs[:, 0].astype(np.float64) * 30 + 12.5
    labels = values + rng.standard_normal(100)
    labels[::7] = np.nan
    known = ~np.isnan(labels)
    assert answers.open(TASK).metrics(outputs, labels) == pytest.approx(
        {
            "n": known.sum(),
            "mae": sk.mean_absolute_error(labels[known], values[known]),
            "rmse": sk.root_mean_squared_error(labels[known], values[known]),
            "r2": sk.r2_score(labels[known], values[known]),
        },
        rel=1e-12,
    )


def test_metrics_that_the_labels_do_not_define_are_left_out() -> None:
    outputs = np.zeros((2, 1), dtype=np.float32)
    opened = answers.open(TASK)
    assert opened.metrics(outputs, np.full(2, np.nan)) == {"n": 0.0}
    assert opened.metrics(outputs, np.full(2, 3.0)) == {"n": 2.0, "mae": 9.5, "rmse": 9.5}


def test_an_answer_does_not_depend_on_the_batch() -> None:
    outputs = np.random.default_rng(0).standard_normal((33, 1)).astype(np.float32)
    opened = answers.open(TASK)
    together = opened.answer(outputs)
    assert together == [opened.answer(outputs[i : i + 1])[0] for i in range(33)]
    assert [answer["value"] for answer in together] == opened.scores(outputs).tolist()
