"""Who is timed: layers of tidegate, layers of torch, and loops over cells, all of equal weights."""

from __future__ import annotations

from collections.abc import Callable
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
    def recurrent(self) -> Tensor:
        """The recurrent weights."""

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


class TorchLayer:
    """`torch.nn.GRU`, `LSTM` or `RNN` over the whole padded tensor, in fp32."""

    def __init__(self, case: Case, x: Tensor) -> None:
        torch.manual_seed(_SEED)
        layer = _LAYERS[case.cell](case.input_size, case.hidden_size, batch_first=True)
        self.module, self.x = layer, x
        self.recurrent = layer.get_parameter("weight_hh_l0")

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
        self.recurrent = cell.get_parameter("weight_hh")

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
        torch's layer of the same sizes, whose weights are taken.
    """

    def __init__(
        self, case: Case, variant: Variant, x: Tensor, lengths: Tensor, weights: nn.Module
    ) -> None:
        self.module, self.x = _ours(case, variant, weights), x
        self.recurrent = _cell(self.module).recurrent
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
        self.recurrent = _cell(self.module).recurrent
        self._lengths = lengths if variant.lengths == "ragged" else None

    def forward(self) -> Tensor:
        """See `Contestant`."""
        layer, cell = cast("Layer", self.module.layers[0]), _cell(self.module)
        rows = Rows.of(self.x, self._lengths)
        state = layer.initial_state(self.x, rows.sessions)
        noise = draw(layer.rates, rows, cell.recurrent, training=True)
        y, _, _ = composed.run(cell, rows.pack(self.x), state, rows, noise)
        return rows.unpack(y)


def _ours(case: Case, variant: Variant, weights: nn.Module) -> Recurrent:
    """Build a layer of torch's weights; gains of LayerNorm begin as ones."""
    names = variant.names
    options = {name: rate for name, rate in _RATES.items() if name in names}
    layer = _OURS[case.cell](
        case.input_size,
        case.hidden_size,
        layer_norm="layer_norm" in names,
        recompute="recompute" in names,
        **options,
    )
    with torch.no_grad():
        for ours, theirs in _PARTS.items():
            _cell(layer).get_parameter(ours).copy_(weights.get_parameter(theirs))
    return layer


def _cell(layer: Recurrent) -> CellBase:
    return cast(CellBase, cast("Layer", layer.layers[0]).cells[0])
