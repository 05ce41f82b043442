from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
import torch

from tidegate import tasks
from tidegate.nn import Network, named_weights
from tidegate.spec import CategoryInput, LayerSpec, ModelSpec, TaskSpec
from tidegate.train.diagnostics import Diagnosis, diagnose
from tidegate.train.sample import Sample
from tidegate.train.sequences import Sequences

TASK = TaskSpec("regress", "level")


def network_of(*layers: LayerSpec, row_size: int = 2, dropout: float = 0.3) -> Network:
    torch.manual_seed(5)
    return Network(ModelSpec(row_size, layers, 1), dropout)


def sample_of(train: Sequences) -> Sample:
    found = Sample.of(train, seed=0)
    assert found is not None
    return found


def diagnosed(network: Network, train: Sequences) -> Diagnosis:
    return diagnose(network, tasks.open(TASK), sample_of(train))


def test_gradients_are_those_of_a_backward_pass(train: Sequences) -> None:
    network, sample = network_of(LayerSpec("gru", 8), LayerSpec("lstm", 4)), sample_of(train)
    found = diagnosed(network, train)
    network.eval()
    outputs, _ = network(sample.rows, None, sample.lengths)
    tasks.open(TASK).loss(outputs, sample.targets).backward()
    assert found.gradients.keys() == found.weights.keys() == network.spec.weight_shapes().keys()
    for name, weight in named_weights(network).items():
        assert weight.grad is not None
        assert found.gradients[name] == pytest.approx(weight.grad.norm().item(), rel=1e-5)
        assert found.weights[name] == pytest.approx(weight.norm().item())
    assert (found.sessions, found.events) == (len(sample.lengths), int(sample.lengths.sum()))


def test_the_profile_is_the_gradient_at_each_lag(train: Sequences) -> None:
    """By the first layer: session by session, with respect to the rows themselves."""
    network, sample = network_of(LayerSpec("gru", 8), LayerSpec("rnn", 4)), sample_of(train)
    found = diagnosed(network, train)
    network.eval()
    norms: dict[int, list[float]] = {}
    for rows, length, targets in zip(
        sample.rows, sample.lengths.tolist(), sample.targets, strict=True
    ):
        x = rows[None, :length].clone().requires_grad_()
        outputs, _ = network(x)
        (outputs[0, length - 1, 0] - targets[length - 1]).square().backward()
        assert x.grad is not None
        for lag in range(length):
            norms.setdefault(lag, []).append(x.grad[0, length - 1 - lag].norm().item())
    expected = [np.mean(norms[lag]) for lag in found.lags]
    assert found.lags[:4] == (0, 1, 2, 4)
    assert found.lags[-1] < sample.lengths.max() <= 2 * found.lags[-1]
    np.testing.assert_allclose(found.layers[0].by_lag, expected, rtol=1e-4)


def test_a_relu_that_shrinks_by_half_vanishes_by_half_a_step() -> None:
    """h = relu(x / 2 + h / 2): the gradient at lag k is 2^-(k + 1), whatever the row."""
    network = network_of(LayerSpec("rnn", 1, activation="relu", bias="none"), row_size=1)
    with torch.no_grad():
        for name, weight in named_weights(network).items():
            weight.fill_({"head.weight": 1.0, "head.bias": 0.0}.get(name, 0.5))
    rows, labels = np.ones((34, 1), np.float32), np.full(34, np.nan)
    labels[[16, 33]] = 0.0
    train = Sequences(rows, np.array([0, 17, 34]), labels, labels.astype(np.float32))
    (layer,) = (found := diagnosed(network, train)).layers
    error = 2 * (1 - 0.5**17)  # of the squared error at the output
    assert found.lags == (0, 1, 2, 4, 8, 16)
    np.testing.assert_allclose(layer.by_lag, [error * 0.5 ** (k + 1) for k in found.lags])
    assert (layer.smallest, layer.dead, layer.units) == (0.5, 0, 1)
    assert layer.largest == pytest.approx(1 - 0.5**17)


def biased(network: Network, gate: int, value: float) -> Network:
    """Push one gate of the first layer to an end."""
    size = network.spec.layers[0].hidden_size
    with torch.no_grad():
        named_weights(network)["layers.0.forward.b_input"][gate * size : (gate + 1) * size] = value
    return network


def test_saturated_gates_are_seen(train: Sequences) -> None:
    for gate, name in enumerate("rzn"):
        for value, expected in ((-30.0, (1.0, 0.0)), (30.0, (0.0, 1.0))):
            network = biased(network_of(LayerSpec("gru", 6)), gate, value)
            saturated = diagnosed(network, train).layers[0].saturated
            assert saturated[f"forward.{name}"] == expected
            others = [share for key, share in saturated.items() if not key.endswith(name)]
            assert max(map(max, others)) < 0.5


def test_both_directions_and_every_cell_have_their_gates(train: Sequences) -> None:
    layers = (
        LayerSpec("lstm", 3, bidirectional=True, layer_norm=True),
        LayerSpec("rnn", 6, residual=True),
        LayerSpec("rnn", 6, activation="relu"),
    )
    found = diagnosed(network_of(*layers), train)
    assert [list(layer.saturated) for layer in found.layers] == [
        [f"{side}.{gate}" for side in ("forward", "backward") for gate in "ifgo"],
        ["forward.h"],
        ["forward.h"],
    ]
    assert [layer.units for layer in found.layers] == [6, 6, 6]
    assert found.layers[1].smallest is not None
    assert found.layers[1].smallest >= -1.0  # of the units, without what residual adds
    low, high = found.layers[2].saturated["forward.h"]
    assert 0 < low < 1
    assert high == 0


def test_dead_units_are_counted(train: Sequences) -> None:
    network = network_of(LayerSpec("rnn", 5, activation="relu"))
    with torch.no_grad():
        named_weights(network)["layers.0.forward.b_input"][:2] = -100.0
    assert diagnosed(network, train).layers[0].dead == 2


def test_nothing_else_is_changed(train: Sequences) -> None:
    network = network_of(LayerSpec("gru", 8, zoneout=0.2), LayerSpec("gru", 8))
    network.head.weight.grad = torch.ones_like(network.head.weight)
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    state = torch.get_rng_state()
    assert diagnosed(network, train) == diagnosed(network, train)
    assert torch.equal(torch.get_rng_state(), state)
    assert network.training
    assert bool((network.head.weight.grad == 1).all())
    assert [p.grad for p in network.layers.parameters()] == [None] * 8
    assert all(torch.equal(network.state_dict()[name], before[name]) for name in before)


def test_embeddings_and_what_is_not_finite_are_told(train: Sequences) -> None:
    torch.manual_seed(0)
    network = Network(ModelSpec(2, (LayerSpec("gru", 4),), 1, (CategoryInput(1, 3, 2),)))
    rows = train.rows.copy()
    rows[:, 1] = np.arange(len(rows)) % 3
    part = Sequences(rows, train.offsets, train.labels, train.targets)
    found = diagnosed(network, part)
    assert found.gradients["embeddings.1"] is not None
    assert found.gradients["embeddings.1"] > 0
    with torch.no_grad():
        network.head.weight.fill_(math.inf)
    found = diagnosed(network, part)
    assert found.weights["head.weight"] is None
    assert found.layers[0].by_lag[0] is None
    json = msgspec.json.encode(found)
    assert msgspec.json.decode(json, type=Diagnosis) == found


def test_a_network_that_recomputes_says_the_same(train: Sequences) -> None:
    spec = ModelSpec(2, (LayerSpec("gru", 8), LayerSpec("lstm", 8, layer_norm=True)), 1)
    found = []
    for recompute in (False, True):
        torch.manual_seed(5)
        found.append(diagnosed(Network(spec, recompute=recompute), train))
    assert found[0] == found[1]
