"""The recurrent cells, one step at a time: the equations, and the truth of the fused path.

Parameters have the names, shapes and gate orders of the bundle: r, z, n for a GRU and i, f, g, o
for an LSTM, stacked along the first axis. z is the share of the old state that is kept.
"""

from __future__ import annotations

from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - as everybody calls it

from tidegate.nn.checks import check_events, check_state
from tidegate.nn.initialise import initialise
from tidegate.spec import GATES, Activation, Bias, Cell

__all__ = ["CellBase", "GRUCell", "Gates", "LSTMCell", "RNNCell", "State", "blend"]

State = tuple[Tensor, ...]
"""h of a session; of an LSTM h, then c. (B, hidden_size) each."""

Gates = tuple[Tensor, ...]
"""What each gate was, in the order of `tidegate.spec.GATES`. (B, hidden_size) each."""


class CellBase(nn.Module):
    """What the three cells share: their parameters and both products.

    Parameters
    ----------
    input_size, hidden_size : int
        Numbers of an event, and units.
    bias : {"double", "single", "none"}
        A bias for each product (torch), one for both, or none.
    layer_norm : bool
        Normalise each product as one vector over all gates, before its bias is added
        (Ba, Kiros, Hinton 2016).
    """

    cell: ClassVar[Cell]

    def __init__(
        self, input_size: int, hidden_size: int, *, bias: Bias = "double", layer_norm: bool = False
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        rows = hidden_size * len(GATES[self.cell])
        self.input = nn.Parameter(torch.empty(rows, input_size))
        self.recurrent = nn.Parameter(torch.empty(rows, hidden_size))
        self.b_input = _parameter(rows, wanted=bias != "none")
        self.b_recurrent = _parameter(rows, wanted=bias == "double")
        self.norm_input = _parameter(rows, wanted=layer_norm)
        self.norm_recurrent = _parameter(rows, wanted=layer_norm)

    def input_product(self, x: Tensor) -> Tensor:
        """Return W x + b of any number of events, (..., gates * hidden_size)."""
        return _affine(x, self.input, self.b_input, self.norm_input)

    def recurrent_product(self, h: Tensor, weight: Tensor, rows: slice = slice(None)) -> Tensor:
        """Return U h + b of some gates, (B, gates * hidden_size)."""
        bias, norm = _part(self.b_recurrent, rows), _part(self.norm_recurrent, rows)
        return _affine(h, weight[rows], bias, norm)

    def initial_state(self, like: Tensor, sessions: int) -> State:
        """Return zeros for the sessions."""
        zeros = like.new_zeros(sessions, self.hidden_size)
        return (zeros, zeros) if self.cell == "lstm" else (zeros,)

    def forward(self, x: Tensor, state: State | None = None) -> State:
        """Take one event of each session.

        Parameters
        ----------
        x : tensor (B, input_size)
            The events.
        state : tuple of tensors (B, hidden_size), optional
            What an earlier call returned; zeros if left out.

        Returns
        -------
        tuple of tensors (B, hidden_size)
            h; of an LSTM h and c.

        Raises
        ------
        InputError
            ``bad_input`` or ``bad_state``, naming the argument.
        """
        check_events(x, self.input_size, self.input, axes=("sessions",))
        if state is None:
            before = self.initial_state(x, len(x))
        else:
            shapes = [(len(x), self.hidden_size)] * (2 if self.cell == "lstm" else 1)
            before = check_state(state, shapes, self.recurrent)
        return self.step(self.input_product(x), before)[0]

    def step(
        self, a: Tensor, state: State, *, mask: Tensor | None = None, weight: Tensor | None = None
    ) -> tuple[State, Gates]:
        """Take one event whose input product is known.

        Parameters
        ----------
        a : tensor (B, gates * hidden_size)
            From `input_product`.
        state : tuple of tensors (B, hidden_size)
            Before the step.
        mask : tensor (B, hidden_size), optional
            Scales h where it enters the recurrent product, and there alone: recurrent dropout.
        weight : tensor (gates * hidden_size, hidden_size), optional
            In place of `recurrent`: some of its connections dropped.

        Returns
        -------
        state : tuple of tensors (B, hidden_size)
            After the step.
        gates : tuple of tensors (B, hidden_size)
            Their values.
        """
        raise NotImplementedError


class GRUCell(CellBase):
    """A gated recurrent unit.

    Parameters
    ----------
    reset_after : bool
        True: the reset gate acts on the recurrent product (torch, cuDNN). False: on the state
        before the product, as in the paper.
    others
        See `CellBase`.

    References
    ----------
    K. Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014.

    Examples
    --------
    >>> cell = GRUCell(3, 8)
    >>> (h,) = cell(torch.zeros(2, 3))
    >>> h.shape
    torch.Size([2, 8])
    """

    cell = "gru"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        reset_after: bool = True,
        bias: Bias = "double",
        layer_norm: bool = False,
    ) -> None:
        super().__init__(input_size, hidden_size, bias=bias, layer_norm=layer_norm)
        self.reset_after = reset_after
        initialise(self)

    def step(
        self, a: Tensor, state: State, *, mask: Tensor | None = None, weight: Tensor | None = None
    ) -> tuple[State, Gates]:
        """Take one event; see `CellBase.step`."""
        (h,) = state
        U = self.recurrent if weight is None else weight
        v = h if mask is None else h * mask
        a_r, a_z, a_n = a.chunk(3, dim=-1)
        if self.reset_after:
            u_r, u_z, u_n = self.recurrent_product(v, U).chunk(3, dim=-1)
            r = torch.sigmoid(a_r + u_r)
            z = torch.sigmoid(a_z + u_z)
            n = torch.tanh(a_n + r * u_n)
        else:
            first, last = slice(0, 2 * self.hidden_size), slice(2 * self.hidden_size, None)
            u_r, u_z = self.recurrent_product(v, U, first).chunk(2, dim=-1)
            r = torch.sigmoid(a_r + u_r)
            z = torch.sigmoid(a_z + u_z)
            n = torch.tanh(a_n + self.recurrent_product(r * v, U, last))
        return ((1 - z) * n + z * h,), (r, z, n)


class LSTMCell(CellBase):
    """A long short-term memory with a forget gate.

    Parameters
    ----------
    peephole : bool
        Let i and f see c as it was, and o see c as it becomes, each unit its own
        (Gers, Schmidhuber 2000).
    others
        See `CellBase`. With `layer_norm`, c is normalised too where it goes into h.

    References
    ----------
    F. Gers, J. Schmidhuber, F. Cummins, "Learning to forget", 2000.

    Examples
    --------
    >>> cell = LSTMCell(3, 8)
    >>> h, c = cell(torch.zeros(2, 3))
    >>> h, c = cell(torch.ones(2, 3), (h, c))
    """

    cell = "lstm"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        peephole: bool = False,
        bias: Bias = "double",
        layer_norm: bool = False,
    ) -> None:
        super().__init__(input_size, hidden_size, bias=bias, layer_norm=layer_norm)
        self.norm_cell = _parameter(hidden_size, wanted=layer_norm)
        self.b_cell = _parameter(hidden_size, wanted=layer_norm)
        self.peephole = _parameter(3 * hidden_size, wanted=peephole)
        initialise(self)

    def step(
        self, a: Tensor, state: State, *, mask: Tensor | None = None, weight: Tensor | None = None
    ) -> tuple[State, Gates]:
        """Take one event; see `CellBase.step`."""
        h, c = state
        U = self.recurrent if weight is None else weight
        v = h if mask is None else h * mask
        i, f, g, o = (a + self.recurrent_product(v, U)).chunk(4, dim=-1)
        p_i, p_f, p_o = (None,) * 3 if self.peephole is None else self.peephole.chunk(3)
        i = torch.sigmoid(_plus(i, p_i, c))
        f = torch.sigmoid(_plus(f, p_f, c))
        g = torch.tanh(g)
        c = f * c + i * g
        o = torch.sigmoid(_plus(o, p_o, c))
        h = o * torch.tanh(_affine(c, None, self.b_cell, self.norm_cell))
        return (h, c), (i, f, g, o)


class RNNCell(CellBase):
    """A simple recurrent network.

    Parameters
    ----------
    activation : {"tanh", "relu"}
        What bends the sum of both products.
    others
        See `CellBase`.

    References
    ----------
    J. Elman, "Finding structure in time", 1990.

    Examples
    --------
    >>> (h,) = RNNCell(3, 8, activation="relu")(torch.ones(2, 3))
    >>> bool((h >= 0).all())
    True
    """

    cell = "rnn"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        activation: Activation = "tanh",
        bias: Bias = "double",
        layer_norm: bool = False,
    ) -> None:
        super().__init__(input_size, hidden_size, bias=bias, layer_norm=layer_norm)
        self.activation = activation
        initialise(self)

    def step(
        self, a: Tensor, state: State, *, mask: Tensor | None = None, weight: Tensor | None = None
    ) -> tuple[State, Gates]:
        """Take one event; see `CellBase.step`."""
        (h,) = state
        U = self.recurrent if weight is None else weight
        s = a + self.recurrent_product(h if mask is None else h * mask, U)
        h = torch.tanh(s) if self.activation == "tanh" else torch.relu(s)
        return (h,), (h,)


def blend(keep: Tensor | float, old: Tensor, new: Tensor) -> Tensor:
    """Return what zoneout makes of a step: where `keep` is 1 the old value stays.

    Training draws `keep` as 0 or 1 for each unit and step; afterwards it is the rate, so that the
    result is the mean over the draws.

    References
    ----------
    D. Krueger et al., "Zoneout: regularizing RNNs by randomly preserving hidden activations", 2017.

    Examples
    --------
    >>> blend(torch.tensor([1.0, 0.0]), torch.zeros(2), torch.ones(2))
    tensor([0., 1.])
    """
    if isinstance(keep, float) and not keep:
        return new
    return keep * old + (1 - keep) * new  # of 1 and 0, exactly the one or the other


def _parameter(size: int, *, wanted: bool) -> nn.Parameter | None:
    return nn.Parameter(torch.empty(size)) if wanted else None


def _part(vector: Tensor | None, rows: slice) -> Tensor | None:
    return None if vector is None else vector[rows]


def _plus(gate: Tensor, weight: Tensor | None, c: Tensor) -> Tensor:
    return gate if weight is None else gate + weight * c


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None, norm: Tensor | None) -> Tensor:
    """Return W x + b, or LN(W x) * norm + b."""
    if norm is None:
        return x if weight is None else F.linear(x, weight, bias)
    product = x if weight is None else F.linear(x, weight)
    return F.layer_norm(product, (product.shape[-1],), norm, cast("Tensor", bias), 1e-5)
