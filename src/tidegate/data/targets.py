"""What is learned of each event: numbers, or what makes them when a batch asks."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Targets", "known", "marks"]


@runtime_checkable
class Targets(Protocol):
    """Numbers of each event that are made when they are asked for.

    Where each event has many, such as the next 720 values, all of them together would fill the
    memory.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Events first."""

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which events have any that is not NaN, (events,)."""

    def __getitem__(self, events: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return those of some events, NaN where nothing is known."""


def known(targets: NDArray[np.floating] | Targets) -> NDArray[np.bool_]:
    """Return which events have something to learn.

    Examples
    --------
    >>> known(np.array([[1.0, np.nan], [np.nan, np.nan]])).tolist()
    [True, False]
    """
    if isinstance(targets, np.ndarray):
        there = ~np.isnan(targets)
        return np.asarray(there.reshape(len(there), -1).any(axis=1))
    return targets.known


def marks(targets: NDArray[np.floating] | Targets) -> NDArray[np.float64]:
    """Return one number an event: NaN where there is nothing to learn.

    Examples
    --------
    >>> marks(np.array([[1.0, np.nan], [np.nan, np.nan]]))
    array([ 0., nan])
    """
    if isinstance(targets, np.ndarray) and targets.ndim == 1:
        return targets.astype(np.float64, copy=False)
    return np.where(known(targets), 0.0, np.nan)
