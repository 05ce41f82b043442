"""How weights begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from tidegate.errors import InputError
from tidegate.spec import GATES

if TYPE_CHECKING:
    from tidegate.nn.cells import CellBase

__all__ = ["chrono", "initialise"]

LONG_MEMORY = {"gru": ("z", 1.0), "lstm": ("f", 1.0)}
"""The gate that keeps the past, and its bias at the start: a share kept of 0.73 instead of 0.5."""


def initialise(cell: CellBase) -> None:
    """Give a cell its first weights, drawn from torch's global generator.

    Inputs as Xavier (Glorot, Bengio 2010) and recurrent matrices as orthogonal (Saxe et al. 2014),
    each gate on its own; gains of a normalisation one; biases zero, but one for the gate that keeps
    the past: an LSTM's forget gate (Jozefowicz et al. 2015) and a GRU's z, which here is the share
    of the old state that is KEPT, so that the sign is the same.

    Parameters
    ----------
    cell : CellBase
        Changed in place.
    """
    gates = GATES[cell.cell]
    for name, parameter in cell.named_parameters(recurse=False):
        if name == "input":
            # Gate by gate: stacked, a matrix would be scaled for three or four times its outputs.
            for block in parameter.chunk(len(gates)):
                nn.init.xavier_uniform_(block)
        elif name == "recurrent":
            for block in parameter.chunk(len(gates)):
                nn.init.orthogonal_(block)
        elif name.startswith("norm_"):
            nn.init.ones_(parameter)
        else:
            nn.init.zeros_(parameter)
    if cell.cell in LONG_MEMORY:
        gate, value = LONG_MEMORY[cell.cell]
        _set_gate(cell, gate, torch.full((cell.hidden_size,), value))


def chrono(cell: CellBase, longest: int) -> None:
    """Set gate biases for dependencies of up to `longest` steps (Tallec, Ollivier 2018).

    A unit that keeps a share s of its state at each step remembers for about 1 / (1 - s) steps. The
    bias of the gate that keeps the past becomes log(u) with u uniform in 1 to longest - 1; that of
    an LSTM's input gate the opposite.

    Parameters
    ----------
    cell : GRUCell or LSTMCell
        Changed in place; it needs a bias.
    longest : int
        Steps, 3 or more.

    Raises
    ------
    InputError
        ``bad_init``: the cell has no such gate or no bias, or `longest` is too small.

    References
    ----------
    C. Tallec, Y. Ollivier, "Can recurrent neural networks warp time?", 2018.

    Examples
    --------
    >>> from tidegate.nn import GRUCell
    >>> cell = GRUCell(1, 4)
    >>> chrono(cell, 100)
    >>> r, z, n = cell.b_input.chunk(3)
    >>> bool((z >= 0).all() and (z <= 4.6).all())
    True
    """
    if cell.cell not in LONG_MEMORY or cell.b_input is None:
        what = "has no gate that keeps the past" if cell.cell == "rnn" else "has no bias"
        raise InputError("bad_init", f"the cell {what}", field="init", hint="use the default")
    if longest < 3:
        raise InputError(
            "bad_init", f"{longest} steps are no long memory", field="longest", hint="use 3 or more"
        )
    bias = torch.empty(cell.hidden_size).uniform_(1.0, longest - 1.0).log_()
    _set_gate(cell, LONG_MEMORY[cell.cell][0], bias)
    if cell.cell == "lstm":
        _set_gate(cell, "i", -bias)


def _set_gate(cell: CellBase, gate: str, value: torch.Tensor) -> None:
    if cell.b_input is None:
        return
    with torch.no_grad():
        cell.b_input.chunk(len(GATES[cell.cell]))[GATES[cell.cell].index(gate)].copy_(value)
