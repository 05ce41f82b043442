from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import pytest

from tidegate import answers
from tidegate.engine import offline
from tidegate.errors import InputError
from tidegate.nn import to_bundle
from tidegate.schema import Schema, SchemaConfig
from tidegate.tables import EventTable
from tidegate.train import (
    Epoch,
    ModelSettings,
    Trained,
    TrainSettings,
    save_bundle,
    train_model,
)

MODEL = ModelSettings(hidden_size=8)
SETTINGS = TrainSettings(epochs=2, batch_tokens=256, learning_rate=0.02, warmup_steps=5)


def trained_on(
    cars: EventTable,
    more_cars: EventTable,
    schema: SchemaConfig | Schema,
    *,
    per: str = "event",
    model: ModelSettings = MODEL,
) -> Trained:
    task = answers.fit_task("classify", "jam", per, cars.labels, classes=("slower", "faster"))
    return train_model(cars, more_cars, schema=schema, task=task, model=model, settings=SETTINGS)


OPTIONS: dict[str, dict[str, Any]] = {
    "gru": {"reset_after": False, "layer_norm": True, "recurrent_dropout": 0.1},
    "lstm": {"peephole": True, "zoneout": 0.1, "learned_initial_state": True, "residual": True},
    "rnn": {"bidirectional": True, "bias": "single", "weight_dropout": 0.1},
}


@pytest.mark.parametrize("options", [True, False])
@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
def test_scoring_gives_the_numbers_of_training(
    cars: EventTable,
    more_cars: EventTable,
    schema: SchemaConfig,
    tmp_path: Path,
    cell: str,
    options: bool,
) -> None:
    chosen = OPTIONS[cell] if options else {}
    model = ModelSettings(cell=cell, hidden_size=8, num_layers=2, dropout=0.2, **chosen)
    trained = trained_on(cars, more_cars, schema, model=model)
    bundle = save_bundle(trained, tmp_path / "bundle", name="jams", version="1")
    outputs = trained.outputs(more_cars)
    columns, times, offsets = more_cars.columns, more_cars.times, more_cars.offsets
    for backend in ("native", "reference"):
        scored = offline.outputs(offline.open(bundle, backend), columns, times, offsets)
        np.testing.assert_allclose(scored, outputs, rtol=0, atol=1e-5)
    assert bundle.spec.streams == (not model.bidirectional)


def test_the_schema_knows_the_training_part_alone(
    cars: EventTable, more_cars: EventTable, schema: SchemaConfig
) -> None:
    trained = trained_on(cars, more_cars, schema)
    fitted = Schema.fit(schema, cars.columns, cars.times, cars.offsets)
    assert trained.schema.to_dict() == fitted.to_dict()
    given = trained_on(cars, more_cars, fitted)
    assert given.schema is fitted
    for name, array in to_bundle(given.network).items():
        np.testing.assert_array_equal(array, to_bundle(trained.network)[name])


def test_evaluate_gives_the_tasks_metrics(
    cars: EventTable, more_cars: EventTable, schema: SchemaConfig
) -> None:
    trained = trained_on(cars, more_cars, schema)
    assert trained.evaluate(more_cars) == trained.result.metrics
    unlabelled = replace(more_cars, labels=None)
    np.testing.assert_array_equal(trained.outputs(unlabelled), trained.outputs(more_cars))
    with pytest.raises(InputError, match="no labels"):
        trained.evaluate(unlabelled)


def test_per_session_only_the_last_event_has_a_label(
    cars: EventTable, more_cars: EventTable, schema: SchemaConfig
) -> None:
    trained = trained_on(cars, more_cars, schema, per="session")
    last = more_cars.labels[more_cars.offsets[1:] - 1]
    assert trained.result.metrics["n"] == sum(label is not None for label in last)


@pytest.mark.parametrize("name", ["classify", "regress"])
def test_per_session_earlier_events_may_have_other_labels(
    cars: EventTable, more_cars: EventTable, schema: SchemaConfig, name: Literal["classify"]
) -> None:
    tables = []
    for table in (cars, more_cars):
        last = answers.session_labels(table.columns["lane"], table.offsets)
        under_way = np.array([lane or "under way" for lane in last], dtype=object)
        if name == "regress":
            speeds = answers.session_labels(table.columns["speed"], table.offsets)
            under_way = np.where(np.isnan(speeds), np.inf, speeds)
        tables.append(replace(table, labels=under_way))
    train, valid = tables
    counted = answers.session_labels(train.labels, train.offsets)
    task = answers.fit_task(name, "end", "session", counted)
    trained = train_model(train, valid, schema=schema, task=task, model=MODEL, settings=SETTINGS)
    assert trained.evaluate(valid)["n"] == len(valid.sessions)


def test_time_features_of_a_table_without_times_are_refused(
    cars: EventTable, more_cars: EventTable, schema: SchemaConfig
) -> None:
    timeless = replace(cars, times=np.zeros_like(cars.times))
    fitted = Schema.fit(schema, cars.columns, cars.times, cars.offsets)
    for wanted in (schema, fitted):
        with pytest.raises(InputError, match="without times") as caught:
            trained_on(timeless, more_cars, wanted)
        assert (caught.value.code, caught.value.field) == ("bad_config", "schema.time")
    trained_on(timeless, more_cars, SchemaConfig(schema.fields))


def test_a_checkpoint_of_other_data_is_refused(
    cars: EventTable, more_cars: EventTable, schema: SchemaConfig, tmp_path: Path
) -> None:
    task = answers.fit_task("classify", "jam", "event", cars.labels)
    path = tmp_path / "checkpoint"
    run = {"schema": schema, "task": task, "checkpoint": path}
    train_model(cars, more_cars, model=MODEL, settings=SETTINGS, **run)
    train_model(cars, more_cars, model=MODEL, settings=SETTINGS, **run)
    fewer = cars.take(np.arange(90))
    other = msgspec.structs.replace(SETTINGS, learning_rate=0.01)
    with pytest.raises(InputError, match="another configuration or other data"):
        train_model(fewer, more_cars, model=MODEL, settings=SETTINGS, **run)
    with pytest.raises(InputError, match="another configuration or other data"):
        train_model(cars, more_cars, model=MODEL, settings=other, **run)


def test_a_bundle_says_where_it_comes_from(
    cars: EventTable, more_cars: EventTable, schema: SchemaConfig, tmp_path: Path
) -> None:
    trained = trained_on(cars, more_cars, schema)
    bundle = save_bundle(
        trained,
        tmp_path / "bundle",
        name="jams",
        version="7",
        metrics={"test": {"auc": 0.5}},
        provenance={"columns": {"session": "car", "time": "at"}},
    )
    assert (bundle.name, bundle.version, bundle.spec) == ("jams", "7", trained.spec)
    provenance = bundle.provenance
    assert provenance["columns"] == {"session": "car", "time": "at"}
    assert provenance["metrics"]["train"] == trained.evaluate(cars)
    assert provenance["metrics"]["valid"] == trained.result.metrics
    assert provenance["metrics"]["test"] == {"auc": 0.5}
    assert provenance["seeds"] == {"train": 0, "vectors": 0}
    assert provenance["settings"]["model"]["hidden_size"] == 8
    assert provenance["lengths"]["events"] == cars.n_events
    assert provenance["lengths"]["sessions"] == 100
    assert msgspec.convert(provenance["history"], list[Epoch]) == list(trained.result.history)
    assert set(provenance["versions"]) == {"tidegate", "torch", "numpy", "python"}
    assert bundle.baseline["events"] == cars.n_events
    assert sum(bundle.baseline["answers"]["counts"]) == cars.n_events
    with pytest.raises(InputError, match="is there already"):
        save_bundle(trained, tmp_path / "bundle", name="jams", version="8")


def test_equal_runs_make_equal_bundles(
    cars: EventTable, more_cars: EventTable, schema: SchemaConfig, tmp_path: Path
) -> None:
    made = [
        save_bundle(
            trained_on(cars, more_cars, schema), tmp_path / version, name="jams", version=version
        )
        for version in ("1", "2")
    ]
    assert made[0].fingerprint == made[1].fingerprint


def test_a_bundle_has_calibrated_probabilities(
    cars: EventTable, more_cars: EventTable, schema: SchemaConfig, tmp_path: Path
) -> None:
    task = answers.fit_task("classify", "jam", "event", cars.labels, calibrate=True)
    trained = train_model(cars, more_cars, schema=schema, task=task, model=MODEL, settings=SETTINGS)
    assert trained.task.temperature not in (None, 1.0)
    bundle = save_bundle(trained, tmp_path / "bundle", name="jams", version="1")
    before, after = trained.result.metrics, trained.evaluate(more_cars)
    assert after["log_loss"] < before["log_loss"]
    assert after["auc"] == pytest.approx(before["auc"])
    assert bundle.provenance["metrics"]["valid"] == after
    assert bundle.provenance["calibration"] == {
        "temperature": trained.task.temperature,
        "log_loss_before": before["log_loss"],
        "log_loss_after": after["log_loss"],
        "ece_before": before["ece"],
        "ece_after": after["ece"],
    }
    assert "calibration.ece_before" in (tmp_path / "bundle" / "card.md").read_text()
    scored = offline.outputs(
        offline.open(bundle), more_cars.columns, more_cars.times, more_cars.offsets
    )
    found = answers.open(bundle.task).metrics(scored, trained_truth(trained, more_cars))
    assert found["ece"] == pytest.approx(after["ece"], abs=1e-3)


def trained_truth(trained: Trained, table: EventTable) -> np.ndarray:
    return answers.open(trained.task).truth(table, trained.schema)
