"""MinGRU and MinLSTM: recurrent layers whose gates see the input alone, trained without a loop."""

from __future__ import annotations

from typing import ClassVar, Literal, cast, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - as everybody calls it

from tidegate.errors import InputError
from tidegate.nn.checks import check_events, check_lengths, check_state
from tidegate.nn.rows import Rows
from tidegate.nn.scan import scan

__all__ = ["Candidate", "MinGRU", "MinLSTM", "Minimal"]

Candidate = Literal["linear", "positive"]


class Minimal(nn.Module):
    """A stack of minimal recurrent layers of one kind and size.

    Parameters
    ----------
    input_size : int
        Numbers of an event.
    hidden_size : int
        Units of each layer.
    num_layers : int
        Layers.
    bias : bool
        Whether gates and candidates have one.
    candidate : {"linear", "positive"}
        What becomes of the candidate's product before it goes into h: nothing, as in the paper's
        plain form, or g(v) = v + 0.5 from 0 on and the logistic function below, as in the paper's
        form in log space, so that h stays positive. Here both are scanned alike.
    dropout : float
        Share of each layer's outputs that training sets to zero.
    residual : bool
        Add each layer's input to its output, where both have the same size; the first layer goes
        without where they have not.
    learned_initial_state : bool
        Sessions begin with a state that is learned, not with zeros.

    Raises
    ------
    InputError
        ``bad_layer``, naming the option.

    Notes
    -----
    No gate reads h, so that a layer is a linear recurrence of all its events at once: see `scan`.
    """

    gates: ClassVar[tuple[str, ...]]
    """Blocks of a layer's weights, the gate that keeps the past first."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        num_layers: int = 1,
        bias: bool = True,
        candidate: Candidate = "linear",
        dropout: float = 0.0,
        residual: bool = False,
        learned_initial_state: bool = False,
    ) -> None:
        super().__init__()
        sizes = {"input_size": input_size, "hidden_size": hidden_size, "num_layers": num_layers}
        for name, size in sizes.items():
            if size < 1:
                raise _bad_layer(name, f"{size} is too few", "use 1 or more")
        if not 0.0 <= dropout < 1.0:
            raise _bad_layer("dropout", f"{dropout} is no share", "use 0 or more, less than 1")
        if candidate not in get_args(Candidate):
            hint = f"use one of {', '.join(get_args(Candidate))}"
            raise _bad_layer("candidate", f"{candidate!r} is none", hint)
        self.input_size, self.hidden_size = input_size, hidden_size
        self.candidate, self.residual = candidate, residual
        self.layers = nn.ModuleList(
            self._layer(size, bias=bias) for size in (input_size, *[hidden_size] * (num_layers - 1))
        )
        learned = nn.Parameter(torch.zeros(num_layers, hidden_size))
        self.initial = learned if learned_initial_state else None
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, state: Tensor | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Run sessions from their first event on, or from `state`, all events at once.

        Parameters
        ----------
        x : tensor (B, T, input_size)
            Events, padded behind each session's last; what the padding holds is never read.
        state : tensor (layers, B, hidden_size), optional
            What an earlier call returned.
        lengths : int tensor (B,), optional
            Real events of each session, 0 to T; all T if left out.

        Returns
        -------
        y : tensor (B, T, hidden_size)
            h of the last layer after each event; 0 in the padding.
        state : tensor (layers, B, hidden_size)
            After each session's last real event.

        Raises
        ------
        InputError
            ``bad_input``, ``bad_lengths`` or ``bad_state``, naming the argument.
        """
        check_events(x, self.input_size, self._weight)
        if lengths is not None:
            check_lengths(lengths, *x.shape[:2])
        before = self._begin(x, state)
        rows = Rows.of(x, lengths)
        y = rows.pack(x)
        after: list[Tensor] = []
        for layer, begun in zip(self.layers, before, strict=True):
            a, b = self._shares(layer(y))
            h = scan(rows.unpack(a), rows.unpack(b), begun.to(b.dtype))
            after.append(_last(h, begun, rows))
            y = self._up(rows.pack(h).to(y.dtype), y)
        return rows.unpack(y), torch.stack(after).to(before.dtype)

    def step(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Take one event of each session, as it comes.

        Parameters
        ----------
        x : tensor (B, input_size)
            The events.
        state : tensor (layers, B, hidden_size), optional
            What an earlier call returned.

        Returns
        -------
        y : tensor (B, hidden_size)
            h of the last layer.
        state : tensor (layers, B, hidden_size)
            After the event.

        Raises
        ------
        InputError
            ``bad_input`` or ``bad_state``, naming the argument.
        """
        check_events(x, self.input_size, self._weight, axes=("sessions",))
        after: list[Tensor] = []
        before = self._begin(x, state)
        for layer, h in zip(self.layers, before, strict=True):
            a, b = self._shares(layer(x))
            after.append(a * h + b)
            x = self._up(after[-1].to(x.dtype), x)
        return x, torch.stack(after).to(before.dtype)

    def extra_repr(self) -> str:
        """Return sizes and options."""
        sizes = f"{self.input_size}, {self.hidden_size}, num_layers={len(self.layers)}"
        return f"{sizes}, candidate={self.candidate}, residual={self.residual}"

    def _mix(self, *products: Tensor) -> tuple[Tensor, Tensor]:
        """Return the shares of the old state that is kept, and of the candidate."""
        raise NotImplementedError

    def _shares(self, products: Tensor) -> tuple[Tensor, Tensor]:
        """Return a and b of h_t = a_t h_{t-1} + b_t, in float32 at least."""
        exact = products.to(torch.promote_types(products.dtype, torch.float32))
        *gates, v = exact.chunk(len(self.gates), dim=-1)
        keep, take = self._mix(*gates)
        if self.candidate == "positive":
            v = torch.where(v >= 0, v + 0.5, torch.sigmoid(v))
        return keep, take * v

    def _up(self, h: Tensor, x: Tensor) -> Tensor:
        """Return what goes up from a layer."""
        adds = self.residual and x.shape[-1] == self.hidden_size
        return cast("Tensor", self.dropout(h + x if adds else h))

    def _begin(self, x: Tensor, state: Tensor | None) -> Tensor:
        shape = (len(self.layers), x.shape[0], self.hidden_size)
        if state is not None:
            (state,) = check_state(state, [shape], self._weight)
            return state
        if self.initial is None:
            return self._weight.new_zeros(shape)
        return self.initial[:, None].expand(shape)

    def _layer(self, input_size: int, *, bias: bool) -> nn.Linear:
        """Make the products of one layer: Xavier block by block, the past kept at first."""
        layer = nn.Linear(input_size, self.hidden_size * len(self.gates), bias=bias)
        for block in layer.weight.chunk(len(self.gates)):
            nn.init.xavier_uniform_(block)
        if bias:
            nn.init.zeros_(layer.bias)
            nn.init.ones_(layer.bias[: self.hidden_size])
        return layer

    @property
    def _weight(self) -> Tensor:
        return cast("nn.Linear", self.layers[0]).weight


class MinGRU(Minimal):
    """A GRU without a reset gate, whose z sees the event alone; see `Minimal` for the options.

    h = z h_prev + (1 - z) n with z = sigmoid(W_z x) and n = W_n x. z is the share of the old state
    that is KEPT, as everywhere here; the paper's z is the other share, 1 - z. Weights stack z, n.

    Parameters
    ----------
    input_size, hidden_size : int
        Numbers of an event, and units.

    References
    ----------
    L. Feng et al., "Were RNNs all we needed?", 2024.

    Examples
    --------
    >>> layer = MinGRU(3, 8, num_layers=2)
    >>> y, state = layer(torch.zeros(2, 5, 3), lengths=torch.tensor([5, 2]))
    >>> y.shape, state.shape
    (torch.Size([2, 5, 8]), torch.Size([2, 2, 8]))
    >>> y, state = layer.step(torch.ones(2, 3), state)
    """

    gates = ("z", "n")

    def _mix(self, *products: Tensor) -> tuple[Tensor, Tensor]:
        (z,) = products
        return torch.sigmoid(z), torch.sigmoid(-z)  # 1 - z would lose the digits of a small share


class MinLSTM(Minimal):
    """An LSTM without c and output gate; see `Minimal` for the options.

    h = f' h_prev + i' n with f' = f / (f + i), i' = i / (f + i), f = sigmoid(W_f x),
    i = sigmoid(W_i x) and n = W_n x: the shares sum to one, so that h keeps its scale however long
    a session is. Weights stack f, i, n.

    Parameters
    ----------
    input_size, hidden_size : int
        Numbers of an event, and units.

    References
    ----------
    L. Feng et al., "Were RNNs all we needed?", 2024.

    Examples
    --------
    >>> y, state = MinLSTM(3, 8, candidate="positive")(torch.zeros(2, 5, 3))
    >>> bool((y > 0).all())
    True
    """

    gates = ("f", "i", "n")

    def _mix(self, *products: Tensor) -> tuple[Tensor, Tensor]:
        f, i = (F.logsigmoid(product) for product in products)
        return torch.sigmoid(f - i), torch.sigmoid(i - f)  # f and i may both be too small to divide


def _last(h: Tensor, before: Tensor, rows: Rows) -> Tensor:
    """Return h after each session's last event, (B, hidden_size)."""
    if not rows.steps:
        return before
    lengths = rows.lengths.to(h.device)
    last = h[torch.arange(rows.sessions, device=h.device), (lengths - 1).clamp(min=0)]
    return torch.where(lengths[:, None] > 0, last, before)


def _bad_layer(field: str, what: str, hint: str) -> InputError:
    return InputError("bad_layer", what, field=field, hint=hint)
