"""A small problem whose answer needs memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from tidegate.spec import LayerSpec, ModelSpec, TaskSpec
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
