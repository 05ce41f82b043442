"""Encoded sessions with what is to be learned of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.data.mapped import blocks
from tidegate.data.targets import Targets, known

__all__ = ["Sequences"]


@dataclass(frozen=True, eq=False)
class Sequences:
    """Encoded events of many sessions, and their labels.

    Parameters
    ----------
    rows : float32 array (events, row_size)
        From `Schema.encode`.
    offsets : int64 array (sessions + 1,)
        Session i is events ``offsets[i]:offsets[i + 1]``; at least one event each.
    labels : float64 array (events,) or (events, n)
        The truth, from `answers.Answers.truth`; NaN where nothing is known.
    targets : float32 array (events,) or (events, n), or Targets
        From `tasks.Task.targets`: what the outputs are compared with; NaN where nothing is learned.
    ids : sequence of str
        Session ids, to name sessions by; may be left out.
    columns : sequence of str
        Names of the rows' columns; may be left out.
    measured : tuple of int, optional
        Columns that augmentation may change, as `Schema.measured` has them. None: all that are no
        category.
    """

    rows: NDArray[np.float32]
    offsets: NDArray[np.int64]
    labels: NDArray[np.float64]
    targets: NDArray[np.float32] | Targets
    ids: Sequence[str] = ()
    columns: Sequence[str] = ()
    measured: tuple[int, ...] | None = None

    @property
    def labelled(self) -> int:
        """Events that something is learned of."""
        if isinstance(self.targets, np.ndarray):
            return sum(int(known(block).sum()) for block in blocks(self.targets))
        return int(known(self.targets).sum())
