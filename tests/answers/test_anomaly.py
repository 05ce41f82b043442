from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from tidegate import answers
from tidegate.answers.anomaly import threshold
from tidegate.errors import InputError
from tidegate.schema import Field, Schema, SchemaConfig
from tidegate.spec import AnomalySpec, SurprisePart, TaskSpec

PARTS = (SurprisePart("gaussian", 0, 0), SurprisePart("categorical", 1, 2, 3))
TASK = TaskSpec("anomaly", "odd", anomaly=AnomalySpec(("heat", 'mo"de'), PARTS, threshold=1.0))
SCHEMA = Schema.fit(
    SchemaConfig({"heat": Field("numeric")}),
    {"heat": np.zeros(1)},
    np.zeros(1),
    np.array([0, 1]),
)


@dataclass
class Table:
    labels: Any
    times: Any
    columns: Any = None
    offsets: Any = None

    @classmethod
    def of(cls, labels: Any) -> Table:
        return cls(labels, np.zeros(3))


def drawn(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of events, with ties, and labels; those of the last hundred are not known."""
    rng = np.random.default_rng(2)
    outputs = rng.normal(0, 1, (n, 3)).round(1).astype(np.float32)
    truth = (rng.random(n) < 0.2 + 0.3 * (outputs[:, 0] > 1)).astype(np.float64)
    truth[-100:] = np.nan
    return outputs, truth


def test_metrics_are_those_of_scikit_learn() -> None:
    outputs, truth = drawn()
    known = ~np.isnan(truth)
    scores, labels = outputs[known, 0].astype(np.float64), truth[known]
    alarms = outputs[:, 0] > 1.0
    assert answers.open(TASK).metrics(outputs, truth) == pytest.approx(
        {
            "n": 400,
            "alarm_rate": alarms.mean(),
            "false_alarm_rate": alarms[truth != 1].mean(),
            "nats": outputs[truth != 1, 0].astype(np.float64).mean(),
            "anomalies": labels.sum(),
            "precision": sk.precision_score(labels, scores > 1.0),
            "recall": sk.recall_score(labels, scores > 1.0),
            "f1": sk.f1_score(labels, scores > 1.0),
            "average_precision": sk.average_precision_score(labels, scores),
            "auc": sk.roc_auc_score(labels, scores),
        },
        rel=1e-12,
    )


def test_metrics_that_labels_do_not_define_are_left_out() -> None:
    outputs, _ = drawn(10)
    opened = answers.open(TASK)
    few = {"n", "alarm_rate", "false_alarm_rate", "nats"}
    assert opened.metrics(outputs, np.full(10, np.nan)).keys() == few
    assert opened.metrics(outputs, np.zeros(10)).keys() == few
    assert opened.metrics(outputs[:0], np.zeros(0)) == {"n": 0}
    unset = answers.open(
        msgspec.structs.replace(TASK, anomaly=AnomalySpec(TASK.anomaly.fields, PARTS))
    )
    few = {"n", "nats", "anomalies", "average_precision", "auc"}
    assert unset.metrics(outputs, np.arange(10.0) % 2).keys() == few
    quiet = np.full((2, 3), -1.0, np.float32)
    found = opened.metrics(quiet, np.ones(2))
    assert found.keys().isdisjoint({"precision", "auc", "nats", "false_alarm_rate"})
    assert found["recall"] == found["f1"] == 0.0


def test_an_answer_does_not_depend_on_the_batch_and_is_what_its_columns_say() -> None:
    outputs, _ = drawn(50)
    opened = answers.open(TASK)
    together = opened.answer(outputs)
    assert together == [opened.answer(outputs[i : i + 1])[0] for i in range(50)]
    columns = opened.columns(outputs)
    for at, answer in enumerate(together):
        assert answer["score"] == columns["score"][at]
        assert answer["anomalous"] == (columns["anomalous"][at] == 1)
        assert answer["anomalous"] == (outputs[at, 0] > 1)
        assert answer["fields"]["heat"] == columns["score of heat"][at]


NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@settings(max_examples=200, deadline=None)
@given(st.lists(NUMBERS, min_size=3, max_size=3), NUMBERS | st.just(float("inf")))
def test_json_in_c_is_that_of_the_library(row: list[float], limit: float) -> None:
    spec = msgspec.structs.replace(TASK.anomaly, threshold=limit)
    opened = answers.open(msgspec.structs.replace(TASK, anomaly=spec))
    outputs = np.array([row, [limit, 0, 0]], np.float32)
    expected = [msgspec.json.encode(answer) for answer in opened.answer(outputs)]
    assert opened.json("1").answers(outputs) == expected


def test_labels_say_yes_or_no() -> None:
    opened = answers.open(TASK)
    labels = np.array([0.0, 1.0, np.nan])
    np.testing.assert_array_equal(opened.truth(Table.of(labels), SCHEMA), labels)
    nothing = np.array([None, None, None], dtype=object)
    for without in (None, nothing):
        assert np.isnan(opened.truth(Table.of(without), SCHEMA)).all()
    for wrong in (np.array([0.0, 21.5, 3.0]), np.array([None, "late", None], dtype=object)):
        with pytest.raises(InputError, match="right column") as caught:
            opened.truth(Table.of(wrong), SCHEMA)
        assert (caught.value.code, caught.value.row) == ("wrong_label", 1)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3000), st.sampled_from([0.5, 0.1, 0.01, 0.001]), st.integers(0, 9))
def test_no_larger_share_is_above_the_threshold(n: int, rate: float, seed: int) -> None:
    scores = np.random.default_rng(seed).normal(size=n)
    found = threshold(scores, rate)
    assert (scores > found).sum() <= rate * n
    if n + 1 >= 1 / rate:  # one event less would be enough to let too many pass
        assert ((scores >= found).sum() + 1) > rate * (n + 1) * (1 - 1e-9)


def test_of_new_events_no_larger_share_is_above_it_on_average() -> None:
    rng = np.random.default_rng(5)
    rates = [
        (rng.normal(size=2000) > threshold(rng.normal(size=199), 0.05)).mean() for _ in range(400)
    ]
    assert np.mean(rates) == pytest.approx(0.05, abs=0.003)
