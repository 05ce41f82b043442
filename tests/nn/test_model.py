from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tidegate.errors import InputError
from tidegate.nn import Network, load_bundle, to_bundle
from tidegate.spec import CategoryInput, LayerSpec, ModelSpec

CATEGORIES = (CategoryInput(3, 7, 3), CategoryInput(1, 4, 2))
STACKS = {
    "gru": (LayerSpec("gru", 8),),
    "lstm": (LayerSpec("lstm", 8),),
    "rnn": (LayerSpec("rnn", 8),),
    "relu": (LayerSpec("rnn", 8, activation="relu"),),
    "mixed": (LayerSpec("gru", 8), LayerSpec("lstm", 5), LayerSpec("rnn", 4)),
}


def network_of(layers: tuple[LayerSpec, ...], dropout: float = 0.0) -> Network:
    torch.manual_seed(3)
    network = Network(
        ModelSpec(row_size=5, layers=layers, output_size=2, categories=CATEGORIES), dropout
    )
    with torch.no_grad():  # biases that matter
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def rows_of(sessions: int, steps: int) -> np.ndarray:
    rng = np.random.default_rng(5)
    rows = rng.standard_normal((sessions, steps, 5)).astype(np.float32)
    for category in CATEGORIES:
        rows[..., category.column] = rng.integers(0, category.size, (sessions, steps))
    return rows


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def oracle(
    spec: ModelSpec, weights: dict[str, np.ndarray], rows: np.ndarray
) -> tuple[np.ndarray, list[np.ndarray]]:
    """The equations, in float64, of one session: (T, outputs), and the state at the end."""
    w = {name: array.astype(np.float64) for name, array in weights.items()}
    x = np.concatenate(
        [
            rows[:, [0, 2, 4]].astype(np.float64),
            w["embeddings.3"][rows[:, 3].astype(int)],
            w["embeddings.1"][rows[:, 1].astype(int)],
        ],
        axis=1,
    )
    end: list[np.ndarray] = []
    for index, layer in enumerate(spec.layers):
        W, U, b, d = (
            w[f"layers.{index}.forward.{part}"]
            for part in ("input", "recurrent", "b_input", "b_recurrent")
        )
        H = layer.hidden_size
        h, c, outputs = np.zeros(H), np.zeros(H), []
        for x_t in x:
            a, u = W @ x_t + b, U @ h + d
            if layer.cell == "gru":
                r = sigmoid(a[:H] + u[:H])
                z = sigmoid(a[H : 2 * H] + u[H : 2 * H])
                n = np.tanh(a[2 * H :] + r * u[2 * H :])
                h = (1 - z) * n + z * h
            elif layer.cell == "lstm":
                i, f, o = (sigmoid((a + u)[k * H : (k + 1) * H]) for k in (0, 1, 3))
                g = np.tanh((a + u)[2 * H : 3 * H])
                c = f * c + i * g
                h = o * np.tanh(c)
            elif layer.activation == "relu":
                h = np.maximum(a + u, 0)
            else:
                h = np.tanh(a + u)
            outputs.append(h)
        end += [h, c] if layer.cell == "lstm" else [h]
        x = np.array(outputs)
    return x @ w["head.weight"].T + w["head.bias"], end


@pytest.mark.parametrize("name", STACKS)
def test_forward_is_the_equations(name: str) -> None:
    network = network_of(STACKS[name])
    rows = rows_of(3, 20)
    with torch.inference_mode():
        outputs, state = network(torch.from_numpy(rows))
    for session in range(3):
        expected, end = oracle(network.spec, to_bundle(network), rows[session])
        np.testing.assert_allclose(outputs[session].numpy(), expected, rtol=0, atol=1e-5)
        found = np.concatenate([part[session].numpy() for part in state])
        np.testing.assert_allclose(found, np.concatenate(end), rtol=0, atol=1e-5)
        assert found.shape == (network.spec.state_size,)


@pytest.mark.parametrize("name", STACKS)
def test_a_session_goes_on_from_its_state(name: str) -> None:
    network = network_of(STACKS[name])
    rows = torch.from_numpy(rows_of(2, 12))
    with torch.inference_mode():
        whole, end = network(rows)
        first, state = network(rows[:, :7])
        second, last = network(rows[:, 7:], state)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, rtol=0, atol=1e-6)
    for found, expected in zip(last, end, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_padding_changes_no_output_of_the_events_before_it() -> None:
    network = network_of(STACKS["mixed"])
    rows = torch.from_numpy(rows_of(2, 9))
    padded = rows.clone()
    padded[0, 5:] = 0
    with torch.inference_mode():
        assert torch.equal(network(rows)[0][0, :5], network(padded)[0][0, :5])


def test_dropout_acts_in_training_alone() -> None:
    network = network_of(STACKS["mixed"], dropout=0.5)
    rows = torch.from_numpy(rows_of(2, 4))
    assert not torch.equal(network(rows)[0], network(rows)[0])
    network.eval()
    assert torch.equal(network(rows)[0], network(rows)[0])
    assert torch.equal(network(rows)[0], network_of(STACKS["mixed"]).eval()(rows)[0])


def test_weights_begin_as_documented() -> None:
    torch.manual_seed(0)
    network = Network(ModelSpec(6, (LayerSpec("gru", 16), LayerSpec("lstm", 8)), 1))
    weights = to_bundle(network)
    for index, (H, gates) in enumerate(((16, 3), (8, 4))):
        recurrent = weights[f"layers.{index}.forward.recurrent"].reshape(gates, H, H)
        for block in recurrent.astype(np.float64):
            np.testing.assert_allclose(block @ block.T, np.eye(H), atol=1e-5)
        bound = np.sqrt(6 / (H + network.spec.input_sizes[index]))
        inputs = np.abs(weights[f"layers.{index}.forward.input"])
        assert 0.8 * bound < inputs.max() <= bound
        assert not weights[f"layers.{index}.forward.b_recurrent"].any()
    kept = np.repeat([0.0, 1.0, 0.0], 16)  # z, the share that is kept
    np.testing.assert_array_equal(weights["layers.0.forward.b_input"], kept)
    forget = np.repeat([0.0, 1.0, 0.0, 0.0], 8)
    np.testing.assert_array_equal(weights["layers.1.forward.b_input"], forget)


def test_an_untrained_value_out_of_vocabulary_counts_for_nothing() -> None:
    weights = to_bundle(Network(ModelSpec(1, (LayerSpec("rnn", 2),), 1, (CategoryInput(0, 3, 4),))))
    assert not weights["embeddings.0"][0].any()
    assert weights["embeddings.0"][1:].all()


BOTH = (
    LayerSpec("gru", 6, bidirectional=True, learned_initial_state=True),
    LayerSpec("lstm", 4, bidirectional=True, residual=False, peephole=True),
    LayerSpec("rnn", 8, residual=True, bias="none"),
)


def test_options_travel_through_a_bundles_weights_to_the_bit() -> None:
    network = network_of(BOTH)
    weights = to_bundle(network)
    assert {name: array.shape for name, array in weights.items()} == network.spec.weight_shapes()
    other = Network(network.spec)
    rows = torch.from_numpy(rows_of(2, 6))
    assert not torch.equal(other(rows)[0], network(rows)[0])
    load_bundle(other, weights)
    assert torch.equal(other(rows)[0], network(rows)[0])


def test_lengths_are_as_each_session_alone() -> None:
    network = network_of(BOTH)
    rows = torch.from_numpy(rows_of(3, 9))
    lengths = torch.tensor([9, 4, 0])
    with torch.inference_mode():
        outputs, state = network(rows, lengths=lengths)
        for session, length in enumerate(lengths.tolist()):
            alone, end = network(rows[session : session + 1, :length])
            torch.testing.assert_close(outputs[session, :length], alone[0], rtol=0, atol=1e-6)
            assert not outputs[session, length:].any()
            for whole, part in zip(state, end, strict=True):
                torch.testing.assert_close(whole[session], part[0], rtol=0, atol=1e-6)
    width = sum(part.shape[1] for part in state)
    assert width == network.spec.state_size == 2 * 6 + 2 * 2 * 4 + 8


def test_sessions_begin_with_what_was_learned() -> None:
    network = network_of((LayerSpec("lstm", 3, learned_initial_state=True),))
    rows = torch.from_numpy(rows_of(2, 4))
    initial = torch.from_numpy(to_bundle(network)["layers.0.forward.initial"])
    given = tuple(part.expand(2, -1) for part in initial.split(3))
    assert torch.equal(network(rows)[0], network(rows, given)[0])
    assert not torch.equal(network(rows)[0], network(rows, tuple(torch.zeros(2, 2, 3)))[0])


def test_chrono_needs_a_gate_that_keeps_the_past() -> None:
    spec = ModelSpec(2, (LayerSpec("gru", 4), LayerSpec("rnn", 4)), 1)
    with pytest.raises(InputError) as caught:
        Network(spec, init="chrono", longest=20)
    assert (caught.value.code, caught.value.field) == ("bad_init", "init")


def test_what_is_no_input_of_a_network() -> None:
    network = Network(ModelSpec(3, (LayerSpec("lstm", 8), LayerSpec("gru", 4)), 1))
    rows, good = torch.zeros(2, 5, 3), (torch.zeros(2, 8), torch.zeros(2, 8), torch.zeros(2, 4))
    network(rows, good)
    states: list[Any] = [(), good[:2], (*good, good[0]), good[::-1], (None,) * 3]
    states += [torch.zeros(3, 2, 8), tuple(part.double() for part in good)]
    for state in states:
        with pytest.raises(InputError) as caught:
            network(rows, state)
        assert (caught.value.code, caught.value.field) == ("bad_state", "state")
    for wrong in (torch.zeros(2, 5, 4), torch.zeros(5, 3), rows.double(), rows.numpy()):
        with pytest.raises(InputError) as caught:
            network(wrong)
        assert (caught.value.code, caught.value.field) == ("bad_input", "rows")
