"""Augmentation in training: it repeats to the bit, and nothing but the training part varies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from problem import Interrupt, Problem, same_weights

from tidegate import answers
from tidegate.errors import InputError
from tidegate.schema import Field, Schema, SchemaConfig, Time
from tidegate.spec import CategoryInput, LayerSpec, ModelSpec
from tidegate.tables import EventTable
from tidegate.train import Augment, Epoch, ModelSettings, TrainSettings, train_model
from tidegate.train.plan import make_plan

ALL = Augment(jitter=0.05, scaling=0.1, warp=0.1, slice=0.8, feature_dropout=0.1)
MODES: list[dict[str, Any]] = [{"mode": "sessions"}, {"mode": "lanes", "lanes": 8, "chunk": 6}]


def timeless(history: tuple[Epoch, ...]) -> list[tuple[float, float]]:
    return [(epoch.train_loss, epoch.valid_loss) for epoch in history]


@pytest.mark.parametrize("mode", MODES)
def test_an_interrupted_run_goes_on_to_the_same_weights(
    problem: Problem, tmp_path: Path, mode: dict[str, Any]
) -> None:
    chosen = problem.having(augment=ALL, max_length=12, truncate="random", curriculum=2, **mode)
    whole = problem.network()
    expected = problem.fit(whole, chosen)
    path = tmp_path / "run.checkpoint"
    with pytest.raises(KeyboardInterrupt):
        problem.fit(settings=chosen, checkpoint=path, listeners=[Interrupt(3, 2)])
    resumed = problem.network()
    found = problem.fit(resumed, chosen, checkpoint=path)
    assert same_weights(resumed, whole)
    assert timeless(found.history) == timeless(expected.history)


@pytest.mark.parametrize("mode", MODES)
def test_each_kind_changes_training_and_it_still_learns(
    problem: Problem, mode: dict[str, Any]
) -> None:
    plain = problem.network()
    problem.fit(plain, problem.having(epochs=1, **mode))
    for kind in ("jitter", "scaling", "warp", "slice", "feature_dropout"):
        one = Augment(**{kind: getattr(ALL, kind)})
        varied = problem.network()
        problem.fit(varied, problem.having(epochs=1, augment=one, **mode))
        assert not same_weights(varied, plain), kind
    light = Augment(jitter=0.05, scaling=0.1)
    result = problem.fit(settings=problem.having(epochs=30, patience=30, augment=light, **mode))
    assert result.metrics["auc"] > 0.85


@pytest.mark.parametrize("mode", MODES)
def test_off_trains_on_the_rows_as_they_are(problem: Problem, mode: dict[str, Any]) -> None:
    train = problem.train
    plan = make_plan(train, problem.having(**mode), (0, 1))
    for epoch in (1, 2):
        batches = list(plan.epoch(epoch))
        for batch in batches:
            np.testing.assert_array_equal(batch.rows[batch.real], train.rows[batch.events])
            np.testing.assert_array_equal(batch.labels[batch.real], train.targets[batch.events])
        assert sum(len(batch.events) for batch in batches) == len(train.rows)


@pytest.mark.parametrize("mode", MODES)
def test_validation_and_diagnosis_see_no_augmentation(
    problem: Problem, mode: dict[str, Any]
) -> None:
    """With weights that stand still, only the loss of training moves."""
    still = {"epochs": 3, "learning_rate": 1e-12, "patience": 9, **mode}
    problem = replace(problem, dropout=0.0)
    before = problem.train.rows.copy(), problem.valid.rows.copy()
    plain = problem.fit(settings=problem.having(**still)).history
    varied = problem.fit(settings=problem.having(augment=ALL, **still)).history
    for one, other in zip(plain, varied, strict=True):
        assert other.valid_loss == pytest.approx(one.valid_loss, rel=1e-6)
        assert abs(other.train_loss / one.train_loss - 1) > 1e-5
        assert one.diagnosis is not None
        assert other.diagnosis is not None
        for layer, same in zip(one.diagnosis.layers, other.diagnosis.layers, strict=True):
            assert same.largest == pytest.approx(layer.largest, rel=1e-6)
            assert same.by_lag == pytest.approx(layer.by_lag, rel=1e-4)
    assert len({epoch.train_loss for epoch in varied}) == 3
    np.testing.assert_array_equal(problem.train.rows, before[0])
    np.testing.assert_array_equal(problem.valid.rows, before[1])


def test_a_tables_categories_stay_indices(
    cars: EventTable, more_cars: EventTable, schema: SchemaConfig
) -> None:
    """An embedding would refuse anything else."""
    task = answers.fit_task("classify", "jam", "session", cars.labels, classes=("slower", "faster"))
    settings = TrainSettings(epochs=2, batch_tokens=256, augment=ALL)
    trained = train_model(
        cars,
        more_cars,
        schema=schema,
        task=task,
        model=ModelSettings(hidden_size=4),
        settings=settings,
    )
    assert len(trained.result.history) == 2
    assert trained.schema.measured == (0, 1)


def test_a_bundle_tells_of_it(settings: TrainSettings) -> None:
    """As provenance has settings, and the doctor reads them."""
    chosen = msgspec.structs.replace(settings, augment=ALL)
    assert msgspec.convert(msgspec.to_builtins(chosen), TrainSettings) == chosen


def test_flags_and_clocks_are_not_measured() -> None:
    config = SchemaConfig(
        {
            "lane": Field("category"),
            "speed": Field("numeric", missing="carry", indicator=True),
            "wet": Field("boolean"),
            "load": Field("numeric", scale="log1p"),
        },
        Time(("hour", "delta")),
    )
    columns = {
        "lane": np.array(["a", "b"], object),
        "speed": np.array([1.0, 2.0]),
        "wet": np.array([0.0, 1.0]),
        "load": np.array([3.0, 5.0]),
    }
    fitted = Schema.fit(config, columns, np.array([0.0, 60.0]), np.array([0, 2]))
    measured = [fitted.columns[index] for index in fitted.measured]
    assert measured == ["speed", "load", "time delta"]


def test_numbers_that_are_not_there_cannot_vary(problem: Problem) -> None:
    spec = ModelSpec(1, (LayerSpec("gru", 4),), 1, (CategoryInput(0, 3, 2),))
    train, valid = (
        replace(part, rows=(part.rows[:, :1] > 0).astype(np.float32))
        for part in (problem.train, problem.valid)
    )
    problem = replace(problem, spec=spec, train=train, valid=valid)
    with pytest.raises(InputError) as caught:
        problem.fit(settings=problem.having(augment=Augment(scaling=0.1)))
    assert (caught.value.code, caught.value.field) == ("unused_key", "augment.scaling")
    problem.fit(settings=problem.having(epochs=1, augment=Augment(warp=0.1, slice=0.9)))


def test_windows_that_overlap_are_not_warped() -> None:
    windows = {"max_length": 4, "truncate": "windows", "stride": 2}
    TrainSettings(augment=Augment(jitter=0.1, slice=0.5), **windows)
    with pytest.raises(InputError) as caught:
        TrainSettings(augment=Augment(warp=0.1), **windows)
    assert (caught.value.code, caught.value.field) == ("out_of_range", "augment.warp")
