"""Which events an epoch trains on: windows of long sessions, and short sessions first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tidegate.errors import InputError

__all__ = ["Spans", "Truncate", "Windows"]

Truncate = Literal["head", "tail", "random"]


@dataclass(frozen=True, eq=False)
class Spans:
    """Stretches of events, each of another session.

    Parameters
    ----------
    sessions : int64 array (S,)
        Which sessions these are, rising.
    starts : int64 array (S,)
        Row of each stretch's first event.
    lengths : int64 array (S,)
        Events of each; at least one.
    """

    sessions: NDArray[np.int64]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]


@dataclass(frozen=True)
class Windows:
    """What an epoch takes of each session.

    An event outside of a session's window is neither read nor learned in that epoch, and the
    window begins with a fresh state. The curriculum lets sessions wait, whole: in epoch e of its N,
    those are in that are no longer than the limit which e/N of all labelled sessions do not exceed.
    Sessions of one length therefore enter together, no epoch is without labels, and from epoch N on
    all are in.

    Parameters
    ----------
    max_length : int, optional
        Events of a window at most. None: whole sessions.
    truncate : {"head", "tail", "random"}
        Which window of a longer session: its first events, its last (where a label per session
        stands), or others in each epoch, all places being equally likely.
    curriculum : int
        Epochs N over which the limit grows. 0: all sessions from the first epoch on.
    seed : int
        Of the random windows: the same seed and epoch give the same, whatever ran before.

    Raises
    ------
    InputError
        ``out_of_range``.

    References
    ----------
    Y. Bengio, J. Louradour, R. Collobert, J. Weston, "Curriculum learning", 2009.

    Examples
    --------
    >>> offsets = np.array([0, 2, 9, 13])
    >>> windows = Windows(max_length=3, truncate="tail", curriculum=3)
    >>> for epoch in (1, 2, 3):
    ...     spans = windows.of(offsets, epoch)
    ...     print(spans.sessions.tolist(), spans.starts.tolist(), spans.lengths.tolist())
    [0] [0] [2]
    [0, 2] [0, 10] [2, 3]
    [0, 1, 2] [0, 6, 10] [2, 3, 3]
    """

    max_length: int | None = None
    truncate: Truncate = "tail"
    curriculum: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_length is not None and self.max_length < 1:
            raise _out_of_range("max_length", self.max_length, "1 or more")
        if self.truncate not in ("head", "tail", "random"):
            raise _out_of_range("truncate", self.truncate, "head, tail or random")
        if self.curriculum < 0:
            raise _out_of_range("curriculum", self.curriculum, "0 or more")

    def of(
        self, offsets: NDArray[np.int64], epoch: int, labels: NDArray[np.float64] | None = None
    ) -> Spans:
        """Return the windows of an epoch.

        Parameters
        ----------
        offsets : int64 array (sessions + 1,)
            Session i is events ``offsets[i]:offsets[i + 1]``.
        epoch : int
            From 1; before it, as in the first.
        labels : float array (events,), optional
            NaN without label: which sessions count for the curriculum. All, if left out.
        """
        whole = np.diff(offsets)
        sessions = np.arange(len(whole))
        if len(whole) and epoch < self.curriculum:
            counted = _labelled(whole, offsets, labels)
            share = max(epoch, 1) / self.curriculum
            limit = np.sort(counted)[int(np.ceil(share * len(counted))) - 1]
            sessions = np.flatnonzero(whole <= limit)
        starts, lengths = offsets[:-1][sessions], whole[sessions]
        if self.max_length is None:
            return Spans(sessions, starts, lengths)
        left = np.maximum(whole - self.max_length, 0)
        if self.truncate == "head":
            left = np.zeros_like(left)
        elif self.truncate == "random":
            # Drawn for all sessions: a window does not depend on which of them wait.
            left = np.random.default_rng([self.seed, epoch, 1]).integers(left, endpoint=True)
        return Spans(sessions, starts + left[sessions], np.minimum(lengths, self.max_length))


def _labelled(
    lengths: NDArray[np.int64], offsets: NDArray[np.int64], labels: NDArray[np.float64] | None
) -> NDArray[np.int64]:
    """Return the lengths of the sessions that have a label; of all, if none has."""
    if labels is None:
        return lengths
    known = lengths[np.logical_or.reduceat(~np.isnan(labels), offsets[:-1])]
    return known if len(known) else lengths


def _out_of_range(field: str, value: object, rule: str) -> InputError:
    return InputError("out_of_range", f"{value!r} is not allowed", field=field, hint=f"use {rule}")
