"""A small problem whose answer needs memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest
import torch
from problem import Problem

from tidegate import tables
from tidegate.schema import Field, SchemaConfig, Time
from tidegate.spec import LayerSpec, ModelSpec, TaskSpec
from tidegate.tables import EventTable
from tidegate.train.sequences import Sequences
from tidegate.train.settings import TrainSettings


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def task() -> TaskSpec:
    return TaskSpec("classify", "rising", classes=("no", "yes"))


@pytest.fixture
def spec() -> ModelSpec:
    return ModelSpec(row_size=2, layers=(LayerSpec("gru", 8), LayerSpec("gru", 8)), output_size=1)


@pytest.fixture
def settings() -> TrainSettings:
    return TrainSettings(epochs=4, batch_tokens=256, learning_rate=0.02, warmup_steps=5, seed=3)


def walks(sessions: int, seed: int) -> Sequences:
    """Noise, labelled with whether it is above the value before it: a network must remember."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 20, sessions)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    rows = rng.standard_normal((offsets[-1], 2)).astype(np.float32)
    labels = np.full(len(rows), np.nan)
    labels[1:] = rows[1:, 0] > rows[:-1, 0]
    labels[offsets[:-1]] = np.nan
    labels[rng.random(len(rows)) < 0.2] = np.nan
    return Sequences(rows, offsets, labels, labels.astype(np.float32))


@pytest.fixture
def train() -> Sequences:
    return walks(120, seed=1)


@pytest.fixture
def valid() -> Sequences:
    return walks(40, seed=2)


@pytest.fixture
def problem(
    spec: ModelSpec, task: TaskSpec, train: Sequences, valid: Sequences, settings: TrainSettings
) -> Problem:
    return Problem(spec, task, train, valid, settings)


def drive(cars: int, seed: int, begin: float) -> pl.DataFrame:
    """Events of cars, labelled with whether the car is faster than at its event before."""
    rng = np.random.default_rng(seed)
    events: list[dict[str, object]] = []
    for car in range(cars):
        time, before = begin + 100.0 * car, None
        for _ in range(int(rng.integers(1, 16))):
            speed = round(float(rng.normal(50, 10)), 1)
            label = None if before is None else ("faster" if speed > before else "slower")
            lane = str(rng.choice(["left", "right", "middle"]))
            events.append(
                {"car": f"{begin}/{car}", "at": time, "speed": speed, "lane": lane, "jam": label}
            )
            time, before = time + float(rng.integers(1, 60)), speed
    return pl.DataFrame(events)


FIELDS = {"speed": Field("numeric"), "lane": Field("category")}


def read(frame: pl.DataFrame) -> EventTable:
    fields = {name: field.kind for name, field in FIELDS.items()}
    return tables.read(frame, session="car", fields=fields, time="at", label="jam")


@pytest.fixture
def schema() -> SchemaConfig:
    return SchemaConfig(FIELDS, Time(("delta",)))


@pytest.fixture
def cars() -> EventTable:
    return read(drive(100, seed=1, begin=0.0))


@pytest.fixture
def more_cars() -> EventTable:
    return read(drive(40, seed=2, begin=1e6))


@pytest.fixture
def drives() -> pl.DataFrame:
    """Three stretches of time: a training, a validation and a test part."""
    begins = ((100, 0.0), (40, 1e6), (30, 2e6))
    return pl.concat([drive(n, seed, begin) for seed, (n, begin) in enumerate(begins)])
