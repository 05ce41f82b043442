"""Layers and torch.nn modules of the same weights give the same numbers and gradients."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from layer_grid import each_part
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from tidegate.errors import InputError
from tidegate.nn import GRU, LSTM, RNN, MinGRU, from_torch, to_torch
from tidegate.nn.recurrent import Recurrent

KINDS: dict[str, dict[str, Any]] = {
    "gru": {"kind": nn.GRU},
    "lstm": {"kind": nn.LSTM},
    "rnn": {"kind": nn.RNN},
    "relu": {"kind": nn.RNN, "nonlinearity": "relu"},
}
SHAPES = [
    {"num_layers": layers, "bidirectional": both, "bias": bias}
    for layers, both, bias in itertools.product((1, 2), (False, True), (False, True))
]
LENGTHS = torch.tensor([4, 9, 1, 6])

kinds = pytest.mark.parametrize("name", KINDS)
shapes = pytest.mark.parametrize("options", SHAPES, ids=str)


def module_of(name: str, **options: Any) -> nn.RNNBase:
    """torch's module, its weights drawn by torch."""
    torch.manual_seed(1)
    return KINDS[name]["kind"](
        5, 7, **{key: value for key, value in KINDS[name].items() if key != "kind"}, **options
    )


def names_of(module: nn.RNNBase) -> dict[str, str]:
    """torch's names of the parameters by those of the layer, written out once more."""
    parts = {"input": "weight_ih", "recurrent": "weight_hh"}
    parts |= {"b_input": "bias_ih", "b_recurrent": "bias_hh"} if module.bias else {}
    return {
        f"layers.{depth}.cells.{way}.{ours}": f"{theirs}_l{depth}{'_reverse' * way}"
        for depth in range(module.num_layers)
        for way in range(2 if module.bidirectional else 1)
        for ours, theirs in parts.items()
    }


@kinds
@shapes
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
def test_numbers_and_gradients_are_torchs(name: str, options: dict[str, Any], ragged: bool) -> None:
    module = module_of(name, batch_first=True, **options)
    layer = from_torch(module)
    x = torch.randn(4, 9, 5)
    count = options["num_layers"] * (2 if options["bidirectional"] else 1)
    state = torch.randn(2 if name == "lstm" else 1, count, 4, 7).unbind()
    begun = state if len(state) == 2 else state[0]

    def of_torch(x: Tensor) -> tuple[Tensor, Any]:
        if not ragged:
            return module(x, begun)
        packed = pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
        y, after = module(packed, begun)
        return pad_packed_sequence(y, batch_first=True)[0], after

    results = []
    for call in (of_torch, lambda x: layer(x, begun, LENGTHS if ragged else None)):
        leaf = x.clone().requires_grad_()
        y, after = call(leaf)
        (y.sin().sum() + sum(part.cos().sum() for part in each_part(after))).backward()
        results.append((y, *each_part(after), leaf.grad))
    for wanted, found in zip(*results, strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
    ours = dict(layer.named_parameters())
    assert set(ours) == set(names_of(module))
    for name_of_ours, theirs in names_of(module).items():
        wanted = module.get_parameter(theirs).grad
        torch.testing.assert_close(ours[name_of_ours].grad, wanted, rtol=1e-5, atol=1e-5)


@kinds
@shapes
def test_there_and_back_is_the_same_to_the_bit(name: str, options: dict[str, Any]) -> None:
    module = module_of(name, **options, dropout=0.25 * (options["num_layers"] - 1)).double().eval()
    layer = from_torch(module)
    back = to_torch(layer)
    assert type(back) is KINDS[name]["kind"]
    assert back.batch_first
    assert not back.training
    for key in ("mode", "input_size", "hidden_size", "num_layers", "bias", "bidirectional"):
        assert getattr(back, key) == getattr(module, key)
    assert back.dropout == module.dropout == layer.dropout.p
    for (one, wanted), (other, found) in zip(
        module.named_parameters(), back.named_parameters(), strict=True
    ):
        assert one == other
        assert torch.equal(wanted, found)


def test_weights_are_copies() -> None:
    module = module_of("gru")
    layer = from_torch(module)
    back = to_torch(layer)
    before = [p.clone() for p in layer.parameters()]
    with torch.no_grad():
        for parameter in (*module.parameters(), *back.parameters()):
            parameter.zero_()
    assert all(torch.equal(p, q) for p, q in zip(layer.parameters(), before, strict=True))


@pytest.mark.parametrize(
    ("layer", "field"),
    [
        (GRU(5, 5, reset_after=False), "reset_after"),
        (LSTM(5, 5, layer_norm=True), "layer_norm"),
        (RNN(5, 5, bias="single"), "bias"),
        (GRU(3, 5, num_layers=2, residual=True), "residual"),
        (LSTM(5, 5, peephole=True), "peephole"),
        (GRU(5, 5, learned_initial_state=True), "learned_initial_state"),
        (GRU(5, 5, zoneout=0.1), "zoneout"),
        (LSTM(5, 5, zoneout_cell=0.1), "zoneout_cell"),
        (RNN(5, 5, recurrent_dropout=0.1), "recurrent_dropout"),
        (RNN(5, 5, weight_dropout=0.1), "weight_dropout"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_torch_has_not_is_refused(layer: Recurrent, field: str) -> None:
    with pytest.raises(InputError) as caught:
        to_torch(layer)
    assert (caught.value.code, caught.value.field) == ("bad_layer", field)


@pytest.mark.parametrize(
    ("module", "field"),
    [(nn.LSTM(5, 7, proj_size=3), "proj_size"), (nn.Linear(5, 7), "module")],
    ids=["proj_size", "linear"],
)
def test_what_no_layer_is_is_refused(module: Any, field: str) -> None:
    with pytest.raises(InputError) as caught:
        from_torch(module)
    assert (caught.value.code, caught.value.field) == ("bad_module", field)


def test_what_is_frozen_stays_so() -> None:
    module = nn.GRU(3, 4)
    module.weight_hh_l0.requires_grad_(False)
    layer = from_torch(module)
    frozen = [name for name, one in layer.named_parameters() if not one.requires_grad]
    assert frozen == ["layers.0.cells.0.recurrent"]
    assert not to_torch(layer).get_parameter("weight_hh_l0").requires_grad


def test_what_no_layer_is_has_no_module() -> None:
    with pytest.raises(InputError) as caught:
        to_torch(MinGRU(3, 4))
    assert (caught.value.code, caught.value.field) == ("bad_layer", "layer")
