"""A plain layer's steps by torch's own kernel: cuDNN's, where the tensors are on a GPU."""

from __future__ import annotations

import torch
from torch import Tensor

from tidegate.nn.cells import CellBase, GRUCell, LSTMCell, RNNCell, State
from tidegate.nn.noise import Noise
from tidegate.nn.rows import Rows

__all__ = ["fits", "run", "takes"]


def takes(cell: CellBase, x: Tensor) -> bool:
    """Say whether cuDNN can take the cell's steps over such an input."""
    return x.is_cuda and torch.backends.cudnn.enabled and fits(cell)


def fits(cell: CellBase) -> bool:
    """Say whether torch's kernel knows all of the cell's options."""
    before = isinstance(cell, GRUCell) and not cell.reset_after
    peeps = isinstance(cell, LSTMCell) and cell.peephole is not None
    return cell.norm_recurrent is None and not before and not peeps


def run(
    cell: CellBase, x: Tensor, state: State, rows: Rows, noise: Noise, *, reverse: bool = False
) -> tuple[Tensor, State]:
    """Take all events of some sessions; see `composed.run`.

    Parameters
    ----------
    noise : Noise
        At most of weights: cuDNN's steps cannot be reached into.
    """
    # One step of all sessions after the other, longest sessions first, as cuDNN wants it.
    order, real = rows.order(reverse=reverse)
    longest = torch.argsort(rows.lengths, descending=True, stable=True)
    places = order[longest].T[real[longest].T].to(x.device)
    batch_sizes = real.sum(0)
    batch_sizes = batch_sizes[batch_sizes > 0]
    if not len(batch_sizes):
        nothing = cell.input_product(x[:0]).sum()  # 0, with the weights in its graph
        empty = x.new_zeros(rows.count, cell.hidden_size)
        return empty + nothing, tuple(part + nothing for part in state)
    longest = longest.to(x.device)
    begun = int(batch_sizes[0])  # sessions without an event are no business of cuDNN's
    h = [part[longest][None, :begun].contiguous() for part in state]
    weight = cell.recurrent if noise.weight is None else cell.recurrent * noise.weight
    weights = [cell.input, weight, *_biases(cell)]
    flags = (len(weights) == 4, 1, 0.0, cell.training, False)  # one layer, one direction
    relu = isinstance(cell, RNNCell) and cell.activation == "relu"
    name = cell.cell if cell.cell != "rnn" else "rnn_relu" if relu else "rnn_tanh"
    kernel = getattr(torch, name)
    before = h if cell.cell == "lstm" else h[0]
    y, *after = kernel(x[places], batch_sizes, before, weights, *flags)
    whole = y.new_zeros(rows.count, cell.hidden_size).index_copy_(0, places, y)
    ended = tuple(
        old.index_copy(0, longest[:begun], new[0].to(old.dtype))
        for old, new in zip(state, after, strict=True)
    )
    return whole, ended


def _biases(cell: CellBase) -> list[Tensor]:
    if cell.b_input is None:
        return []
    second = torch.zeros_like(cell.b_input) if cell.b_recurrent is None else cell.b_recurrent
    return [cell.b_input, second]
