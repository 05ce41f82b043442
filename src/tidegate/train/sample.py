"""A few sessions of the training part, on which each epoch is measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tidegate.data.mapped import fitting, let_go, session_blocks
from tidegate.data.targets import known
from tidegate.train.sequences import Sequences

__all__ = ["Sample"]

MAX_SESSIONS = 16
MIN_SESSIONS = 4
MAX_EVENTS = 256
"""Of a session: the last ones before its last label."""
SHARE = 100
"""The sample has at most one in so many of the training part's events."""


@dataclass(frozen=True)
class Sample:
    """Ends of sessions, each up to its last labelled event.

    Parameters
    ----------
    rows : float32 tensor (B, T, row_size)
        Encoded rows, padded.
    lengths : int64 tensor (B,)
        Events of each.
    targets, last_targets : float32 tensor (B, T) or (B, T, n)
        Of all events, and of the last one of each session alone; NaN without label.
    """

    rows: Tensor
    lengths: Tensor
    targets: Tensor
    last_targets: Tensor

    @classmethod
    def of(cls, sequences: Sequences, seed: int) -> Sample | None:
        """Draw sessions that have a label and whose rows are finite.

        There are 16 sessions of 256 events at most, and in all a hundredth of the training part's
        events: measuring them, one pass forward and two backward, then costs a few hundredths of an
        epoch. There are always four sessions, though; where they are more than that, an epoch is
        short, and measuring them takes some hundredths of a second.

        Parameters
        ----------
        sequences : Sequences
            The training part.
        seed : int
            The same seed draws the same sessions.

        Returns
        -------
        Sample or None
            None: there is no such session.

        Examples
        --------
        >>> rows, labels = np.ones((5, 2), np.float32), np.array([np.nan, 1, np.nan, 0, np.nan])
        >>> part = Sequences(rows, np.array([0, 3, 5]), labels, labels.astype(np.float32))
        >>> sample = Sample.of(part, seed=1)
        >>> sample.lengths, sample.last_targets.tolist()
        (tensor([2, 1]), [[nan, 1.0], [0.0, nan]])
        """
        begins, ends = _ends(sequences)
        order = np.random.default_rng(seed).permutation(len(begins))[:MAX_SESSIONS]
        used = np.cumsum(ends[order] - begins[order])
        within = int((used <= len(sequences.rows) / SHARE).sum())
        order = order[: max(within, MIN_SESSIONS)]
        if len(order) == 0:
            return None
        lengths = ends[order] - begins[order]
        rows = np.zeros((len(order), lengths.max(), sequences.rows.shape[1]), dtype=np.float32)
        shape = (*rows.shape[:2], *sequences.targets.shape[1:])
        targets = np.full(shape, np.nan, dtype=np.float32)
        for place, (begin, end) in enumerate(zip(begins[order], ends[order], strict=True)):
            rows[place, : end - begin] = sequences.rows[begin:end]
            targets[place, : end - begin] = sequences.targets[np.arange(begin, end)]
        last = np.full_like(targets, np.nan)
        at = np.arange(len(order)), lengths - 1
        last[at] = targets[at]
        return cls(*(torch.from_numpy(array) for array in (rows, lengths, targets, last)))

    def to(self, device: torch.device) -> Sample:
        """Return it on another device; lengths stay on the CPU."""
        moved = (x.to(device) for x in (self.targets, self.last_targets))
        return Sample(self.rows.to(device), self.lengths, *moved)


def _ends(sequences: Sequences) -> tuple[np.ndarray, np.ndarray]:
    """Return the first row, and the one after the last label, of each session that will do."""
    rows, offsets, learned = sequences.rows, sequences.offsets, known(sequences.targets)
    let_go(sequences.targets)
    ends, good = np.empty_like(offsets[1:]), np.empty(len(offsets) - 1, dtype=bool)
    for first, last in session_blocks(offsets, fitting(rows)):
        at, begin, end = offsets[first:last], offsets[first], offsets[last]
        place = np.where(learned[begin:end], np.arange(begin, end), -1)
        ends[first:last] = np.maximum.reduceat(place, at - begin) + 1
        begins = np.maximum(at, ends[first:last] - MAX_EVENTS)
        broken = np.concatenate([[0], np.cumsum(~np.isfinite(rows[begin:end]).all(axis=1))])
        until = np.maximum(ends[first:last], begins) - begin
        whole = broken[until] == broken[begins - begin]
        good[first:last] = (ends[first:last] > begins) & whole
        let_go(rows)
    begins = np.maximum(offsets[:-1], ends - MAX_EVENTS)
    return begins[good], ends[good]
