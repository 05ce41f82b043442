"""Which events an epoch trains on: windows of long sessions, and short sessions first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tidegate.errors import InputError

__all__ = ["Last", "Spans", "Truncate", "Windows", "strided"]

Truncate = Literal["head", "tail", "random", "windows"]
Last = Literal["end", "drop"]


@dataclass(frozen=True, eq=False)
class Spans:
    """Stretches of events; a session may have several.

    Parameters
    ----------
    sessions : int64 array (S,)
        Which sessions they are of, never falling.
    starts : int64 array (S,)
        Row of each stretch's first event.
    lengths : int64 array (S,)
        Events of each; at least one.
    """

    sessions: NDArray[np.int64]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def owners(self, events: int) -> NDArray[np.int64]:
        """Return the first stretch that holds each event: the one that knows most before it.

        What is computed of overlapping stretches then counts once an event, from its owner alone.

        Parameters
        ----------
        events : int
            Of all sessions.

        Returns
        -------
        int64 array (events,)
            Places in `starts`; -1 where no stretch holds the event.

        Examples
        --------
        >>> spans = strided(np.array([0, 2, 9]), length=4, stride=2, last="drop")
        >>> spans.owners(9)
        array([ 0,  0,  1,  1,  1,  1,  2,  2, -1])
        """
        owners = np.full(events, -1)
        of = np.repeat(np.arange(len(self.starts)), self.lengths)
        held = np.arange(len(of)) + np.repeat(
            self.starts - (np.cumsum(self.lengths) - self.lengths), self.lengths
        )
        owners[held[::-1]] = of[::-1]  # of several, NumPy keeps the last: here the first
        return owners


def strided(offsets: NDArray[np.int64], length: int, stride: int, *, last: Last = "end") -> Spans:
    """Cut each session into windows that begin every `stride` events.

    Nothing is copied: a window is a stretch of the rows that the offsets are of. A session of
    `length` events or fewer is one window, whole.

    Parameters
    ----------
    offsets : int64 array (sessions + 1,)
        Session i is events ``offsets[i]:offsets[i + 1]``.
    length : int
        Events of a window.
    stride : int
        Events from the beginning of one to that of the next: less than `length`, and they overlap.
    last : {"end", "drop"}
        What becomes of a session's last events, where no window of that rhythm ends with them: one
        more window does, which overlaps more, or they are in none.

    Returns
    -------
    Spans
        In the order of sessions, and within a session of events.

    Raises
    ------
    InputError
        ``out_of_range``: a length below 1, or a stride below 1 or above the length, which would
        pass over events; another `last`.

    Examples
    --------
    >>> spans = strided(np.array([0, 2, 9]), length=4, stride=2)
    >>> spans.sessions.tolist(), spans.starts.tolist(), spans.lengths.tolist()
    ([0, 1, 1, 1], [0, 2, 4, 5], [2, 4, 4, 4])
    """
    if length < 1:
        raise _out_of_range("length", length, "1 or more")
    _check_stride(stride, length)
    if last not in ("end", "drop"):
        raise _out_of_range("last", last, "end or drop")
    whole = np.diff(offsets)
    left = np.maximum(whole - length, 0)  # where a session's last window may begin
    counts = (left // stride if last == "drop" else -(-left // stride)) + (whole > 0)
    sessions = np.repeat(np.arange(len(left)), counts)
    number = np.arange(len(sessions)) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = offsets[sessions] + np.minimum(number * stride, left[sessions])
    return Spans(sessions, starts, np.minimum(offsets[sessions + 1] - starts, length))


@dataclass(frozen=True)
class Windows:
    """What an epoch takes of each session.

    An event outside of a session's window is neither read nor learned in that epoch, and a window
    begins with a fresh state. With ``windows`` all are: each window is learned as if it were a
    session, and an event in two of them twice. The curriculum lets sessions wait, whole: in epoch e
    of its N, those are in that are no longer than the limit which e/N of all labelled sessions do
    not exceed. Sessions of one length therefore enter together, no epoch is without labels, and
    from epoch N on all are in.

    Parameters
    ----------
    max_length : int, optional
        Events of a window at most. None: whole sessions.
    truncate : {"head", "tail", "random", "windows"}
        Which window of a longer session: its first events, its last (where a label per session
        stands), others in each epoch, all places being equally likely, or one after the other.
    stride : int, optional
        ``windows``: events from the beginning of one to that of the next; see `strided`. None: as
        many as a window has, so that none but a session's last overlaps another.
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
    stride: int | None = None

    def __post_init__(self) -> None:
        if self.max_length is not None and self.max_length < 1:
            raise _out_of_range("max_length", self.max_length, "1 or more")
        if self.truncate not in get_args(Truncate):
            raise _out_of_range("truncate", self.truncate, "head, tail, random or windows")
        if self.curriculum < 0:
            raise _out_of_range("curriculum", self.curriculum, "0 or more")
        if self.truncate == "windows":
            if self.max_length is None:
                raise _out_of_range("max_length", None, 'a number with truncate = "windows"')
            _check_stride(self._stride, self.max_length)
        elif self.stride is not None:
            raise _out_of_range("stride", self.stride, 'it with truncate = "windows" alone')

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
        if self.truncate == "windows":
            spans = strided(offsets, self.max_length, self._stride)
            taken = np.isin(spans.sessions, sessions)
            return Spans(spans.sessions[taken], spans.starts[taken], spans.lengths[taken])
        left = np.maximum(whole - self.max_length, 0)
        if self.truncate == "head":
            left = np.zeros_like(left)
        elif self.truncate == "random":
            # Drawn for all sessions: a window does not depend on which of them wait.
            left = np.random.default_rng([self.seed, epoch, 1]).integers(left, endpoint=True)
        return Spans(sessions, starts + left[sessions], np.minimum(lengths, self.max_length))

    @property
    def _stride(self) -> int:
        return (self.max_length or 1) if self.stride is None else self.stride


def _labelled(
    lengths: NDArray[np.int64], offsets: NDArray[np.int64], labels: NDArray[np.float64] | None
) -> NDArray[np.int64]:
    """Return the lengths of the sessions that have a label; of all, if none has."""
    if labels is None:
        return lengths
    known = lengths[np.logical_or.reduceat(~np.isnan(labels), offsets[:-1])]
    return known if len(known) else lengths


def _check_stride(stride: int, length: int) -> None:
    if not 1 <= stride <= length:
        rule = f"1 to the length of a window ({length}), or events are passed over"
        raise _out_of_range("stride", stride, rule)


def _out_of_range(field: str, value: object, rule: str) -> InputError:
    return InputError("out_of_range", f"{value!r} is not allowed", field=field, hint=f"use {rule}")
