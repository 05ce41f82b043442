"""The layer family over a grid of options, with weights that keep it lively, and a plain oracle.

A case is a cell and some options by name. `build` makes its layer, `batch` sessions for it, and
`by_cells` takes each session alone through the cells, step by step, in plain Python.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tidegate.nn import GRU, LSTM, RNN
from tidegate.nn.cells import blend
from tidegate.nn.noise import Noise, draw
from tidegate.nn.recurrent import Recurrent
from tidegate.nn.rows import Rows

HIDDEN = 4
LENGTHS = (5, 2, 0, 3)

_LAYERS: dict[str, type[Recurrent]] = {"gru": GRU, "lstm": LSTM, "rnn": RNN}
_COMMON: dict[str, dict[str, Any]] = {
    "single_bias": {"bias": "single"},
    "no_bias": {"bias": "none"},
    "layer_norm": {"layer_norm": True},
    "zoneout": {"zoneout": 0.3},
    "recurrent_dropout": {"recurrent_dropout": 0.4},
    "weight_dropout": {"weight_dropout": 0.3},
    "residual": {"residual": True},
    "initial": {"learned_initial_state": True},
    "bidirectional": {"bidirectional": True},
    "stacked": {"num_layers": 2},
}
OPTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "gru": {**_COMMON, "reset_before": {"reset_after": False}},
    "lstm": {**_COMMON, "peephole": {"peephole": True}, "zoneout_cell": {"zoneout_cell": 0.4}},
    "rnn": {**_COMMON, "relu": {"activation": "relu"}},
}
"""What each option is called, and what it is, by cell."""


@dataclass(frozen=True)
class Case:
    """A cell and the names of its options."""

    cell: str
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "+".join((self.cell, *self.names))

    @property
    def options(self) -> dict[str, Any]:
        """Keywords of the layer."""
        merged: dict[str, Any] = {}
        for name in self.names:
            merged |= OPTIONS[self.cell][name]
        return merged

    @property
    def input_size(self) -> int:
        """Numbers of an event: as many as outputs where the input is added to them."""
        outputs = HIDDEN * (2 if "bidirectional" in self.names else 1)
        return outputs if "residual" in self.names else 3


def cases(most: int = 2) -> list[Case]:
    """Return each cell with every set of up to `most` options that can stand together."""

    def of(cell: str) -> Iterator[Case]:
        for count in range(most + 1):
            for names in itertools.combinations(OPTIONS[cell], count):
                keys = [key for name in names for key in OPTIONS[cell][name]]
                if len(set(keys)) == len(keys):
                    yield Case(cell, names)

    return [case for cell in OPTIONS for case in of(cell)]


def build(case: Case, dtype: torch.dtype = torch.float64, *, training: bool = False) -> Recurrent:
    """Make a case's layer; the same weights whatever the type."""
    layer = _LAYERS[case.cell](case.input_size, HIDDEN, **case.options)
    enliven(layer, seed=1)
    return layer.to(dtype).train(training)


def enliven(module: nn.Module, *, seed: int) -> None:
    """Draw all parameters anew, none of them trivial."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        drawn = torch.randn(parameter.shape, generator=generator) / parameter.shape[-1] ** 0.5
        if "recurrent" in name and parameter.dim() == 2:
            drawn *= 0.7  # a relu network must not grow without bounds
        if "norm_" in name:
            drawn = 1.0 + 0.5 * drawn
        with torch.no_grad():
            parameter.copy_(drawn)


def batch(
    layer: Recurrent, lengths: tuple[int, ...] = LENGTHS, *, filled: float = 0.0, seed: int = 2
) -> tuple[Tensor, Tensor | tuple[Tensor, ...], Tensor]:
    """Draw events, with `filled` behind each session's last, a state to begin with, and lengths."""
    generator = torch.Generator().manual_seed(seed)
    dtype = next(layer.parameters()).dtype
    x = torch.randn(len(lengths), max(lengths), layer.input_size, generator=generator)
    for session, length in enumerate(lengths):
        x[session, length:] = filled
    count = len(layer.layers) * (2 if layer.bidirectional else 1)
    shape = (2 if layer.cell == "lstm" else 1, count, len(lengths), layer.hidden_size)
    parts = tuple(torch.randn(shape, generator=generator).to(dtype))
    return x.to(dtype), parts if len(parts) == 2 else parts[0], torch.tensor(lengths)


def each_part(state: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return h, or h and c."""
    return (state,) if isinstance(state, Tensor) else tuple(state)


def by_cells(
    layer: Recurrent,
    x: Tensor,
    state: Tensor | tuple[Tensor, ...] | None,
    lengths: Tensor,
    *,
    seed: int = 0,
) -> tuple[Tensor, tuple[Tensor, ...], tuple[tuple[Tensor, ...], ...]]:
    """Take each session alone through the cells, one event at a time.

    Training noise is what a call of the layer draws after ``torch.manual_seed(seed)``; dropout of
    the outputs is not among it.

    Returns
    -------
    y : tensor (B, T, outputs)
        0 behind a session's last event.
    state : tuple of tensors (layers * directions, B, hidden_size)
        h, or h and c.
    gates : tuple of tuples of tensors (B, T, hidden_size)
        Of each layer and direction.
    """
    torch.manual_seed(seed)
    rows = Rows.of(x, lengths)
    after: list[list[Tensor]] = []
    traces: list[tuple[Tensor, ...]] = []
    for depth, one in enumerate(layer.layers):
        outputs = []
        for way, cell in enumerate(one.cells):
            noise = draw(one.rates, rows, cell.recurrent, training=layer.training)
            place = depth * len(one.cells) + way
            ys, ends, gates = [], [], []
            for session, length in enumerate(lengths.tolist()):
                if state is not None:
                    begun = tuple(part[place, session] for part in each_part(state))
                else:
                    begun = tuple(
                        part[0] for part in one.initial_state(x, 1)[way * _parts(layer) :]
                    )[: _parts(layer)]
                first = int(rows.offsets[session])
                found = _session(
                    cell, x[session, :length], begun, _part(noise, session, first, length), way == 1
                )
                padding = x.new_zeros(x.shape[1] - length, layer.hidden_size)
                ys.append(torch.cat([found[0], padding]))
                ends.append(found[1])
                gates.append([torch.cat([gate, padding]) for gate in found[2]])
            outputs.append(torch.stack(ys))
            after.append([torch.stack(parts) for parts in zip(*ends, strict=True)])
            traces.append(tuple(torch.stack(gate) for gate in zip(*gates, strict=True)))
        y = torch.cat(outputs, dim=-1)
        if one.spec.residual:
            real = torch.arange(x.shape[1]) < lengths[:, None]
            y = y + torch.where(real[..., None], x, 0.0)
        x = y
    return x, tuple(torch.stack(part) for part in zip(*after, strict=True)), tuple(traces)


def _parts(layer: Recurrent) -> int:
    return 2 if layer.cell == "lstm" else 1


def _part(noise: Noise, session: int, first: int, length: int) -> Noise:
    """What is drawn for one session."""

    def rows(keep: Tensor | float) -> Tensor | float:
        return keep[first : first + length] if isinstance(keep, Tensor) else keep

    mask = None if noise.mask is None else noise.mask[session]
    return Noise(rows(noise.keep), rows(noise.keep_cell), mask, noise.weight)


def _session(
    cell: Any, x: Tensor, state: tuple[Tensor, ...], noise: Noise, reverse: bool
) -> tuple[Tensor, tuple[Tensor, ...], list[Tensor]]:
    """Take one session's events (T, width) from a state of vectors."""
    weight = None if noise.weight is None else cell.recurrent * noise.weight
    steps = range(len(x))
    ys, gates = [x.new_empty(0)] * len(x), [()] * len(x)
    for t in reversed(steps) if reverse else steps:
        stepped, gates[t] = cell.step(
            cell.input_product(x[t]), state, mask=noise.mask, weight=weight
        )
        keeps = (
            keep[t] if isinstance(keep, Tensor) else keep for keep in (noise.keep, noise.keep_cell)
        )
        state = tuple(
            blend(keep, old, new) for keep, old, new in zip(keeps, state, stepped, strict=False)
        )
        ys[t] = state[0]
    if not ys:
        empty = x.new_empty(0, cell.hidden_size)
        return empty, state, [empty] * (len(cell.recurrent) // cell.hidden_size)
    return torch.stack(ys), state, [torch.stack(gate) for gate in zip(*gates, strict=True)]
