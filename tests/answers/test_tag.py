"""Labels of each event: entities where they tell some, and few probabilities of many labels."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support

from tidegate import answers
from tidegate.errors import InputError
from tidegate.spec import TaskSpec

CLASSES = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
TASK = TaskSpec("tag", "entity", classes=CLASSES)


def drawn(seed: int, n: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return (
        rng.standard_normal((n, classes)).astype(np.float32),
        rng.integers(0, classes, n).astype(np.float64),
    )


def test_entities_are_measured_as_seqeval_does() -> None:
    outputs, truth = drawn(0, 400, len(CLASSES))
    offsets = np.array([0, 3, 3, 90, 400])
    found = answers.open(TASK).metrics(outputs, truth, offsets)

    def named(indices: np.ndarray) -> list[list[str]]:
        names = [CLASSES[int(at)] for at in indices]
        return [names[a:b] for a, b in pairwise(offsets) if a < b]

    expected = precision_recall_fscore_support(
        named(truth), named(outputs.argmax(axis=1)), average="micro"
    )
    measured = [found[name] for name in ("precision", "recall", "f1", "entities")]
    assert measured == pytest.approx(list(expected))
    assert found["accuracy"] == (outputs.argmax(axis=1) == truth).mean()
    assert {name for name in found if name[:3] == "f1 "} == {"f1 PER", "f1 LOC"}


def test_events_without_label_are_outside() -> None:
    """The entity ends before the hole, and what is answered in it counts for nothing."""
    truth = np.array([1, 2, np.nan, 2, 0.0])
    outputs = np.eye(5, dtype=np.float32)[[1, 2, 1, 2, 0]]
    found = answers.open(TASK).metrics(outputs, truth)
    assert (found["n"], found["entities"], found["f1"], found["accuracy"]) == (4, 2, 1.0, 1.0)


def test_other_labels_have_no_entities() -> None:
    outputs, truth = drawn(1, 50, 4)
    task = TaskSpec("tag", "pos", classes=("at", "nn", "vb", "jj"))
    found = answers.open(task).metrics(outputs, truth, np.array([0, 50]))
    assert list(found) == ["n", "log_loss", "brier", "accuracy"]
    assert answers.open(TASK).metrics(outputs[:2], np.full(2, np.nan)) == {"n": 0}


def test_of_many_labels_the_likeliest_five_are_named() -> None:
    task = TaskSpec("tag", "pos", classes=tuple(f"t{at}" for at in range(30)))
    outputs, _ = drawn(2, 3, 30)
    outputs[0, [4, 9]] = 5.0  # equal: the first one leads
    opened = answers.open(task)
    for answer, row in zip(opened.answer(outputs), outputs, strict=True):
        order = np.argsort(-row, kind="stable")[:5]
        assert list(answer["probabilities"]) == [f"t{at}" for at in order]
        assert answer["label"] == f"t{order[0]}"
    assert opened.schema()["properties"]["probabilities"]["maxProperties"] == 5
    labels, names = opened.columns(outputs)["label"]
    assert [names[at] for at in labels] == [a["label"] for a in opened.answer(outputs)]
    assert opened.summary.endswith("t19 and 10 more")


def test_classes_are_fitted_and_others_refused() -> None:
    labels = np.array(["O", "B-PER", None, "I-PER"], dtype=object)
    task = answers.fit_task("tag", "entity", "event", labels)
    assert (task.name, task.classes) == ("tag", ("B-PER", "I-PER", "O"))
    with pytest.raises(InputError, match="'B-LOC' is not among") as refused:
        answers.encode_labels(task, np.array(["O", "B-LOC"], dtype=object))
    assert (refused.value.code, refused.value.row) == ("unknown_class", 1)
    with pytest.raises(InputError, match="each event") as refused:
        answers.fit_task("tag", "entity", "session", labels)
    assert (refused.value.code, refused.value.field) == ("bad_config", "task.per")


def test_a_column_of_other_numbers_is_refused() -> None:
    with pytest.raises(InputError, match=r"0\.5 is not the name of a class"):
        answers.fit_task("tag", "entity", "event", np.array([1.0, 0.5]))
