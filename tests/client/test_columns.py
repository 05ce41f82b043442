"""Cells of an answer's JSON are what the answer half gives as columns, to the bit."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from tidegate import answers, scoring
from tidegate.client import columns
from tidegate.errors import InputError
from tidegate.spec import AnomalySpec, ForecastSpec, ItemsSpec, SurprisePart, TaskSpec

THREE = ("<s>", "m", "l.x")
HOURS = ForecastSpec((1, 24), (0.1, 0.5, 0.9), "pinball", coverage=0.8, margins=(0.5, 1.0))
PARTS = (SurprisePart("gaussian", 0, 0), SurprisePart("gaussian", 1, 2))
TASKS = (
    TaskSpec("classify", "late", classes=("no", "yes")),
    TaskSpec("classify", "size", classes=THREE),
    TaskSpec("tag", "entity", classes=("O", "B-x")),
    TaskSpec("tag", "entity", classes=("O", "B-x", "I-x")),
    TaskSpec("regress", "delay", target_mean=3.1, target_scale=2.7),
    TaskSpec("forecast", "y", target_mean=3.1, forecast=ForecastSpec((1, 2), log=True)),
    TaskSpec("forecast", "y", target_mean=3.1, target_scale=2.7, forecast=HOURS),
    TaskSpec("next_item", "item", classes=("", *THREE), items=ItemsSpec(top=2)),
    TaskSpec("language", "token", classes=("", *THREE), items=ItemsSpec(top=2)),
    TaskSpec("anomaly", "", anomaly=AnomalySpec(("heat", "load"), PARTS, threshold=0.1)),
    TaskSpec("embed", "state", classes=("h0", "h1")),
)


def numbers(task: TaskSpec) -> np.ndarray:
    rng = np.random.default_rng(4)
    if task.name == "next_item":
        named = [rng.permutation(3)[:2] + 1 for _ in range(20)]
        return np.concatenate([rng.normal(size=(20, 2)), named], axis=1).astype(np.float32)
    size = 3 if task.name == "anomaly" else task.output_size
    return rng.normal(size=(20, size)).astype(np.float32)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: f"{task.name}-{task.output_size}")
def test_cells_are_those_of_the_columns(task: TaskSpec) -> None:
    half, outputs = answers.open(task), numbers(task)
    expected = scoring.columns_of(half, outputs)
    described: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(task))
    found = columns.of(described)
    assert found.names == tuple(expected)
    assert found.texts == {name for name, each in expected.items() if each.dtype == object}
    for row, answer in enumerate(half.answer(outputs)):
        sent = msgspec.json.decode(msgspec.json.encode(answer))
        assert found.cells(sent) == [each[row] for each in expected.values()]


def test_every_task_has_columns() -> None:
    assert {task.name for task in TASKS} == {*answers._HALVES}


def test_a_task_of_a_later_version_is_refused() -> None:
    with pytest.raises(InputError, match="use a client of the server's version") as refused:
        columns.of({"name": "prophesy"})
    assert refused.value.code == "unknown_task"
