"""One recurrent layer, of one or two directions, over sessions of any lengths."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from tidegate.errors import InputError
from tidegate.nn import composed, cudnn, fused
from tidegate.nn.cells import CellBase, Gates, GRUCell, LSTMCell, RNNCell, State
from tidegate.nn.noise import Noise, Rates, draw
from tidegate.nn.rows import Rows
from tidegate.spec import LayerSpec

__all__ = ["Layer", "Path"]

Path = Literal["fused", "composed"]


class Layer(nn.Module):
    """A recurrent layer as a spec describes it.

    Parameters
    ----------
    spec : LayerSpec
        Cell, size and options.
    input_size : int
        Numbers of an event.
    recurrent_dropout, weight_dropout : float
        Of training alone; see `Rates`.
    recompute : bool
        Keep less for the backward pass, and make it again there.

    Notes
    -----
    ``cells`` has the directions: forward, and backward if there are two. Their outputs stand side
    by side. With `residual`, what goes up is the output plus the input.
    """

    def __init__(
        self,
        spec: LayerSpec,
        input_size: int,
        *,
        recurrent_dropout: float = 0.0,
        weight_dropout: float = 0.0,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        self.spec, self.input_size, self.recompute = spec, input_size, recompute
        self.rates = Rates(spec.zoneout, spec.zoneout_cell, recurrent_dropout, weight_dropout)
        if spec.residual and input_size != spec.output_size:
            raise InputError(
                "bad_layer",
                f"the input has {input_size} numbers, the output {spec.output_size}",
                field="residual",
                hint="use residual where both have the same size",
            )
        directions = 2 if spec.bidirectional else 1
        self.cells = nn.ModuleList(_cell(spec, input_size) for _ in range(directions))
        size = spec.state_size // directions if spec.learned_initial_state else 0
        self.initial = nn.ParameterList(
            nn.Parameter(torch.zeros(size)) for _ in range(directions if size else 0)
        )

    def forward(
        self, x: Tensor, state: State | None, rows: Rows, *, gates: bool = False
    ) -> tuple[Tensor, State, tuple[Gates, ...]]:
        """Take all events of some sessions.

        Parameters
        ----------
        x : tensor (rows, input_size)
            The events.
        state : tuple of tensors (B, hidden_size), optional
            Before the first step: h, or h and c, of the forward direction, then of the backward
            one. None: zeros, or what was learned.
        rows : Rows
            Which event is whose.
        gates : bool
            Whether the gates' values are wanted; else there are none.

        Returns
        -------
        y : tensor (rows, output_size)
            What goes up.
        state : tuple of tensors (B, hidden_size)
            After each session's last step.
        gates : tuple of tuples of tensors (rows, hidden_size)
            Of each direction, in the order of `tidegate.spec.GATES`; no gradient goes through them.
        """
        before = self.initial_state(x, rows.sessions) if state is None else state
        each = len(before) // len(self.cells)
        outputs: list[Tensor] = []
        after: list[Tensor] = []
        values: list[Gates] = []
        for index, cell in enumerate(self.cells):
            assert isinstance(cell, CellBase)
            noise = draw(self.rates, rows, cell.recurrent, training=self.training)
            begun = before[index * each : (index + 1) * each]
            y, end, value = self._run(cell, x, begun, rows, noise, reverse=index == 1, gates=gates)
            outputs.append(y)
            after += end
            values.append(tuple(gate.detach() for gate in value) if gates else ())
        y = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=-1)
        return y + x if self.spec.residual else y, tuple(after), tuple(values)

    def _run(
        self,
        cell: CellBase,
        x: Tensor,
        state: State,
        rows: Rows,
        noise: Noise,
        *,
        reverse: bool,
        gates: bool,
    ) -> tuple[Tensor, State, Gates]:
        """Take one direction's steps, the quickest way that there is."""
        if fused.takes(cell, x):
            options = {"recompute": self.recompute, "gates": gates}
            return fused.run(cell, x, state, rows, noise, reverse=reverse, **options)
        if not gates and self._is_cudnns(cell, x):
            return *cudnn.run(cell, x, state, rows, noise, reverse=reverse), ()
        return composed.run(cell, x, state, rows, noise, reverse=reverse)

    def initial_state(self, like: Tensor, sessions: int) -> State:
        """Return the state of sessions that begin: zeros, or what was learned."""
        parts: list[Tensor] = []
        for index, cell in enumerate(self.cells):
            assert isinstance(cell, CellBase)
            if len(self.initial):
                learned = self.initial[index].to(like.dtype)
                parts += [p.expand(sessions, -1) for p in learned.split(cell.hidden_size)]
            else:
                parts += cell.initial_state(like, sessions)
        return tuple(parts)

    def path(self, x: Tensor) -> Path:
        """Say which way `x` would take: a kernel's, or the loop over the cell.

        The kernel is the C core's on a CPU and cuDNN's on a GPU, where some options, and gates that
        are asked for, are left to the loop.
        """
        for cell in self.cells:
            assert isinstance(cell, CellBase)
            if not (fused.takes(cell, x) or self._is_cudnns(cell, x)):
                return "composed"
        return "fused"

    def _is_cudnns(self, cell: CellBase, x: Tensor) -> bool:
        return self.rates.spares_steps(self.training) and cudnn.takes(cell, x)


def _cell(spec: LayerSpec, input_size: int) -> CellBase:
    size, bias, norm = spec.hidden_size, spec.bias, spec.layer_norm
    if spec.cell == "gru":
        return GRUCell(input_size, size, reset_after=spec.reset_after, bias=bias, layer_norm=norm)
    if spec.cell == "lstm":
        return LSTMCell(input_size, size, peephole=spec.peephole, bias=bias, layer_norm=norm)
    return RNNCell(input_size, size, activation=spec.activation, bias=bias, layer_norm=norm)
