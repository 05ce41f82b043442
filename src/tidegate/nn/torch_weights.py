"""Layers to and from those of torch.nn, which stacks the same gates in the same order."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import nn

from tidegate.errors import InputError
from tidegate.nn.layer import Layer
from tidegate.nn.recurrent import GRU, LSTM, RNN, Recurrent
from tidegate.spec import LayerSpec

__all__ = ["from_torch", "to_torch"]

_NAMES = {
    "input": "weight_ih",
    "recurrent": "weight_hh",
    "b_input": "bias_ih",
    "b_recurrent": "bias_hh",
}
"""What torch calls each array of a direction."""

_KINDS: dict[str, type[GRU | LSTM | RNN]] = {
    "GRU": GRU,
    "LSTM": LSTM,
    "RNN_TANH": RNN,
    "RNN_RELU": RNN,
}
"""What torch calls each kind of module."""

_MODULES: dict[str, type[nn.GRU | nn.LSTM | nn.RNN]] = {
    "gru": nn.GRU,
    "lstm": nn.LSTM,
    "rnn": nn.RNN,
}

_OPTIONS = {
    "reset_after": "has its reset gate before the product",
    "layer_norm": "normalises",
    "residual": "adds its input",
    "peephole": "has peepholes",
    "learned_initial_state": "learns its initial state",
    "zoneout": "keeps a share of its state",
    "zoneout_cell": "keeps a share of its state",
}
"""Fields of a layer of which torch has only the default, and what a layer does that has another."""


def from_torch(module: nn.RNNBase) -> GRU | LSTM | RNN:
    """Make a layer of a ``torch.nn.GRU``, ``LSTM`` or ``RNN``, with a copy of its weights.

    Parameters
    ----------
    module : torch.nn.RNNBase
        On any device, of any type; the layer will be on the same. With `batch_first` or without:
        a layer always takes (sessions, steps, numbers).

    Returns
    -------
    GRU, LSTM or RNN
        In training mode if the module is. torch drops between layers alone, a layer also what goes
        out of its last one: a module with dropout gives equal numbers outside of training.

    Raises
    ------
    InputError
        ``bad_module``: an LSTM with projections, or no recurrent module.

    Examples
    --------
    >>> module = torch.nn.GRU(3, 8, batch_first=True)
    >>> x = torch.ones(2, 5, 3)
    >>> torch.allclose(from_torch(module)(x)[0], module(x)[0], atol=1e-6)
    True
    """
    mode = module.mode if isinstance(module, nn.RNNBase) else type(module).__name__
    if mode not in _KINDS:
        raise _refused("module", f"a {mode} is no layer", "give a torch.nn.GRU, LSTM or RNN")
    if module.proj_size:
        raise _refused("proj_size", f"projects h to {module.proj_size}", "use one without")
    bent: dict[str, Any] = {"activation": mode[4:].lower()} if mode.startswith("RNN") else {}
    layer = _KINDS[mode](
        module.input_size,
        module.hidden_size,
        num_layers=module.num_layers,
        bidirectional=module.bidirectional,
        bias="double" if module.bias else "none",
        dropout=module.dropout,
        **bent,
    )
    weight = module.get_parameter("weight_ih_l0")
    layer.to(device=weight.device, dtype=weight.dtype).train(module.training)
    _copy(layer, module, to_torch=False)
    return layer


def to_torch(layer: nn.Module) -> nn.RNNBase:
    """Make a ``torch.nn`` module of a layer, with a copy of its weights.

    Parameters
    ----------
    layer : GRU, LSTM or RNN
        On any device, of any type; the module will be on the same.

    Returns
    -------
    torch.nn.GRU, LSTM or RNN
        With `batch_first`, in training mode if the layer is. It does not drop what goes out of its
        last layer.

    Raises
    ------
    InputError
        ``bad_layer``, naming an option that torch's modules have not.

    Examples
    --------
    >>> layer = LSTM(3, 8, num_layers=2, bidirectional=True)
    >>> to_torch(layer)
    LSTM(3, 8, num_layers=2, batch_first=True, bidirectional=True)
    >>> to_torch(GRU(3, 8, layer_norm=True))
    Traceback (most recent call last):
        ...
    tidegate.errors.InputError: layer_norm: the layer normalises (bad_layer); torch.nn has no such
    module
    """
    if not isinstance(layer, Recurrent):
        what = f"torch.nn has no {type(layer).__name__}"
        raise _refused("layer", what, "give a GRU, LSTM or RNN", "bad_layer")
    for one in layer.layers:
        _check(cast("Layer", one))
    first = cast("Layer", layer.layers[0])
    spec, weight = first.spec, next(layer.parameters())
    count = len(layer.layers)
    bent: dict[str, Any] = {"nonlinearity": spec.activation} if spec.cell == "rnn" else {}
    module = _MODULES[spec.cell](
        layer.input_size,
        layer.hidden_size,
        num_layers=count,
        bias=spec.bias == "double",
        batch_first=True,
        dropout=layer.dropout.p if count > 1 else 0.0,
        bidirectional=layer.bidirectional,
        device=weight.device,
        dtype=weight.dtype,
        **bent,
    )
    module.train(layer.training)
    _copy(layer, module, to_torch=True)
    return module


def _check(layer: Layer) -> None:
    plain = LayerSpec(layer.spec.cell, layer.spec.hidden_size)
    for field, what in _OPTIONS.items():
        if getattr(layer.spec, field) != getattr(plain, field):
            raise _refused(field, f"the layer {what}", "torch.nn has no such module", "bad_layer")
    if layer.spec.bias == "single":
        hint = "train a layer with bias='double' or 'none'"
        raise _refused("bias", "the layer has one, torch two or none", hint, "bad_layer")
    for field in ("recurrent_dropout", "weight_dropout"):
        if getattr(layer.rates, field):
            what = "the layer drops inside its recurrence"
            raise _refused(field, what, "torch.nn has no such module", "bad_layer")


def _copy(layer: Recurrent, module: nn.RNNBase, *, to_torch: bool) -> None:
    with torch.no_grad():
        for depth, one in enumerate(layer.layers):
            for way, cell in enumerate(cast("Layer", one).cells):
                for name, ours in cell.named_parameters():
                    theirs = module.get_parameter(
                        f"{_NAMES[name]}_l{depth}" + ("_reverse" if way else "")
                    )
                    source, target = (ours, theirs) if to_torch else (theirs, ours)
                    target.copy_(source)
                    target.requires_grad_(source.requires_grad)


def _refused(field: str, what: str, hint: str, code: str = "bad_module") -> InputError:
    return InputError(code, what, field=field, hint=hint)
