"""Layers whose calls torch traces: torch.compile, torch.export, torch.func."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

from tidegate.errors import InputError
from tidegate.nn import GRU, LSTM, RNN, MinGRU, MinLSTM

KINDS: list[Any] = [GRU, LSTM, RNN, MinGRU, MinLSTM]
LENGTHS = torch.tensor([6, 2, 0, 1])

each_kind = pytest.mark.parametrize("kind", KINDS)


def events(value: float = 0.0) -> Tensor:
    """Events whose padding holds `value`."""
    x = torch.randn(4, 6, 3)
    padding = torch.arange(6) >= LENGTHS[:, None]
    return x.masked_fill(padding[..., None], value)


def learned(call: Any, layer: torch.nn.Module, x: Tensor) -> list[Tensor]:
    """Return what a call gives, and all gradients of it."""
    layer.zero_grad()
    x = x.clone().requires_grad_()
    y, state = call(x, lengths=LENGTHS)
    parts = (state,) if isinstance(state, Tensor) else state
    (y.square().sum() + sum(part.sum() for part in parts)).backward()
    return [y.detach(), *parts, x.grad, *(p.grad.clone() for p in layer.parameters())]


@each_kind
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.filterwarnings("ignore:.*should not be instantiated")  # of what torch does itself
def test_a_compiled_layer_never_reads_padding(kind: Any, layers: int) -> None:
    layer, x = kind(3, 8, num_layers=layers), events()
    torch._dynamo.reset()
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    for value in (0.0, float("nan"), float("inf")):
        padding = torch.arange(6) >= LENGTHS[:, None]
        given = x.masked_fill(padding[..., None], value)
        for found, wanted in zip(
            learned(compiled, layer, given), learned(layer, layer, x), strict=True
        ):
            torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


@each_kind
def test_an_exported_layer_takes_lengths_as_the_layer_does(kind: Any) -> None:
    layer, x = kind(3, 8), events(float("nan"))
    exported = torch.export.export(layer, (x, None, LENGTHS)).module()
    torch.testing.assert_close(
        exported(x, None, LENGTHS)[0], layer(x, lengths=LENGTHS)[0], rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("kind", [GRU, LSTM, RNN])
def test_what_was_exported_for_use_alone_says_so(kind: Any) -> None:
    layer, x = kind(3, 8), events()
    with torch.no_grad():
        exported = torch.export.export(layer, (x,)).module()
    y, _ = exported(x)
    torch.testing.assert_close(y, layer(x)[0], rtol=0, atol=1e-6)
    with pytest.raises(InputError) as caught:
        y.sum().backward()
    assert (caught.value.code, caught.value.field) == ("nothing_kept", "export")


@each_kind
def test_torch_func_takes_gradients(kind: Any) -> None:
    layer, x = kind(3, 8), events()
    parameters = dict(layer.named_parameters())

    def loss(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        y, _ = functional_call(layer, parameters, (x,))
        return y.square().sum()

    found = grad(loss)(parameters, x)
    layer(x)[0].square().sum().backward()
    for name, parameter in parameters.items():
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-4, atol=1e-5)
    each = vmap(grad(loss), in_dims=(None, 0))(parameters, x[:, None])
    for name, parameter in parameters.items():
        torch.testing.assert_close(each[name].sum(0), parameter.grad, rtol=1e-4, atol=1e-5)
