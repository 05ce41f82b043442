"""What is no proper input: an answer that is defined, or an error that says what to do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from layer_grid import Case, batch, build, cases, each_part

from tidegate.errors import InputError
from tidegate.nn import GRU, LSTM, RNN
from tidegate.nn.recurrent import Recurrent

NAN = float("nan")
LAYERS = {"gru": GRU, "lstm": LSTM, "rnn": RNN}

each_cell = pytest.mark.parametrize("cell", LAYERS)
each_option = pytest.mark.parametrize("case", cases(1), ids=str)
both_paths = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
both_modes = pytest.mark.parametrize("training", [False, True], ids=["eval", "training"])


def refused(layer: Recurrent, code: str, field: str, *given: Any) -> str:
    """Check that a call is refused and leaves no trace; return what was said."""
    before = torch.get_rng_state()
    with pytest.raises(InputError) as caught:
        layer(*given)
    assert (caught.value.code, caught.value.field) == (code, field)
    assert caught.value.hint
    assert torch.equal(torch.get_rng_state(), before)
    return str(caught.value)


# Lengths


@each_cell
def test_a_length_beyond_the_tensor_names_its_session(cell: str) -> None:
    layer = LAYERS[cell](3, 4)
    said = refused(
        layer, "bad_lengths", "lengths", torch.zeros(2, 5, 3), None, torch.tensor([5, 6])
    )
    assert "session 1 has 6 steps, x has 5" in said


@pytest.mark.parametrize(
    "lengths",
    [
        [3, 2],
        torch.tensor([3, -1]),
        torch.tensor([3]),
        torch.tensor([[3, 3]]),
        torch.tensor([3.0, 3.0]),
        torch.tensor([True, True]),
        torch.tensor([3, 3], device="meta"),
    ],
    ids=["a list", "negative", "too few", "a matrix", "fractions", "booleans", "without numbers"],
)
def test_lengths_that_are_none(lengths: Any) -> None:
    refused(GRU(3, 4), "bad_lengths", "lengths", torch.zeros(2, 5, 3), None, lengths)


def test_lengths_of_32_bits_are_lengths() -> None:
    layer = GRU(3, 4)
    x = torch.randn(2, 5, 3)
    long = layer(x, None, torch.tensor([5, 2]))[0]
    assert torch.equal(layer(x, None, torch.tensor([5, 2], dtype=torch.int32))[0], long)


@each_option
@both_paths
@both_modes
def test_a_session_without_events_keeps_its_state(
    case: Case, dtype: torch.dtype, training: bool
) -> None:
    layer = build(case, dtype, training=training)
    x, state, lengths = batch(layer, (0, 4), filled=NAN)
    y, after = layer(x, state, lengths)
    assert not y[0].any()
    for one, other in zip(each_part(after), each_part(state), strict=True):
        assert torch.equal(one[:, 0], other[:, 0])


@each_option
@both_paths
@both_modes
@pytest.mark.parametrize("steps", [0, 3])
def test_a_batch_of_padding_alone(
    case: Case, dtype: torch.dtype, training: bool, steps: int
) -> None:
    """Outputs 0, states as they were, gradients 0, and never a look at what the padding holds."""
    layer = build(case, dtype, training=training)
    x = torch.full((2, steps, layer.input_size), NAN, dtype=dtype, requires_grad=True)
    _, state, _ = batch(layer, (3, 3))
    for part in each_part(state):
        part.requires_grad_()
    y, after, gates = layer(x, state, torch.tensor([0, 0]), return_gates=True)
    assert y.shape == (2, steps, layer.hidden_size * (2 if layer.bidirectional else 1))
    for whole in (y, *(gate for traces in gates for gate in traces.values())):
        assert whole.shape[:2] == (2, steps)
        assert not whole.any()
    (y.sum() + sum(part.sum() for part in each_part(after))).backward()
    for one, other in zip(each_part(after), each_part(state), strict=True):
        assert torch.equal(one, other)
        assert torch.equal(other.grad, torch.ones_like(other))
    for leaf in (x, *layer.parameters()):
        assert leaf.grad is None or not leaf.grad.any()
    layer(x.detach(), None, torch.tensor([0, 0]))[0].sum().backward()  # of the weights alone


# Empty tensors


@each_option
@both_paths
@pytest.mark.parametrize("given", [True, False], ids=["lengths", "no lengths"])
def test_no_steps(case: Case, dtype: torch.dtype, given: bool) -> None:
    layer = build(case, dtype)
    _, state, lengths = batch(layer, (3, 3))
    x = torch.zeros(2, 0, layer.input_size, dtype=dtype)
    y, after = layer(x, state, lengths * 0 if given else None)
    assert y.shape[:2] == (2, 0)
    for one, other in zip(each_part(after), each_part(state), strict=True):
        assert torch.equal(one, other)


@each_option
@both_paths
@both_modes
@pytest.mark.parametrize("given", [True, False], ids=["lengths", "no lengths"])
def test_no_sessions(case: Case, dtype: torch.dtype, training: bool, given: bool) -> None:
    layer = build(case, dtype, training=training)
    x = torch.zeros(0, 3, layer.input_size, dtype=dtype)
    lengths = torch.zeros(0, dtype=torch.int64) if given else None
    y, after, gates = layer(x, None, lengths, return_gates=True)
    outputs = layer.hidden_size * (2 if layer.bidirectional else 1)
    assert y.shape == (0, 3, outputs)
    assert {part.shape[1:] for part in each_part(after)} == {(0, layer.hidden_size)}
    assert all(gate.shape == (0, 3, layer.hidden_size) for gate in gates[0].values())
    again = layer(x, after, lengths)[1]
    assert [part.shape for part in each_part(again)] == [part.shape for part in each_part(after)]


# States


@each_cell
def test_states_of_other_shapes(cell: str) -> None:
    layer = LAYERS[cell](3, 4, num_layers=2, bidirectional=True)
    x = torch.zeros(5, 6, 3)
    right = (4, 5, 4)
    pair = cell == "lstm"
    for shape in [(2, 5, 4), (4, 6, 4), (4, 5, 3), (4, 1, 4), (5, 4), (1, 4, 5, 4)]:
        part = torch.zeros(shape)
        said = refused(layer, "bad_state", "state", x, (torch.zeros(right), part) if pair else part)
        assert f"of shape {shape}" in said
        assert str(right) in said


def test_an_lstm_has_two_parts_and_the_others_one() -> None:
    part = torch.zeros(1, 2, 4)
    x = torch.zeros(2, 5, 3)
    refused(LSTM(3, 4), "bad_state", "state", x, part)
    refused(LSTM(3, 4), "bad_state", "state", x, (part,))
    refused(LSTM(3, 4), "bad_state", "state", x, (part, part, part))
    refused(GRU(3, 4), "bad_state", "state", x, (part, part))


def test_states_of_another_type_or_device() -> None:
    x, part = torch.zeros(2, 5, 3), torch.zeros(1, 2, 4)
    for wrong in (part.double(), part.long(), part.half(), part.to("meta")):
        refused(GRU(3, 4), "bad_state", "state", x, wrong)
        refused(LSTM(3, 4), "bad_state", "state", x, (part, wrong))


# Events


@each_cell
@pytest.mark.parametrize("shape", [(5, 3), (2, 5, 4), (2, 3, 5), (1, 2, 5, 3), (3,), ()], ids=str)
def test_events_of_another_shape(cell: str, shape: tuple[int, ...]) -> None:
    said = refused(LAYERS[cell](3, 4), "bad_input", "x", torch.zeros(shape))
    assert "give (sessions, steps, 3)" in said


@each_cell
@pytest.mark.parametrize(
    "dtype", [torch.int64, torch.int32, torch.bool, torch.float64, torch.float16, torch.complex64]
)
def test_events_of_another_type_say_how_to_convert(cell: str, dtype: torch.dtype) -> None:
    said = refused(LAYERS[cell](3, 4), "bad_input", "x", torch.zeros(2, 5, 3, dtype=dtype))
    assert "x.to(torch.float32)" in said


@each_cell
def test_events_that_are_no_tensor(cell: str) -> None:
    packed = torch.nn.utils.rnn.pack_sequence([torch.zeros(2, 3)])
    assert "lengths=" in refused(LAYERS[cell](3, 4), "bad_input", "x", packed)
    assert "is a list" in refused(LAYERS[cell](3, 4), "bad_input", "x", [[[0.0, 0.0, 0.0]]])


@each_cell
def test_states_that_are_no_tensors(cell: str) -> None:
    for state in ((None, None)[: 2 if cell == "lstm" else 1], "zeros", 0):
        refused(LAYERS[cell](3, 4), "bad_state", "state", torch.zeros(2, 5, 3), state)


def test_lengths_of_one_for_all() -> None:
    layer, x = GRU(3, 4), torch.randn(4, 5, 3)
    one = torch.tensor(3).expand(4)
    assert torch.equal(layer(x, lengths=one)[0], layer(x, lengths=one.clone())[0])


def test_a_layer_of_float64_takes_float64_alone() -> None:
    layer = GRU(3, 4).double()
    refused(layer, "bad_input", "x", torch.zeros(2, 5, 3))
    y, state = layer(torch.zeros(2, 5, 3, dtype=torch.float64))
    assert y.dtype == state.dtype == torch.float64


@each_cell
def test_events_on_another_device(cell: str) -> None:
    layer = LAYERS[cell](3, 4)
    said = refused(layer, "bad_input", "x", torch.zeros(2, 5, 3, device="meta"))
    assert "on meta, the weights on cpu" in said
    refused(layer.to("meta"), "bad_input", "x", torch.zeros(2, 5, 3))


@each_option
def test_a_layer_without_numbers_tells_its_shapes(case: Case) -> None:
    layer = build(case, torch.float32)
    x, state, lengths = batch(layer)
    wanted = layer(x, state, lengths)
    layer.to("meta")
    parts = tuple(part.to("meta") for part in each_part(state))
    y, after = layer(x.to("meta"), parts if len(parts) == 2 else parts[0], lengths)
    assert y.is_meta
    assert y.shape == wanted[0].shape
    for one, other in zip(each_part(after), each_part(wanted[1]), strict=True):
        assert one.is_meta
        assert one.shape == other.shape


@each_option
def test_how_a_tensor_lies_in_memory_is_no_matter(case: Case) -> None:
    layer = build(case, torch.float32)
    x, state, lengths = batch(layer)
    turned = x.transpose(0, 1).contiguous().transpose(0, 1)
    gaps = torch.stack([x, x + 1], dim=-1)[..., 0]
    parts = tuple(part.transpose(0, 2).contiguous().transpose(0, 2) for part in each_part(state))
    assert not turned.is_contiguous()
    for given in (None, lengths):
        wanted, _ = layer(x, state, given)
        for other in (turned, gaps):
            found, _ = layer(other, parts if len(parts) == 2 else parts[0], given)
            torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


def test_one_session_for_all_by_expansion() -> None:
    layer = GRU(3, 4)
    x = torch.randn(1, 5, 3)
    y, _ = layer(x.expand(3, -1, -1))
    torch.testing.assert_close(y, layer(x)[0].expand(3, -1, -1))


# What is not finite


@each_option
@both_paths
@both_modes
@pytest.mark.parametrize("wrong", [NAN, float("inf")], ids=["nan", "inf"])
@pytest.mark.parametrize("session", [0, 1])
def test_a_session_that_is_not_finite_is_alone(
    case: Case, dtype: torch.dtype, training: bool, wrong: float, session: int
) -> None:
    """Neither numbers nor gradients of the other sessions know of it, whichever is longer."""
    layer = build(case, dtype, training=training)
    x, state, lengths = batch(layer, (5, 3, 2))
    others = [other for other in range(3) if other != session]
    found = []
    for value in (0.5, wrong):
        x = x.detach().clone()
        x[session, 1] = value
        x.requires_grad_()
        parts = tuple(part.detach().clone().requires_grad_() for part in each_part(state))
        torch.manual_seed(4)
        y, after = layer(x, parts if len(parts) == 2 else parts[0], lengths)
        if value != value:
            assert y[session, 1].isnan().all()
            assert bool(y[session, 0].isnan().any()) == layer.bidirectional
        (y.sum() + sum(part.sum() for part in each_part(after))).backward()
        tensors = (y[others], x.grad[others])
        tensors += tuple(part[:, others] for part in each_part(after))
        found.append(tensors + tuple(part.grad[:, others] for part in parts))
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


# Types under autocast


@each_option
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["fused", "composed"])
def test_autocast(case: Case, dtype: torch.dtype) -> None:
    """Half the bits in the products, float32 in what is kept from step to step."""
    layer = build(case, torch.float32)
    x, state, lengths = batch(layer)
    wanted = layer(x, state, lengths)
    with torch.autocast("cpu", dtype=dtype):
        y, after, _ = layer(x, state, lengths, return_gates=True)
        refused(layer, "bad_input", "x", x.double())
    y.float().sum().backward()
    for one, other in zip((y, *each_part(after)), (wanted[0], *each_part(wanted[1])), strict=True):
        torch.testing.assert_close(one.float(), other, rtol=0, atol=0.2)


# Options


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (GRU, {"hidden_size": 0}),
        (GRU, {"input_size": 0}),
        (GRU, {"num_layers": 0}),
        (GRU, {"zoneout": 1.0}),
        (GRU, {"dropout": -0.1}),
        (GRU, {"recurrent_dropout": NAN}),
        (GRU, {"weight_dropout": 2.0}),
        (LSTM, {"zoneout_cell": 1.0}),
        (GRU, {"bias": "both"}),
        (GRU, {"bias": True}),
        (GRU, {"init": "zeros"}),
        (RNN, {"activation": "gelu"}),
        (GRU, {"activation": "relu"}),
        (GRU, {"peephole": True}),
        (RNN, {"reset_after": False}),
        (RNN, {"zoneout_cell": 0.1}),
        (LSTM, {"proj_size": 3}),
        (GRU, {"batch_first": True}),
        (GRU, {"hidden_size": 8.0}),
        (GRU, {"num_layers": "2"}),
        (GRU, {"zoneout": "a"}),
        (GRU, {"recompute": "no"}),
        (GRU, {"reset_after": None}),
    ],
    ids=str,
)
def test_options_that_are_none(kind: Any, options: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        kind(**{"input_size": 3, "hidden_size": 4, **options})
    assert (caught.value.code, caught.value.field) == ("bad_layer", next(iter(options)))
