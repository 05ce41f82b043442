from __future__ import annotations

import pytest
import torch

from tidegate.nn import Network, named_weights
from tidegate.spec import CategoryInput, LayerSpec, ModelSpec
from tidegate.train.optimizers import make_optimizer, matrices
from tidegate.train.settings import TrainSettings

LAYERS = (
    LayerSpec("gru", 4, layer_norm=True, learned_initial_state=True),
    LayerSpec("lstm", 3, peephole=True),
)
MATRICES = {
    "embeddings.1",
    "layers.0.forward.input",
    "layers.0.forward.recurrent",
    "layers.1.forward.input",
    "layers.1.forward.recurrent",
    "head.weight",
}


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    network = Network(ModelSpec(2, LAYERS, 1, (CategoryInput(1, 5, 2),)))
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.5)  # none is zero
    return network


def changed_by_decay(network: Network, settings: TrainSettings) -> set[str]:
    """Return which weights a step without a gradient changes."""
    optimizer = make_optimizer(network, settings)
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    before = {name: weight.detach().clone() for name, weight in named_weights(network).items()}
    for weight in network.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    after = named_weights(network)
    return {name for name, weight in before.items() if not torch.equal(weight, after[name])}


@pytest.mark.parametrize("optimizer", ["adamw", "rmsprop", "sgd"])
def test_matrices_alone_decay(network: Network, optimizer: str) -> None:
    settings = TrainSettings(optimizer=optimizer, weight_decay=0.1)  # type: ignore[arg-type]
    assert changed_by_decay(network, settings) == MATRICES - {"embeddings.1"}


def test_embeddings_decay_if_they_are_to(network: Network) -> None:
    settings = TrainSettings(weight_decay=0.1, decay_embeddings=True)
    assert changed_by_decay(network, settings) == MATRICES
    assert changed_by_decay(network, TrainSettings(decay_embeddings=True)) == set()


def test_matrices_are_found_by_their_shape(network: Network) -> None:
    names = {id(weight): name for name, weight in named_weights(network).items()}
    assert {names[id(weight)] for weight in matrices(network)} == MATRICES


def test_each_optimizer_makes_its_own_step(network: Network) -> None:
    kinds = {"adamw": torch.optim.AdamW, "rmsprop": torch.optim.RMSprop, "sgd": torch.optim.SGD}
    for name, kind in kinds.items():
        found = make_optimizer(network, TrainSettings(optimizer=name))  # type: ignore[arg-type]
        assert type(found) is kind
        known = [weight for group in found.param_groups for weight in group["params"]]
        assert len(known) == len(list(network.parameters()))
    for name in ("rmsprop", "sgd"):
        settings = TrainSettings(optimizer=name, momentum=0.9)  # type: ignore[arg-type]
        assert make_optimizer(network, settings).param_groups[0]["momentum"] == 0.9
