"""A layer's steps as a Python loop over its cell: any device, any type, and slow."""

from __future__ import annotations

import torch
from torch import Tensor

from tidegate.nn.cells import CellBase, Gates, State, blend
from tidegate.nn.noise import Noise
from tidegate.nn.rows import Rows
from tidegate.spec import GATES

__all__ = ["run"]


def run(
    cell: CellBase, x: Tensor, state: State, rows: Rows, noise: Noise, *, reverse: bool = False
) -> tuple[Tensor, State, Gates]:
    """Take all events of some sessions, one step after the other.

    Parameters
    ----------
    cell : CellBase
        One direction of a layer.
    x : tensor (rows, input_size)
        The events.
    state : tuple of tensors (B, hidden_size)
        Before the first step.
    rows : Rows
        Which event is whose.
    noise : Noise
        What is drawn for this call.
    reverse : bool
        From the last event of each session to its first.

    Returns
    -------
    y : tensor (rows, hidden_size)
        h after each event.
    state : tuple of tensors (B, hidden_size)
        After each session's last step.
    gates : tuple of tensors (rows, hidden_size)
        Of each event.
    """
    a = cell.input_product(x)
    weight = None if noise.weight is None else cell.recurrent * noise.weight
    order, real = (each.to(x.device) for each in rows.order(reverse=reverse))
    keeps = (noise.keep, noise.keep_cell)
    found: list[tuple[Tensor, ...]] = []
    for t in range(rows.steps):
        at, active = order[:, t], real[:, t, None]
        stepped, gates = cell.step(a[at], state, mask=noise.mask, weight=weight)
        blended = tuple(
            blend(keep[at] if isinstance(keep, Tensor) else keep, old, new)
            for keep, old, new in zip(keeps, state, stepped, strict=False)
        )
        state = tuple(
            torch.where(active, new, old) for new, old in zip(blended, state, strict=True)
        )
        found.append((blended[0], *gates))
    places = real.T.reshape(-1).nonzero()[:, 0]
    targets = order.T.reshape(-1)[places]

    def gather(parts: tuple[Tensor, ...]) -> Tensor:
        whole = a.new_zeros(rows.count, cell.hidden_size)
        if not parts:
            return whole
        return whole.index_copy(0, targets, torch.cat(parts).index_select(0, places))

    columns = zip(*found, strict=True) if found else ((),) * (1 + len(GATES[cell.cell]))
    y, *gates_of = (gather(column) for column in columns)
    return y, state, tuple(gates_of)
