"""Each cell against its equations, written down again in float64 NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from layer_grid import enliven

from tidegate.errors import InputError
from tidegate.nn import GRUCell, LSTMCell, RNNCell
from tidegate.nn.cells import CellBase, blend

Array = np.ndarray
Weights = dict[str, Array]

B, IN, H = 4, 3, 5

BIASES = ("double", "single", "none")


def sigmoid(x: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-x))


def normalised(x: Array) -> Array:
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(var + 1e-5)


def side(w: Weights, which: str, v: Array, rows: slice = slice(None)) -> Array:
    """W v, normalised if the cell has gains, plus its bias."""
    product = v @ w[which][rows].T
    if f"norm_{which}" in w:
        product = normalised(product) * w[f"norm_{which}"][rows]
    return product + (w[f"b_{which}"][rows] if f"b_{which}" in w else 0.0)


def gru(w: Weights, x: Array, state: tuple[Array, ...], mask: Array | float, after: bool) -> Any:
    (h,) = state
    v = h * mask
    a = side(w, "input", x)
    if after:
        u = side(w, "recurrent", v)
        r = sigmoid(a[:, :H] + u[:, :H])
        z = sigmoid(a[:, H : 2 * H] + u[:, H : 2 * H])
        n = np.tanh(a[:, 2 * H :] + r * u[:, 2 * H :])
    else:
        u = side(w, "recurrent", v, slice(0, 2 * H))
        r = sigmoid(a[:, :H] + u[:, :H])
        z = sigmoid(a[:, H : 2 * H] + u[:, H:])
        n = np.tanh(a[:, 2 * H :] + side(w, "recurrent", r * v, slice(2 * H, 3 * H)))
    return (z * h + (1.0 - z) * n,), (r, z, n)


def lstm(w: Weights, x: Array, state: tuple[Array, ...], mask: Array | float) -> Any:
    h, c = state
    s = side(w, "input", x) + side(w, "recurrent", h * mask)
    seen = w.get("peephole", np.zeros(3 * H))
    i = sigmoid(s[:, :H] + seen[:H] * c)
    f = sigmoid(s[:, H : 2 * H] + seen[H : 2 * H] * c)
    g = np.tanh(s[:, 2 * H : 3 * H])
    c = f * c + i * g
    o = sigmoid(s[:, 3 * H :] + seen[2 * H :] * c)
    out = normalised(c) * w["norm_cell"] + w["b_cell"] if "norm_cell" in w else c
    return (o * np.tanh(out), c), (i, f, g, o)


def rnn(w: Weights, x: Array, state: tuple[Array, ...], mask: Array | float, relu: bool) -> Any:
    s = side(w, "input", x) + side(w, "recurrent", state[0] * mask)
    h = np.maximum(s, 0.0) if relu else np.tanh(s)
    return (h,), (h,)


def check(cell: CellBase, equations: Any, *option: bool) -> None:
    """Two steps of a lively cell: plain, and with a mask and other recurrent weights."""
    enliven(cell.double(), seed=1)
    rng = np.random.default_rng(2)
    w = {name: p.detach().numpy() for name, p in cell.named_parameters()}
    parts = 2 if cell.cell == "lstm" else 1
    state = tuple(rng.normal(size=(B, H)) for _ in range(parts))
    for mask, weight in ((None, None), (rng.integers(0, 2, (B, H)) * 2.0, w["recurrent"] * 0.5)):
        x = rng.normal(size=(B, IN))
        scaled = w if weight is None else {**w, "recurrent": weight}
        wanted = equations(scaled, x, state, 1.0 if mask is None else mask, *option)
        found = cell.step(
            cell.input_product(torch.from_numpy(x)),
            tuple(torch.from_numpy(part) for part in state),
            mask=None if mask is None else torch.from_numpy(mask),
            weight=None if weight is None else torch.from_numpy(weight),
        )
        for one, other in zip((*found[0], *found[1]), (*wanted[0], *wanted[1]), strict=True):
            np.testing.assert_allclose(one.detach().numpy(), other, rtol=0, atol=1e-12)
        state = wanted[0]


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("after", [False, True])
def test_gru(after: bool, layer_norm: bool, bias: Any) -> None:
    check(GRUCell(IN, H, reset_after=after, bias=bias, layer_norm=layer_norm), gru, after)


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("peephole", [False, True])
def test_lstm(peephole: bool, layer_norm: bool, bias: Any) -> None:
    check(LSTMCell(IN, H, peephole=peephole, bias=bias, layer_norm=layer_norm), lstm)


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_rnn(activation: Any, layer_norm: bool, bias: Any) -> None:
    cell = RNNCell(IN, H, activation=activation, bias=bias, layer_norm=layer_norm)
    check(cell, rnn, activation == "relu")


@pytest.mark.parametrize("kind", [GRUCell, LSTMCell, RNNCell])
def test_a_cell_that_is_called_begins_with_zeros_and_goes_on(kind: type[CellBase]) -> None:
    cell = kind(IN, H)
    enliven(cell, seed=1)
    x = torch.randn(2, B, IN, generator=torch.Generator().manual_seed(3))
    zeros = (torch.zeros(B, H),) * (2 if kind is LSTMCell else 1)
    first = cell(x[0])
    for one, other in zip(first, cell(x[0], zeros), strict=True):
        assert torch.equal(one, other)
    again = cell.step(cell.input_product(x[1]), first)[0]
    for one, other in zip(cell(x[1], first), again, strict=True):
        assert torch.equal(one, other)


def test_what_is_kept_is_kept_to_the_bit() -> None:
    old, new = torch.randn(2, 10_000, generator=torch.Generator().manual_seed(4))
    assert torch.equal(blend(torch.ones(10_000), old, new), old)
    assert torch.equal(blend(torch.zeros(10_000), old, new), new)
    torch.testing.assert_close(blend(0.25, old, new), 0.25 * old + 0.75 * new)


def test_first_weights() -> None:
    """Xavier and orthogonal gate by gate; the gate that keeps the past begins open."""
    cells = ((GRUCell(6, 8), 3, 1), (LSTMCell(6, 8), 4, 1), (RNNCell(6, 8), 1, None))
    for cell, gates, keeper in cells:
        bound = (6.0 / (6 + 8)) ** 0.5
        assert 0.8 * bound < float(cell.input.detach().abs().max()) <= bound
        for block in cell.recurrent.chunk(gates):
            torch.testing.assert_close(block @ block.T, torch.eye(8))
        for place, block in enumerate(cell.b_input.chunk(gates)):
            assert torch.equal(block, torch.full((8,), float(place == keeper)))
        assert not cell.b_recurrent.any()


@pytest.mark.parametrize("kind", [GRUCell, LSTMCell, RNNCell])
def test_what_is_no_input_of_a_cell(kind: type[CellBase]) -> None:
    cell = kind(3, 4)
    for x in (torch.zeros(3), torch.zeros(2, 4), torch.zeros(2, 5, 3), torch.zeros(2, 3).double()):
        with pytest.raises(InputError) as caught:
            cell(x)
        assert (caught.value.code, caught.value.field) == ("bad_input", "x")
    wrong: list[Any] = [(torch.zeros(3, 4),) * 2, (torch.zeros(2, 4),) * 3, (), (None, None)]
    for state in wrong:
        with pytest.raises(InputError) as caught:
            cell(torch.zeros(2, 3), state)
        assert (caught.value.code, caught.value.field) == ("bad_state", "state")
