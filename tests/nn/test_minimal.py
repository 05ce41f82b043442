"""MinGRU and MinLSTM: all events at once are the same as one after the other."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from layer_grid import enliven
from torch import Tensor

from tidegate.errors import InputError
from tidegate.nn import MinGRU, MinLSTM
from tidegate.nn.minimal import Minimal

NAN = float("nan")
HIDDEN = 4
OPTIONS: dict[str, dict[str, Any]] = {
    "positive": {"candidate": "positive"},
    "no_bias": {"bias": False},
    "residual": {"residual": True},
    "initial": {"learned_initial_state": True},
    "stacked": {"num_layers": 2},
}
CASES = [
    (kind, names)
    for kind in (MinGRU, MinLSTM)
    for count in range(3)
    for names in itertools.combinations(OPTIONS, count)
]
LENGTHS = torch.tensor([5, 2, 0, 3])

grid = pytest.mark.parametrize(
    ("kind", "names"), CASES, ids=["+".join((kind.__name__, *names)) for kind, names in CASES]
)
both = pytest.mark.parametrize("kind", [MinGRU, MinLSTM])


def build(kind: type[Minimal], names: tuple[str, ...], dtype: Any = torch.float64) -> Minimal:
    options: dict[str, Any] = {}
    for name in names:
        options |= OPTIONS[name]
    layer = kind(HIDDEN if "residual" in names else 3, HIDDEN, **options)
    enliven(layer, seed=1)
    return layer.to(dtype)


def batch(layer: Minimal, filled: float = 0.0) -> tuple[Tensor, Tensor]:
    """Events with `filled` behind each session's last, and a state to begin with."""
    generator = torch.Generator().manual_seed(2)
    dtype = next(layer.parameters()).dtype
    x = torch.randn(4, 5, layer.input_size, generator=generator)
    x[torch.arange(5) >= LENGTHS[:, None]] = filled
    state = torch.randn(len(layer.layers), 4, HIDDEN, generator=generator)
    return x.to(dtype), state.to(dtype)


def sigmoid(v: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-v))


def equations(layer: Minimal, x: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One session (T, width), one event after the other, as the paper has it."""
    state = state.copy()
    y = np.empty((len(x), HIDDEN))
    for t, v in enumerate(x):
        for depth, one in enumerate(layer.layers):
            product = one.weight.detach().numpy() @ v
            if one.bias is not None:
                product = product + one.bias.detach().numpy()
            *gates, n = np.split(product, len(layer.gates))
            if layer.candidate == "positive":
                n = np.where(n >= 0, n + 0.5, sigmoid(n))
            if isinstance(layer, MinGRU):
                new_share = 1.0 - sigmoid(gates[0])
                state[depth] = (1.0 - new_share) * state[depth] + new_share * n
            else:
                f, i = sigmoid(gates[0]), sigmoid(gates[1])
                state[depth] = f / (f + i) * state[depth] + i / (f + i) * n
            v = state[depth] + v if layer.residual and len(v) == HIDDEN else state[depth]
        y[t] = v
    return y, state


@grid
def test_each_session_is_its_equations(kind: type[Minimal], names: tuple[str, ...]) -> None:
    layer = build(kind, names)
    x, state = batch(layer, filled=NAN)
    y, after = layer(x, state, LENGTHS)
    for session, length in enumerate(LENGTHS.tolist()):
        wanted = equations(layer, x[session, :length].numpy(), state[:, session].numpy())
        found = (y[session, :length], after[:, session])
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one.detach().numpy(), other, rtol=0, atol=1e-12)
        assert not y[session, length:].any()


@grid
def test_steps_are_the_scan(kind: type[Minimal], names: tuple[str, ...]) -> None:
    layer = build(kind, names, torch.float32)
    x = torch.randn(3, 50, layer.input_size)
    for begun in (None, torch.randn(len(layer.layers), 3, HIDDEN)):
        whole, after = layer(x, begun)
        state = begun
        for t in range(50):
            y, state = layer.step(x[:, t], state)
            torch.testing.assert_close(y, whole[:, t], rtol=0, atol=1e-5)
        torch.testing.assert_close(state, after, rtol=0, atol=1e-5)


@grid
def test_gradcheck(kind: type[Minimal], names: tuple[str, ...]) -> None:
    layer = build(kind, names)
    x, state = batch(layer)
    parameters = [name for name, _ in layer.named_parameters()]

    def outputs(x: Tensor, state: Tensor, *tensors: Tensor) -> Any:
        given = dict(zip(parameters, tensors, strict=True))
        begun = None if "initial" in names else state
        y, after = torch.func.functional_call(layer, given, (x, begun, LENGTHS))
        return y, after, state.sum()  # so that there is a gradient where the state is learned

    leaves = (x, state, *layer.parameters())
    leaves = tuple(leaf.detach().clone().requires_grad_() for leaf in leaves)
    assert torch.autograd.gradcheck(outputs, leaves, fast_mode=True)


@both
def test_what_padding_holds_changes_nothing(kind: type[Minimal]) -> None:
    layer = build(kind, ("stacked",))
    padding = torch.arange(5) >= LENGTHS[:, None]
    found = []
    for filled in (0.0, NAN):
        x, state = batch(layer, filled)
        layer.zero_grad()
        y, after = layer(x.requires_grad_(), state, LENGTHS)
        (y.sin().sum() + after.sin().sum()).backward()
        assert not x.grad[padding].any()
        found.append((y, after, x.grad, *(p.grad.clone() for p in layer.parameters())))
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


@both
def test_a_session_that_is_not_finite_is_alone(kind: type[Minimal]) -> None:
    layer = build(kind, ("stacked",))
    found = []
    for value in (0.5, NAN):
        x, state = batch(layer)
        x[0, 1] = value
        y, _ = layer(x.requires_grad_(), state, LENGTHS)
        y.sum().backward()
        found.append((y[1:], x.grad[1:]))
    assert y[0, 1:].isnan().all()
    assert not y[0, :1].isnan().any()
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


@both
def test_shares_of_extreme_gates(kind: type[Minimal]) -> None:
    """Gates that vanish in float32 still share between themselves, and nothing is NaN."""
    layer = kind(1, 1)
    with torch.no_grad():
        layer.layers[0].weight.fill_(1.0)
        layer.layers[0].bias.zero_()
    for value in (-1e4, -200.0, 200.0, 1e4):
        y, _ = layer(torch.full((1, 3, 1), value), torch.ones(1, 1, 1))
        assert y.isfinite().all()
        if kind is MinLSTM:  # f and i are equal: half of each
            assert float(y[0, 0, 0].detach()) == pytest.approx(0.5 + 0.5 * value)


def test_positive_candidates_keep_h_positive() -> None:
    layer = build(MinGRU, ("positive", "stacked"))
    x, state = batch(layer)
    assert (layer(x, state.abs())[0] > 0).all()


@both
def test_first_weights_keep_the_past(kind: type[Minimal]) -> None:
    layer = kind(6, 8)
    keep, *others = layer.layers[0].bias.chunk(len(layer.gates))
    assert torch.equal(keep, torch.ones(8))
    assert not any(other.any() for other in others)
    assert float(layer.layers[0].weight.detach().abs().max()) <= (6.0 / (6 + 8)) ** 0.5


@both
def test_dropout_is_of_outputs_and_of_training(kind: type[Minimal]) -> None:
    torch.manual_seed(0)
    layer = kind(3, 50, dropout=0.5)
    x = torch.randn(4, 6, 3)
    y, state = layer(x)
    whole, after = layer.eval()(x)
    assert torch.equal(state, after)
    assert 0.4 < float((y == 0).float().mean()) < 0.6
    torch.testing.assert_close(torch.where(y == 0, 0.0, 2.0 * whole), y)


@both
def test_empty_batches(kind: type[Minimal]) -> None:
    layer = build(kind, ("stacked",))
    x, state = batch(layer, filled=NAN)
    y, after = layer(torch.full_like(x, NAN), state, torch.zeros(4, dtype=torch.int64))
    assert not y.any()
    assert torch.equal(after, state)
    y, after = layer(x[:, :0], state)
    assert y.shape == (4, 0, HIDDEN)
    assert torch.equal(after, state)
    y, after = layer(x[:0], state[:, :0])
    assert (y.shape, after.shape) == ((0, 5, HIDDEN), (2, 0, HIDDEN))


@both
def test_autocast(kind: type[Minimal]) -> None:
    layer = build(kind, ("stacked",), torch.float32)
    x, state = batch(layer)
    wanted, _ = layer(x, state, LENGTHS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, after = layer(x, state, LENGTHS)
    assert y.dtype == after.dtype == torch.float32
    torch.testing.assert_close(y, wanted, rtol=0, atol=0.1)


@both
def test_what_is_no_input(kind: type[Minimal]) -> None:
    layer = kind(3, HIDDEN, num_layers=2)
    x, state = torch.zeros(2, 5, 3), torch.zeros(2, 2, HIDDEN)
    wrong: list[tuple[str, str, tuple[Any, ...]]] = [
        ("bad_input", "x", (x[0],)),
        ("bad_input", "x", (x[..., :2],)),
        ("bad_input", "x", (x.double(),)),
        ("bad_input", "x", (x.long(),)),
        ("bad_input", "x", (x.to("meta"),)),
        ("bad_state", "state", (x, state[:1])),
        ("bad_state", "state", (x, state.double())),
        ("bad_state", "state", (x, state.to("meta"))),
        ("bad_lengths", "lengths", (x, state, torch.tensor([5, 6]))),
        ("bad_lengths", "lengths", (x, state, torch.tensor([5]))),
    ]
    for code, field, given in wrong:
        with pytest.raises(InputError) as caught:
            layer(*given)
        assert (caught.value.code, caught.value.field) == (code, field)
    with pytest.raises(InputError, match=r"give \(sessions, 3\)"):
        layer.step(x)
    with pytest.raises(InputError, match="bad_state"):
        layer.step(x[:, 0], state[:, :1])


@both
@pytest.mark.parametrize(
    "options",
    [
        {"hidden_size": 0},
        {"input_size": 0},
        {"num_layers": 0},
        {"dropout": 1.0},
        {"candidate": "g"},
    ],
    ids=str,
)
def test_options_that_are_none(kind: type[Minimal], options: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        kind(**{"input_size": 3, "hidden_size": 4, **options})
    assert (caught.value.code, caught.value.field) == ("bad_layer", next(iter(options)))


@pytest.mark.parametrize("kind", [MinGRU, MinLSTM])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_layers_of_half_precision(kind: type[Minimal], dtype: torch.dtype) -> None:
    layer, x = kind(3, 8, num_layers=2, residual=True).to(dtype), torch.randn(2, 5, 3, dtype=dtype)
    y, state = layer(x)
    assert (y.dtype, state.dtype) == (dtype, dtype)
    torch.testing.assert_close(y, layer.float()(x.float())[0].to(dtype), rtol=0.05, atol=0.05)
    layer.to(dtype)
    one, after = layer.step(x[:, 0])
    assert (one.dtype, after.dtype) == (dtype, dtype)
    layer(x, after)
