"""Where numbers that are not finite come from."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tidegate.data.batches import Batch
from tidegate.nn import Network, named_weights
from tidegate.spec import CategoryInput, LayerSpec, ModelSpec
from tidegate.train import source

SPEC = ModelSpec(
    2, (LayerSpec("gru", 4), LayerSpec("lstm", 3)), 1, categories=(CategoryInput(1, 5, 2),)
)


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    return Network(SPEC, dropout=0.5, recurrent_dropout=0.5)


@pytest.fixture
def batch() -> Batch:
    rows = np.ones((2, 3, 2), np.float32)
    rows[1, 2] = np.nan  # padding
    two = np.arange(2)
    return Batch(rows, np.array([3, 2]), np.zeros((2, 3)), two, 3 * two, 0 * two, 0 * two - 1)


@pytest.mark.parametrize(
    ("weight", "place"),
    [
        ("embeddings.1", "layers.0"),  # what is first not finite is made of it
        ("layers.0.forward.input", "layers.0"),
        ("layers.1.forward.recurrent", "layers.1"),
        ("head.weight", "head"),
    ],
)
def test_outputs(network: Network, batch: Batch, weight: str, place: str) -> None:
    assert source.of_outputs(network, batch) is None
    with torch.no_grad():
        named_weights(network)[weight].fill_(math.nan)
    state = torch.get_rng_state()
    assert source.of_outputs(network, batch) == place
    assert torch.equal(torch.get_rng_state(), state)
    assert network.training


def test_inputs(network: Network, batch: Batch) -> None:
    batch.rows[0, 1, 0] = np.inf
    assert source.of_outputs(network, batch) == "input"


@pytest.mark.parametrize(
    ("weights", "place"),
    [
        ((), None),
        (("layers.0.forward.input",), "layers.0"),
        (("layers.0.forward.input", "layers.1.forward.b_input", "embeddings.1"), "layers.1"),
        (("embeddings.1",), "embeddings"),
        (("head.weight", "layers.0.forward.input"), "head"),
    ],
)
def test_gradients(network: Network, weights: tuple[str, ...], place: str | None) -> None:
    named = named_weights(network)
    for name, weight in named.items():
        weight.grad = torch.full_like(weight, 1e30 if name in weights else 1.0)  # of what norm?
    assert source.of_gradients(network) == place
