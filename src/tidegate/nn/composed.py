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
    if not rows.count:
        nothing, y = a.sum(), a[:, : cell.hidden_size]  # 0, with the weights in its graph
        return y, tuple(part + nothing for part in state), (y,) * len(GATES[cell.cell])
    weight = None if noise.weight is None else cell.recurrent * noise.weight
    order, real = rows.order(reverse=reverse)
    places = real.T.reshape(-1).nonzero()[:, 0]
    targets = order.T.reshape(-1)[places].to(x.device)
    order, real, places = (each.to(x.device) for each in (order, real, places))
    keeps = (noise.keep, noise.keep_cell)
    found: list[tuple[Tensor, ...]] = []
    for t in range(rows.steps):
        at, active = order[:, t], real[:, t, None]
        # A session that has ended steps on zeros: another's NaN would be in its gradient.
        before = tuple(torch.where(active, part, 0.0) for part in state)
        stepped, gates = cell.step(
            torch.where(active, a[at], 0.0), before, mask=noise.mask, weight=weight
        )
        blended = tuple(
            blend(keep[at] if isinstance(keep, Tensor) else keep, old, new)
            for keep, old, new in zip(keeps, before, stepped, strict=False)
        )
        state = tuple(
            torch.where(active, new, old) for new, old in zip(blended, state, strict=True)
        )
        found.append((blended[0], *gates))

    def gather(parts: tuple[Tensor, ...]) -> Tensor:
        flat = torch.cat(parts).index_select(0, places)
        return flat.new_zeros(rows.count, cell.hidden_size).index_copy(0, targets, flat)

    y, *gates_of = (gather(column) for column in zip(*found, strict=True))
    return y, state, tuple(gates_of)
