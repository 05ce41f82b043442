"""A layer's steps in the C core."""

from __future__ import annotations

from torch import Tensor

from tidegate.nn.cells import CellBase, Gates, State
from tidegate.nn.noise import Noise
from tidegate.nn.rows import Rows

__all__ = ["run", "takes"]


def takes(cell: CellBase, x: Tensor) -> bool:
    """Say whether the C core can take the cell's steps over such an input."""
    return bool(cell is None and x is None)


def run(
    cell: CellBase,
    x: Tensor,
    state: State,
    rows: Rows,
    noise: Noise,
    *,
    reverse: bool = False,
    recompute: bool = False,
) -> tuple[Tensor, State, Gates]:
    """Take all events of some sessions; see `composed.run`."""
    raise NotImplementedError
