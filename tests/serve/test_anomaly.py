"""A model of the anomaly task, trained, served and scored: the same answers."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tidegate import answers, tasks
from tidegate.bundle import Bundle
from tidegate.engine import offline
from tidegate.schema import Field, Schema, SchemaConfig
from tidegate.tables import EventTable
from tidegate.tasks import TaskConfig
from tidegate.tasks.config import AnomalyConfig
from tidegate.train import ModelSettings, TrainSettings
from tidegate.train.package import save_bundle
from tidegate.train.trained import Trained, train_model

CONFIG = SchemaConfig(
    {
        "heat": Field("numeric", missing="carry", indicator=True),
        "log": Field("category"),
        "open": Field("boolean"),
        "flat": Field("numeric"),
    }
)
STEPS = np.array(["begin", "work", "work", "end"], dtype=object)


def machines(sessions: int, seed: int) -> EventTable:
    """Machines whose lines come in order and whose heat swings; one field never changes."""
    rng = np.random.default_rng(seed)
    length = 24
    n = sessions * length
    at = np.tile(np.arange(length), sessions)
    heat = 20 + 5 * np.sin(at / 3) + rng.normal(0, 0.3, n)
    columns = {
        "heat": np.where(rng.random(n) < 0.1, np.nan, heat),
        "log": STEPS[at % 4],
        "open": (at % 4 == 3).astype(np.float64),
        "flat": np.full(n, 7.0),
    }
    return EventTable(
        [f"m{seed}-{i}" for i in range(sessions)],
        np.arange(0, n + 1, length),
        np.arange(n, dtype=np.float64),
        columns,
        None,
        np.arange(n),
    )


@pytest.fixture(scope="module")
def trained() -> Trained:
    train, valid = machines(30, 1), machines(20, 2)
    schema = Schema.fit(CONFIG, train.columns, train.times, train.offsets)
    wanted = TaskConfig("anomaly", anomaly=AnomalyConfig(false_alarm_rate=0.01))
    return train_model(
        train,
        valid,
        schema=schema,
        task=tasks.fit(wanted, None, train, schema),
        model=ModelSettings(hidden_size=12),
        settings=TrainSettings(epochs=120, batch_tokens=200, learning_rate=0.02, warmup_steps=5),
    )


@pytest.fixture(scope="module")
def made(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Bundle]:
    path = tmp_path_factory.mktemp("anomaly") / "bundle"
    return path, save_bundle(trained, path, name="small", version="1")


def test_what_is_served_is_what_is_scored_and_what_training_predicts(
    trained: Trained, made: tuple[Path, Bundle], start
) -> None:
    path, bundle = made
    events = machines(2, 3)
    events.columns["log"][30] = "fire"  # never seen
    events.columns["heat"][40] = 90.0
    predicted = trained.outputs(events)
    scored = offline.outputs(offline.open(bundle), events.columns, events.times, events.offsets)
    np.testing.assert_allclose(predicted, scored, rtol=1e-4, atol=1e-4)
    expected = answers.open(bundle.task).answer(scored)
    server = start(path)
    for session in range(2):
        for row in range(*events.offsets[session : session + 2]):
            event = {
                "log": events.columns["log"][row],
                "open": bool(events.columns["open"][row]),
                "flat": 7.0,
            }
            if not np.isnan(events.columns["heat"][row]):
                event["heat"] = events.columns["heat"][row]
            status, answer = server.post(f"s{session}", {"event": event, "time": float(row)})
            assert status == 200
            assert answer["answer"] == json.loads(msgspec.json.encode(expected[row]))
    assert expected[30]["anomalous"]
    assert max(expected[30]["fields"], key=expected[30]["fields"].get) == "log"
    assert expected[40]["anomalous"]
    assert max(expected[40]["fields"], key=expected[40]["fields"].get) == "heat"
    status, page = server.get("/openapi.json")
    assert status == 200
    assert "anomalous" in json.dumps(page)


def test_ordinary_events_raise_as_many_alarms_as_were_asked_for(trained: Trained) -> None:
    assert trained.task.anomaly is not None
    assert trained.evaluate(trained.valid)["false_alarm_rate"] <= 0.01
    found = trained.evaluate(machines(40, 5))
    assert found["false_alarm_rate"] < 0.04
    assert found["nats"] < constant_loss(trained)


def constant_loss(trained: Trained) -> float:
    constant = trained.result.given.constant_loss
    assert constant is not None
    return constant
