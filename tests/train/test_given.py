from __future__ import annotations

import msgspec
import numpy as np
import pytest

from tidegate import tasks
from tidegate.spec import CategoryInput, LayerSpec, ModelSpec, TaskSpec
from tidegate.train.given import Column, Given
from tidegate.train.sequences import Sequences
from tidegate.train.settings import TrainSettings

SPEC = ModelSpec(3, (LayerSpec("gru", 4),), 1, (CategoryInput(1, 5, 2),))


def part(columns: tuple[str, ...]) -> Sequences:
    rows = np.array([[1, 4, 0], [2, 3, np.nan], [3, 2, 0], [np.inf, 1, 0]], np.float32)
    labels = np.array([0.0, 1.0, np.nan, 1.0])
    return Sequences(rows, np.array([0, 3, 4]), labels, labels.astype(np.float32), (), columns)


def test_the_training_part_in_numbers() -> None:
    task = tasks.open(TaskSpec("classify", "y", classes=("a", "b")))
    found = Given.of(SPEC, TrainSettings(), task, part(("speed", "lane", "fuel")))
    speed, fuel = found.columns  # a category's index has no size
    assert speed == Column("speed", 2.0, pytest.approx(np.std([1, 2, 3])), 3.0, 1)
    assert fuel == Column("fuel", 0.0, 0.0, 0.0, 1)
    assert found.constant_loss == pytest.approx(-np.log(1 / 3) / 3 - 2 * np.log(2 / 3) / 3)
    assert found.lengths is not None
    assert (found.lengths.sessions, found.lengths.max) == (2, 3)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Given) == found


def test_columns_without_names_and_without_diagnostics() -> None:
    task = tasks.open(TaskSpec("regress", "y"))
    found = Given.of(SPEC, TrainSettings(), task, part(()))
    assert [column.name for column in found.columns] == ["column 0", "column 2"]
    bare = Given.of(SPEC, TrainSettings(diagnostics=False), task, part(()))
    assert (bare.columns, bare.constant_loss) == ((), None)


def test_columns_of_nothing_finite() -> None:
    rows = np.full((2, 1), np.nan, np.float32)
    labels = np.zeros(2)
    nothing = Sequences(rows, np.array([0, 2]), labels, labels.astype(np.float32))
    spec = ModelSpec(1, (LayerSpec("gru", 4),), 1)
    found = Given.of(spec, TrainSettings(), tasks.open(TaskSpec("regress", "y")), nothing)
    assert found.columns == (Column("column 0", 0.0, 0.0, 0.0, 2),)
