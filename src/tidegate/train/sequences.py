"""Encoded sessions, in batches that torch can run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["Batch", "Sequences"]


@dataclass(frozen=True)
class Batch:
    """Sessions of similar length, padded behind their last event.

    Parameters
    ----------
    rows : float32 tensor (B, T, row_size)
        Encoded rows; padding repeats the last one.
    targets : float32 tensor (B, T)
        What the outputs are compared with; NaN without label and in the padding.
    events : int64 array (B, T)
        Which event of the sequences stands at each place.
    real : bool array (B, T)
        False in the padding.
    """

    rows: torch.Tensor
    targets: torch.Tensor
    events: NDArray[np.int64]
    real: NDArray[np.bool_]


@dataclass(frozen=True)
class Sequences:
    """Encoded events of many sessions with what is to be learned.

    Parameters
    ----------
    rows : float32 array (events, row_size)
        From `Schema.encode`.
    offsets : int64 array (sessions + 1,)
        Session i is events ``offsets[i]:offsets[i + 1]``.
    labels : float64 array (events,)
        From `answers.encode_labels`; NaN without label.
    targets : float32 array (events,)
        From `tasks.Task.targets`.
    """

    rows: NDArray[np.float32]
    offsets: NDArray[np.int64]
    labels: NDArray[np.float64]
    targets: NDArray[np.float32]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Events of each session."""
        return np.diff(self.offsets)

    @property
    def labelled(self) -> int:
        """Events with a label."""
        return int((~np.isnan(self.labels)).sum())

    def plan(self, tokens: int, rng: np.random.Generator | None = None) -> list[NDArray[np.int64]]:
        """Share sessions out to batches.

        Parameters
        ----------
        tokens : int
            Places of one batch at most, padding included; a longer session gets its own.
        rng : Generator, optional
            Mixes sessions of similar length, and the order of batches. Without it, batches go from
            the shortest sessions to the longest.

        Returns
        -------
        list of int64 array
            The sessions of each batch; every session with an event is in one.
        """
        lengths = self.lengths
        keys = lengths.astype(np.float64)
        if rng is not None:
            # A tenth of noise: neighbours change from epoch to epoch, and padding stays small.
            keys *= 1.0 + 0.1 * rng.random(len(lengths))
        order = np.argsort(keys, kind="stable")
        order = order[lengths[order] > 0]
        starts, longest = [0], 0
        for position, length in enumerate(lengths[order].tolist()):
            longest = max(longest, length)
            if (position - starts[-1] + 1) * longest > tokens and position > starts[-1]:
                starts.append(position)
                longest = length
        batches = np.split(order, starts[1:])
        if rng is not None:
            batches = [batches[i] for i in rng.permutation(len(batches))]
        return batches

    def batch(self, sessions: NDArray[np.int64]) -> Batch:
        """Pad sessions to the longest of them."""
        lengths = self.lengths[sessions][:, None]
        places = np.arange(lengths.max())
        real = places < lengths
        events = self.offsets[sessions][:, None] + np.minimum(places, lengths - 1)
        targets = np.where(real, self.targets[events], np.float32(np.nan))
        return Batch(torch.from_numpy(self.rows[events]), torch.from_numpy(targets), events, real)

    def batches(self, tokens: int, rng: np.random.Generator | None = None) -> Iterator[Batch]:
        """Yield every session in one pass; the parameters are those of `plan`."""
        return map(self.batch, self.plan(tokens, rng))
