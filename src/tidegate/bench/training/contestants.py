"""Who is timed: layers of tidegate, layers of torch, and loops over cells, all of equal weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Protocol, cast

import torch
from torch import Tensor, nn

from tidegate.bench.training.cases import Case, Variant
from tidegate.nn import GRU, LSTM, RNN, composed
from tidegate.nn.cells import CellBase
from tidegate.nn.noise import draw
from tidegate.nn.recurrent import Recurrent
from tidegate.nn.rows import Rows

if TYPE_CHECKING:
    from tidegate.nn.layer import Layer, Path

__all__ = [
    "Contestant",
    "LayerEntry",
    "LoopEntry",
    "TorchCellLoop",
    "TorchLayer",
    "draw_inputs",
    "draw_lengths",
    "draw_weights",
]

_OURS: dict[str, Callable[..., Recurrent]] = {"gru": GRU, "lstm": LSTM, "rnn": RNN}
_LAYERS: dict[str, Callable[..., nn.Module]] = {"gru": nn.GRU, "lstm": nn.LSTM, "rnn": nn.RNN}
_CELLS: dict[str, Callable[..., nn.Module]] = {
    "gru": nn.GRUCell,
    "lstm": nn.LSTMCell,
    "rnn": nn.RNNCell,
}
_PARTS = {
    "input": "weight_ih_l0",
    "recurrent": "weight_hh_l0",
    "b_input": "bias_ih_l0",
    "b_recurrent": "bias_hh_l0",
}
_RATES = {"zoneout": 0.1, "recurrent_dropout": 0.25, "weight_dropout": 0.25}
_SEED = 0


class Contestant(Protocol):
    """A layer in training."""

    @property
    def module(self) -> nn.Module:
        """What has the parameters."""

    @property
    def x(self) -> Tensor:
        """Events (batch, time, input_size)."""

    @property
    def recurrent(self) -> Sequence[Tensor]:
        """The recurrent weights of each direction."""

    def forward(self) -> Tensor:
        """Return the outputs (batch, time, hidden_size), with what their gradients need."""


def draw_inputs(case: Case) -> Tensor:
    """Draw events (batch, time, input_size) from a normal distribution."""
    generator = torch.Generator().manual_seed(_SEED)
    return torch.randn(case.batch, case.time, case.input_size, generator=generator)


def draw_lengths(case: Case) -> Tensor:
    """Draw lengths (batch,): one session has all steps, the mean is a third of them.

    The other sessions share their events as numbers drawn uniformly do, and have at least one each.
    Fewer than four sessions have a larger mean.

    Examples
    --------
    >>> lengths = draw_lengths(Case("gru", 64, 100, 1, 1))
    >>> lengths.max(), 32 < lengths.double().mean() < 34
    (tensor(100), tensor(True))
    """
    generator = torch.Generator().manual_seed(_SEED)
    drawn = torch.rand(case.batch, generator=generator)
    drawn[0] = 0.0
    events = max(0.0, case.batch * case.time / 3 - case.time)
    lengths = (drawn / drawn.sum().clamp(min=1e-9) * events).round().long().clamp(1, case.time)
    lengths[0] = case.time
    return lengths[torch.randperm(case.batch, generator=generator)]


def draw_weights(case: Case) -> nn.Module:
    """Draw the weights of two directions, as torch begins them, in a layer of torch's."""
    torch.manual_seed(_SEED)
    return _LAYERS[case.cell](case.input_size, case.hidden_size, bidirectional=True)


class TorchLayer:
    """`torch.nn.GRU`, `LSTM` or `RNN` over the whole padded tensor, in fp32."""

    def __init__(
        self, case: Case, x: Tensor, weights: nn.Module, *, bidirectional: bool = False
    ) -> None:
        layer = _LAYERS[case.cell](
            case.input_size, case.hidden_size, batch_first=True, bidirectional=bidirectional
        )
        layer.load_state_dict(weights.state_dict(), strict=False)  # those that it has
        self.module, self.x = layer, x
        self.recurrent = [
            parameter for name, parameter in layer.named_parameters() if "weight_hh" in name
        ]

    def forward(self) -> Tensor:
        """See `Contestant`."""
        y: Tensor = self.module(self.x)[0]
        return y


class TorchCellLoop:
    """A Python loop over torch's cell over the whole padded tensor, in fp32."""

    def __init__(self, case: Case, x: Tensor, weights: nn.Module) -> None:
        cell = _CELLS[case.cell](case.input_size, case.hidden_size)
        with torch.no_grad():
            for name, parameter in cell.named_parameters():
                parameter.copy_(weights.get_parameter(f"{name}_l0"))
        self.module, self.x = cell, x
        self.recurrent = [cell.get_parameter("weight_hh")]

    def forward(self) -> Tensor:
        """See `Contestant`."""
        outputs, state = [], None
        for event in self.x.unbind(1):
            state = self.module(event, state)
            outputs.append(state[0] if isinstance(state, tuple) else state)
        return torch.stack(outputs, dim=1)


class LayerEntry:
    """A layer of tidegate.

    Parameters
    ----------
    case, variant
        Which, and how.
    x : tensor (batch, time, input_size)
        Events.
    lengths : tensor (batch,)
        Of ragged sessions.
    weights : module
        From `draw_weights`.
    """

    def __init__(
        self, case: Case, variant: Variant, x: Tensor, lengths: Tensor, weights: nn.Module
    ) -> None:
        self.module, self.x = _ours(case, variant, weights), x
        self.recurrent = [cell.recurrent for cell in _cells(self.module)]
        self._variant = variant
        self._lengths = lengths if variant.lengths == "ragged" else None
        self._gates = "return_gates" in variant.names

    @property
    def path(self) -> Path:
        """Which way the layer takes."""
        with self._mixed():
            return self.module.path(self.x)

    def forward(self) -> Tensor:
        """See `Contestant`."""
        with self._mixed():
            found = self.module(self.x, lengths=self._lengths, return_gates=self._gates)
        y: Tensor = found[0]
        return y

    def _mixed(self) -> torch.autocast | nullcontext[None]:
        narrow = self._variant.precision == "bf16"
        return torch.autocast("cpu", torch.bfloat16) if narrow else nullcontext()


class LoopEntry:
    """A Python loop over tidegate's cell with a layer's options; arguments as of `LayerEntry`.

    The precision is that of `x`: float64 makes it the truth that others are compared with.
    """

    def __init__(
        self, case: Case, variant: Variant, x: Tensor, lengths: Tensor, weights: nn.Module
    ) -> None:
        self.module, self.x = _ours(case, variant, weights).to(x.dtype), x
        self.recurrent = [cell.recurrent for cell in _cells(self.module)]
        self._lengths = lengths if variant.lengths == "ragged" else None

    def forward(self) -> Tensor:
        """See `Contestant`."""
        rates = cast("Layer", self.module.layers[0]).rates
        rows = Rows.of(self.x, self._lengths)
        outputs = []
        for reverse, cell in enumerate(_cells(self.module)):
            noise = draw(rates, rows, cell.recurrent, training=True)
            state = cell.initial_state(self.x, rows.sessions)
            x = rows.pack(self.x)
            outputs.append(composed.run(cell, x, state, rows, noise, reverse=reverse == 1)[0])
        return rows.unpack(torch.cat(outputs, dim=-1))


def _ours(case: Case, variant: Variant, weights: nn.Module) -> Recurrent:
    """Build a layer of torch's weights; gains of LayerNorm begin as ones."""
    names = variant.names
    options = {name: rate for name, rate in _RATES.items() if name in names}
    layer = _OURS[case.cell](
        case.input_size,
        case.hidden_size,
        layer_norm="layer_norm" in names,
        bidirectional="bidirectional" in names,
        recompute="recompute" in names,
        **options,
    )
    with torch.no_grad():
        for cell, suffix in zip(_cells(layer), ("", "_reverse"), strict=False):
            for ours, theirs in _PARTS.items():
                cell.get_parameter(ours).copy_(weights.get_parameter(theirs + suffix))
    return layer


def _cells(layer: Recurrent) -> list[CellBase]:
    """Return the cell of each direction."""
    return [cast(CellBase, cell) for cell in cast("Layer", layer.layers[0]).cells]
