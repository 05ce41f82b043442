"""GRU, LSTM and RNN: stacks of layers behind one contract of lengths."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, cast, get_args

import msgspec
import torch
from torch import Tensor, nn

from tidegate.errors import InputError
from tidegate.nn.cells import CellBase, State
from tidegate.nn.checks import check_events, check_lengths, check_state
from tidegate.nn.initialise import chrono
from tidegate.nn.layer import Layer, Path
from tidegate.nn.rows import Rows
from tidegate.spec import GATES, Activation, Bias, Cell, LayerSpec

__all__ = ["GRU", "LSTM", "RNN", "Recurrent", "Traces"]

Traces = tuple[dict[str, Tensor], ...]
"""Of each layer and direction, each gate's values at every step: (B, T, hidden_size)."""

_OWN: dict[str, set[str]] = {
    "gru": {"reset_after"},
    "lstm": {"peephole", "zoneout_cell"},
    "rnn": {"activation"},
}
"""Options of one cell alone."""

_ELSEWHERE = {
    "batch_first": "leave it out: x is always (sessions, steps, numbers)",
    "device": "use layer.to(device)",
    "dtype": "use layer.to(dtype)",
}
"""What torch's layers take, and what to do here."""


class Recurrent(nn.Module):
    """A stack of recurrent layers of one kind and size.

    Parameters
    ----------
    input_size : int
        Numbers of an event.
    hidden_size : int
        Units of each layer and direction.
    num_layers : int
        Layers.
    bidirectional : bool
        A second direction in each layer, from a session's last real event to its first. Its
        outputs stand behind those of the first.
    bias : {"double", "single", "none"}
        A bias for each product (torch), one for both, or none.
    layer_norm : bool
        Normalise each product (Ba, Kiros, Hinton 2016).
    zoneout : float
        Share of units that keep their h at a step of training; afterwards the mean over the draws
        (Krueger et al. 2017).
    dropout : float
        Share of each layer's outputs that training sets to zero.
    recurrent_dropout : float
        Share of h that does not enter the recurrent product in training, the same units at all
        steps of a session (Gal, Ghahramani 2016).
    weight_dropout : float
        Share of recurrent weights that are zero for a call in training (DropConnect; Merity et al.
        2018).
    residual : bool
        Add each layer's input to its output, where both have the same size; the first layer goes
        without where they have not.
    learned_initial_state : bool
        Sessions begin with a state that is learned, not with zeros.
    init : {"default", "chrono"}
        See `initialise` and `chrono`.
    longest : int, optional
        Steps that `chrono` is to remember.
    recompute : bool
        Keep less for the backward pass, and make it again there.

    Raises
    ------
    InputError
        ``bad_layer``, naming the option.
    """

    cell: ClassVar[Cell]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        num_layers: int = 1,
        bidirectional: bool = False,
        bias: Bias = "double",
        layer_norm: bool = False,
        zoneout: float = 0.0,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        weight_dropout: float = 0.0,
        residual: bool = False,
        learned_initial_state: bool = False,
        init: Literal["default", "chrono"] = "default",
        longest: int | None = None,
        recompute: bool = False,
        **more: Any,
    ) -> None:
        super().__init__()
        for name, size in {
            "input_size": input_size,
            "hidden_size": hidden_size,
            "num_layers": num_layers,
        }.items():
            if not isinstance(size, int) or size < 1:
                raise _bad_layer(name, f"{size!r} is no size", "use a whole number, 1 or more")
        rates = {
            "zoneout": zoneout,
            "zoneout_cell": more.get("zoneout_cell", 0.0),
            "dropout": dropout,
            "recurrent_dropout": recurrent_dropout,
            "weight_dropout": weight_dropout,
        }
        for name, rate in rates.items():
            if not isinstance(rate, (int, float)) or not 0.0 <= rate < 1.0:
                raise _bad_layer(name, f"{rate!r} is no share", "use 0 or more, less than 1")
        for name in more.keys() - _OWN[self.cell]:
            raise _bad_layer(name, f"a {self.cell} has none", _ELSEWHERE.get(name, "leave it out"))
        flags = {
            "bidirectional": bidirectional,
            "layer_norm": layer_norm,
            "residual": residual,
            "learned_initial_state": learned_initial_state,
            "recompute": recompute,
            "reset_after": more.get("reset_after", True),
            "peephole": more.get("peephole", False),
        }
        for name, flag in flags.items():
            if not isinstance(flag, bool):
                raise _bad_layer(name, f"{flag!r} is neither", "use True or False")
        words = {
            "bias": (bias, get_args(Bias)),
            "activation": (more.get("activation", "tanh"), get_args(Activation)),
            "init": (init, ("default", "chrono")),
        }
        for name, (word, known) in words.items():
            if word not in known:
                raise _bad_layer(name, f"{word!r} is none", f"use one of {', '.join(known)}")
        self.input_size, self.hidden_size = input_size, hidden_size
        self.bidirectional = bidirectional
        outputs = hidden_size * (2 if bidirectional else 1)
        self.layers = nn.ModuleList()
        for size in (input_size, *[outputs] * (num_layers - 1)):
            spec = LayerSpec(
                self.cell,
                hidden_size,
                bidirectional=bidirectional,
                bias=bias,
                layer_norm=layer_norm,
                zoneout=zoneout,
                residual=residual and size == outputs,
                learned_initial_state=learned_initial_state,
                **more,
            )
            layer = Layer(
                spec,
                size,
                recurrent_dropout=recurrent_dropout,
                weight_dropout=weight_dropout,
                recompute=recompute,
            )
            self.layers.append(layer)
        self.dropout = nn.Dropout(dropout)
        if init == "chrono":
            for cell in self.modules():
                if isinstance(cell, CellBase):
                    chrono(cell, longest or 0)

    def forward(
        self,
        x: Tensor,
        state: Tensor | State | None = None,
        lengths: Tensor | None = None,
        *,
        return_gates: bool = False,
    ) -> Any:
        """Run sessions from their first event on, or from `state`.

        Parameters
        ----------
        x : tensor (B, T, input_size)
            Events, padded behind each session's last; what the padding holds is never read.
        state : tensor (layers * directions, B, hidden_size), optional
            What an earlier call returned; of an LSTM the pair (h, c).
        lengths : int tensor (B,), optional
            Real events of each session, 0 to T; all T if left out.
        return_gates : bool
            Also return what each gate was.

        Returns
        -------
        y : tensor (B, T, directions * hidden_size)
            h of the last layer after each event; 0 in the padding.
        state : tensor (layers * directions, B, hidden_size), or a pair of them
            After each session's last real event.
        gates : tuple of dict of str to tensor (B, T, hidden_size)
            If asked for: of each layer and direction, by the names of `tidegate.spec.GATES`; z is
            the share of the old state that is kept. No gradient goes through them.

        Raises
        ------
        InputError
            ``bad_input``, ``bad_lengths`` or ``bad_state``, naming the argument.

        Notes
        -----
        A NaN in a session's event makes that session's later outputs NaN, and no other session's.
        """
        self._check(x, state)
        if lengths is not None:
            check_lengths(lengths, *x.shape[:2])
        rows = Rows.of(x, lengths)
        y = rows.pack(x)
        before = [None] * len(self.layers) if state is None else self._split(state)
        after: list[State] = []
        traces: list[dict[str, Tensor]] = []
        for layer, begun in zip(self.layers, before, strict=True):
            y, end, gates = layer(y, begun, rows, gates=return_gates)
            y = self.dropout(y)
            after.append(end)
            if return_gates:
                traces += [
                    {
                        name: rows.unpack(value)
                        for name, value in zip(GATES[self.cell], each, strict=True)
                    }
                    for each in gates
                ]
        outputs = (rows.unpack(y), self._join(after))
        return (*outputs, tuple(traces)) if return_gates else outputs

    def path(self, x: Tensor) -> Path:
        """Say which way `x` would take: ``"fused"`` is the C core, ``"composed"`` a loop of torch.

        Examples
        --------
        >>> GRU(3, 8).path(torch.zeros(2, 5, 3, dtype=torch.float64))
        'composed'
        """
        return cast("Layer", self.layers[0]).path(x)

    def extra_repr(self) -> str:
        """Return sizes, and options that are not as usual."""
        spec = cast("Layer", self.layers[-1]).spec
        usual = LayerSpec(spec.cell, spec.hidden_size)
        options = {"num_layers": len(self.layers), "dropout": self.dropout.p}
        options |= {
            name: value
            for name, value in msgspec.structs.asdict(spec).items()
            if value != getattr(usual, name)
        }
        named = (f"{name}={value}" for name, value in options.items())
        return ", ".join([str(self.input_size), str(self.hidden_size), *named])

    @property
    def _parts(self) -> int:
        return 2 if self.cell == "lstm" else 1

    def _split(self, state: Tensor | State) -> list[State]:
        """Return each layer's state: h, or h and c, of one direction after the other."""
        parts = (state,) if isinstance(state, Tensor) else state
        directions = 2 if self.bidirectional else 1
        return [
            tuple(p[at + d] for d in range(directions) for p in parts)
            for at in range(0, len(self.layers) * directions, directions)
        ]

    def _join(self, states: list[State]) -> Tensor | State:
        flat = [part for state in states for part in state]
        parts = tuple(torch.stack(flat[k :: self._parts]) for k in range(self._parts))
        return parts if self._parts == 2 else parts[0]

    def _check(self, x: Tensor, state: Tensor | State | None) -> None:
        weight = cast("CellBase", cast("Layer", self.layers[0]).cells[0]).recurrent
        check_events(x, self.input_size, weight)
        if state is None:
            return
        layers = len(self.layers) * (2 if self.bidirectional else 1)
        check_state(state, [(layers, x.shape[0], self.hidden_size)] * self._parts, weight)


class GRU(Recurrent):
    """Gated recurrent units (Cho et al. 2014); see `Recurrent` for the other options.

    Parameters
    ----------
    input_size, hidden_size : int
        Numbers of an event, and units.
    reset_after : bool
        True: the reset gate acts on the recurrent product (torch, cuDNN). False: on the state
        before the product, as in the paper.

    Examples
    --------
    >>> layer = GRU(3, 8, num_layers=2, bidirectional=True, layer_norm=True)
    >>> y, state = layer(torch.zeros(2, 5, 3), lengths=torch.tensor([5, 2]))
    >>> y.shape, state.shape
    (torch.Size([2, 5, 16]), torch.Size([4, 2, 8]))
    """

    cell = "gru"

    def __init__(
        self, input_size: int, hidden_size: int, *, reset_after: bool = True, **options: Any
    ) -> None:
        super().__init__(input_size, hidden_size, reset_after=reset_after, **options)


class LSTM(Recurrent):
    """Long short-term memory with a forget gate; see `Recurrent` for the other options.

    Parameters
    ----------
    input_size, hidden_size : int
        Numbers of an event, and units.
    peephole : bool
        Let the gates see c (Gers, Schmidhuber 2000).
    zoneout_cell : float, optional
        `zoneout` of c; as that of h if left out.

    Examples
    --------
    >>> y, (h, c) = LSTM(3, 8)(torch.zeros(2, 5, 3))
    >>> y.shape, c.shape
    (torch.Size([2, 5, 8]), torch.Size([1, 2, 8]))
    """

    cell = "lstm"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        peephole: bool = False,
        zoneout_cell: float | None = None,
        **options: Any,
    ) -> None:
        kept = options.get("zoneout", 0.0) if zoneout_cell is None else zoneout_cell
        super().__init__(input_size, hidden_size, peephole=peephole, zoneout_cell=kept, **options)


class RNN(Recurrent):
    """Simple recurrent units (Elman 1990); see `Recurrent` for the other options.

    Parameters
    ----------
    input_size, hidden_size : int
        Numbers of an event, and units.
    activation : {"tanh", "relu"}
        What bends the sum of both products.

    Examples
    --------
    >>> y, state = RNN(3, 8, activation="relu")(torch.zeros(2, 5, 3))
    >>> y.shape
    torch.Size([2, 5, 8])
    """

    cell = "rnn"

    def __init__(
        self, input_size: int, hidden_size: int, *, activation: Activation = "tanh", **options: Any
    ) -> None:
        super().__init__(input_size, hidden_size, activation=activation, **options)


def _bad_layer(field: str, what: str, hint: str) -> InputError:
    return InputError("bad_layer", what, field=field, hint=hint)
