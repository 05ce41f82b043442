"""What training does at random, seen from outside: what is drawn, how often, and its mean."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from layer_grid import Case, batch, build, each_part, enliven
from torch import Tensor

from tidegate.nn import GRU, LSTM, RNN
from tidegate.nn.recurrent import Recurrent

STEPS, SIZE = 6, 50


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def repeater(**options: Any) -> RNN:
    """A network in training that does nothing but repeat its state."""
    layer = RNN(1, SIZE, activation="relu", bias="none", **options)
    with torch.no_grad():
        layer.layers[0].cells[0].input.zero_()
        layer.layers[0].cells[0].recurrent.copy_(torch.eye(SIZE))
    return layer


def repeat(layer: RNN, sessions: int = 2) -> Tensor:
    """Return a state of ones after each step, (B, T, SIZE)."""
    return layer(torch.zeros(sessions, STEPS, 1), torch.ones(1, sessions, SIZE))[0].detach()


def test_recurrent_dropout_draws_once_for_a_session() -> None:
    layer = repeater(recurrent_dropout=0.2)
    y = repeat(layer)
    powers = y[:, :1] ** torch.arange(1, STEPS + 1)[:, None]
    torch.testing.assert_close(y, powers)
    assert set(y[:, 0].unique().tolist()) == {0.0, 1.25}
    assert not torch.equal(y[0], y[1]), "each session has units of its own"
    assert not torch.equal(repeat(layer), y), "each call draws anew"
    share = (repeat(layer, 200)[:, 0] == 0).float().mean()
    assert 0.18 < float(share) < 0.22


def test_recurrent_dropout_spares_the_share_that_is_kept() -> None:
    """Gal and Ghahramani drop what enters the product; z carries the whole h."""
    layer = GRU(1, SIZE, recurrent_dropout=0.5, bias="single")
    cell = layer.layers[0].cells[0]
    with torch.no_grad():
        cell.b_input.copy_(torch.tensor([0.0, 50.0, 0.0]).repeat_interleave(SIZE))
    torch.testing.assert_close(repeat(layer), torch.ones(2, STEPS, SIZE))


def test_weight_dropout_draws_once_for_a_call() -> None:
    layer = repeater(weight_dropout=0.2)
    y = repeat(layer)
    torch.testing.assert_close(y, y[:, :1] ** torch.arange(1, STEPS + 1)[:, None])
    assert set(y[:, 0].unique().tolist()) == {0.0, 1.25}
    assert torch.equal(y[0], y[1]), "all sessions of a call have the same connections"
    assert not torch.equal(repeat(layer), y)
    share = sum(float((repeat(layer, 1)[0, 0] == 0).float().mean()) for _ in range(200)) / 200
    assert 0.18 < share < 0.22


@pytest.mark.parametrize("kind", [GRU, RNN])
def test_zoneout_keeps_old_values_to_the_bit(kind: type[GRU | RNN]) -> None:
    layer = kind(3, SIZE, zoneout=0.4)
    enliven(layer, seed=1)
    x = torch.randn(20, STEPS, 3)
    y, _, (traces,) = layer(x, return_gates=True)
    old = torch.cat([torch.zeros(20, 1, SIZE), y[:, :-1]], dim=1)
    kept = y == old
    if kind is RNN:
        assert torch.equal(torch.where(kept, old, traces["h"]), y)
    else:
        fresh = traces["z"] * old + (1 - traces["z"]) * traces["n"]
        torch.testing.assert_close(torch.where(kept, old, fresh), y)
    assert 0.37 < float(kept.float().mean()) < 0.43


def test_an_lstm_makes_h_of_the_c_that_is_not_kept() -> None:
    layer = LSTM(3, SIZE, zoneout=0.0, zoneout_cell=0.4)
    enliven(layer, seed=1)
    h, c = torch.randn(2, 1, 200, SIZE)
    _, (after, after_c), (traces,) = layer(torch.randn(200, 1, 3), (h, c), return_gates=True)
    at = {name: values[:, 0] for name, values in traces.items()}
    fresh = at["f"] * c[0] + at["i"] * at["g"]
    torch.testing.assert_close(after[0], at["o"] * fresh.tanh())
    kept = after_c[0] == c[0]
    torch.testing.assert_close(torch.where(kept, c[0], fresh), after_c[0])
    assert 0.37 < float(kept.float().mean()) < 0.43


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
def test_zoneout_becomes_its_mean(cell: str) -> None:
    """The mean over many draws of a step is what the layer gives outside of training."""
    layer = build(Case(cell, ("zoneout",)), torch.float32, training=True)
    many = 20_000
    x = torch.randn(1, 1, layer.input_size).expand(many, -1, -1)
    state = tuple(torch.randn(1, 1, 4).expand(-1, many, -1) for _ in range(1 + (cell == "lstm")))
    begun = state if cell == "lstm" else state[0]
    drawn = each_part(layer(x, begun)[1])
    mean = each_part(layer.eval()(x, begun)[1])
    for one, other in zip(drawn, mean, strict=True):
        torch.testing.assert_close(one.mean(1), other.mean(1), rtol=0, atol=0.02)


def test_an_lstm_keeps_as_much_of_c_as_of_h_unless_told() -> None:
    assert LSTM(3, 4, zoneout=0.3).layers[0].spec.zoneout_cell == 0.3
    assert LSTM(3, 4, zoneout=0.3, zoneout_cell=0.0).layers[0].spec.zoneout_cell == 0.0


def test_dropout_is_between_layers_and_on_the_output() -> None:
    """One layer: its state is whole, its output scaled or zero."""
    layer = GRU(3, SIZE, dropout=0.5)
    x = torch.randn(4, STEPS, 3)
    torch.manual_seed(1)
    y, state = layer(x)
    whole, after = layer.eval()(x)
    assert torch.equal(state, after)
    dropped = y == 0
    torch.testing.assert_close(torch.where(dropped, 0.0, 2.0 * whole), y)
    assert 0.4 < float(dropped.float().mean()) < 0.6
    stacked = GRU(3, SIZE, num_layers=2, dropout=0.5)
    first, second = stacked(x)[1], stacked(x)[1]
    assert torch.equal(first[0], second[0])
    assert not torch.equal(first[1], second[1])


@pytest.mark.parametrize(
    "layer",
    [
        GRU(3, 4, dropout=0.5, recurrent_dropout=0.5, weight_dropout=0.5, zoneout=0.5),
        LSTM(3, 4, dropout=0.5, recurrent_dropout=0.5, weight_dropout=0.5, zoneout=0.5),
        RNN(3, 4, dropout=0.5, recurrent_dropout=0.5, weight_dropout=0.5, zoneout=0.5),
    ],
    ids=["gru", "lstm", "rnn"],
)
def test_outside_of_training_nothing_is_drawn(layer: Recurrent) -> None:
    layer.eval()
    x, state, lengths = batch(layer)
    before = torch.get_rng_state()
    first, second = layer(x, state, lengths)[0], layer(x, state, lengths)[0]
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)
    layer.train()
    assert not torch.equal(layer(x, state, lengths)[0], first)


def test_the_same_seed_draws_the_same() -> None:
    layer = GRU(3, 4, dropout=0.2, recurrent_dropout=0.2, weight_dropout=0.2, zoneout=0.2)
    x, state, lengths = batch(layer)
    runs = []
    for _ in range(2):
        torch.manual_seed(9)
        runs.append(layer(x, state, lengths)[0])
    assert torch.equal(*runs)
