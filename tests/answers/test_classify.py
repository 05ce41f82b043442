from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from tidegate import answers
from tidegate.answers.classify import Classify
from tidegate.spec import TaskSpec

TWO = TaskSpec("classify", "outcome", classes=("on_time", "late"))
MANY = TaskSpec("classify", "size", classes=("s", "m", "l", "xl"))


def outputs_of(task: TaskSpec, n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (3 * rng.standard_normal((n, task.output_size))).astype(np.float32)


def binned(confidence: np.ndarray, right: np.ndarray) -> float:
    """The expected calibration error, as its paper writes it."""
    total = 0.0
    for i in range(15):
        inside = (confidence > i / 15) & (confidence <= (i + 1) / 15)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return total


@pytest.mark.parametrize("task", [TWO, MANY])
def test_probabilities_are_those_of_the_softmax(task: TaskSpec) -> None:
    outputs = outputs_of(task, 50)
    logits = outputs.astype(np.float64)
    if task is TWO:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for answer, row in zip(answers.open(task).answer(outputs), expected, strict=True):
        assert list(answer["probabilities"]) == list(task.classes)
        found = list(answer["probabilities"].values())
        np.testing.assert_allclose(found, row, rtol=1e-14)
        assert answer["label"] == task.classes[int(row.argmax())]


@pytest.mark.parametrize("task", [TWO, MANY])
def test_an_answer_does_not_depend_on_the_batch(task: TaskSpec) -> None:
    outputs = outputs_of(task, 67)
    opened = answers.open(task)
    alone = [opened.answer(outputs[i : i + 1])[0] for i in range(len(outputs))]
    for size in (2, 3, 7, 8, 16, 67):
        parts = [opened.answer(outputs[i : i + size]) for i in range(0, len(outputs), size)]
        assert [answer for part in parts for answer in part] == alone


@pytest.mark.parametrize("logit", [-1e30, -800.0, -40.0, 0.0, 40.0, 800.0, 1e30])
def test_extreme_logits_give_finite_probabilities(logit: float) -> None:
    (answer,) = answers.open(TWO).answer(np.array([[logit]], dtype=np.float32))
    first, second = answer["probabilities"].values()
    assert first + second == 1.0
    assert second == pytest.approx(1 / (1 + math.exp(min(-logit, 700.0))))
    (answer,) = answers.open(MANY).answer(np.array([[logit, 0, 0, 0]], dtype=np.float32))
    assert math.fsum(answer["probabilities"].values()) == pytest.approx(1.0, abs=1e-15)


def test_of_equal_probabilities_the_first_class_is_named() -> None:
    assert answers.open(TWO).answer(np.zeros((1, 1), dtype=np.float32))[0]["label"] == "on_time"
    assert answers.open(MANY).answer(np.zeros((1, 4), dtype=np.float32))[0]["label"] == "s"


def test_metrics_of_two_classes_are_those_of_scikit_learn() -> None:
    outputs = outputs_of(TWO, 300).round(1)  # ties
    labels = np.random.default_rng(1).integers(0, 2, 300).astype(np.float64)
    probability = 1 / (1 + np.exp(-outputs[:, 0].astype(np.float64)))
    found = answers.open(TWO).metrics(outputs, labels)
    assert found == pytest.approx(
        {
            "n": 300,
            "auc": sk.roc_auc_score(labels, outputs[:, 0]),
            "log_loss": sk.log_loss(labels, probability),
            "brier": sk.brier_score_loss(labels, probability),
            "accuracy": sk.accuracy_score(labels, probability > 0.5),
            "ece": binned(np.maximum(probability, 1 - probability), (probability > 0.5) == labels),
            "average_precision": sk.average_precision_score(labels, outputs[:, 0]),
            "precision_at_k": found["precision_at_k"],  # see test_metrics.py
        },
        rel=1e-12,
    )


def test_metrics_of_many_classes_are_those_of_scikit_learn() -> None:
    outputs = outputs_of(MANY, 300)
    labels = np.random.default_rng(1).integers(0, 4, 300).astype(np.float64)
    exps = np.exp(outputs.astype(np.float64))
    probabilities = exps / exps.sum(axis=1, keepdims=True)
    found = answers.open(MANY).metrics(outputs, labels)
    assert found == pytest.approx(
        {
            "n": 300,
            "log_loss": sk.log_loss(labels, probabilities),
            "brier": ((probabilities - np.eye(4)[labels.astype(int)]) ** 2).sum(axis=1).mean(),
            "accuracy": sk.accuracy_score(labels, probabilities.argmax(axis=1)),
            "ece": binned(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels),
        },
        rel=1e-12,
    )


def test_log_loss_survives_a_confident_mistake() -> None:
    found = answers.open(TWO).metrics(np.array([[1000.0]], dtype=np.float32), np.array([0.0]))
    assert found["log_loss"] == 1000.0


def test_events_without_label_do_not_count() -> None:
    outputs = outputs_of(TWO, 20)
    labels = np.tile([0.0, 1.0], 10)
    labels[5:12] = np.nan
    kept = ~np.isnan(labels)
    opened = answers.open(TWO)
    assert opened.metrics(outputs, labels) == opened.metrics(outputs[kept], labels[kept])
    assert opened.metrics(outputs, labels)["n"] == 13


def test_metrics_that_the_labels_do_not_define_are_left_out() -> None:
    opened = answers.open(TWO)
    assert opened.metrics(outputs_of(TWO, 3), np.full(3, np.nan)) == {"n": 0.0}
    assert "auc" not in opened.metrics(outputs_of(TWO, 3), np.ones(3))
    assert "auc" not in opened.metrics(outputs_of(TWO, 3), np.zeros(3))


def test_scores_are_the_second_probability_or_the_largest() -> None:
    for task, pick in ((TWO, lambda p: p["late"]), (MANY, lambda p: max(p.values()))):
        outputs = outputs_of(task, 20)
        opened = answers.open(task)
        expected = [pick(answer["probabilities"]) for answer in opened.answer(outputs)]
        np.testing.assert_allclose(opened.scores(outputs), expected, rtol=1e-14)
        assert opened.scores(outputs).dtype == np.float64


@pytest.mark.parametrize("task", [TWO, MANY])
def test_members_are_those_of_the_answers_to_the_bit(task: TaskSpec) -> None:
    outputs = outputs_of(task, 300)
    outputs[0], outputs[1], outputs[2] = 0.0, 80.0, -1e30
    opened = Classify(task)
    members = opened.members(outputs)
    indices, texts = members.pop("label")
    for row, answer in enumerate(opened.answer(outputs)):
        assert texts[indices[row]] == answer["label"]
        for name, share in answer["probabilities"].items():
            assert members[f"probabilities.{name}"][row] == share
    assert len(members) == len(task.classes)
