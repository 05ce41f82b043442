"""Augmentation: an epoch trains on its own variation of each session.

All is drawn when an epoch begins, for the whole training part, and what batches read is made of it
then. So a session is the same in all chunks of its lane, and does not depend on which sessions wait
or in which order they come. What is drawn depends on the seed, the epoch and the session's place
alone: a run that is resumed draws the same. Each kind draws for itself: one that is turned on
changes nothing in the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegate.data.truncate import Spans
from tidegate.errors import InputError
from tidegate.schema.encode import LIMIT

__all__ = ["Augment", "Augmentation"]

KNOTS = 5
"""A warp's speeds are drawn at so many places of a session, and interpolated between them."""

_STREAMS = {"slice": 2, "warp": 3, "feature_dropout": 4, "scaling": 5, "jitter": 6}
"""Beside those of the order of batches and of the windows."""


class Augment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How strongly sessions vary from epoch to epoch. With nothing set they do not.

    Parameters
    ----------
    jitter : float
        Standard deviation of the noise on every encoded number.
    scaling : float
        Standard deviation of the logarithm of a factor, one for each session and column.
    warp : float
        Standard deviation of the logarithm of the speed at which a session's events are gone
        through; see `Augmentation.vary`.
    slice : float
        Share of a session's events that are kept at least, contiguous ones. 1: all.
    feature_dropout : float
        Probability that a column of a session is 0 throughout.

    Raises
    ------
    InputError
        ``out_of_range``.

    References
    ----------
    T. T. Um et al., "Data augmentation of wearable sensor data for Parkinson's disease monitoring
    using convolutional neural networks", 2017.
    B. K. Iwana, S. Uchida, "An empirical survey of data augmentation for time series
    classification with neural networks", 2021.
    """

    jitter: float = 0.0
    scaling: float = 0.0
    warp: float = 0.0
    slice: float = 1.0
    feature_dropout: float = 0.0

    def __post_init__(self) -> None:
        # The logarithms stay small enough for no factor to overflow.
        rules = {
            "jitter": (0 <= self.jitter < float("inf"), "0 or more"),
            "scaling": (0 <= self.scaling <= 1, "0 to 1"),
            "warp": (0 <= self.warp <= 1, "0 to 1"),
            "slice": (0 < self.slice <= 1, "more than 0, at most 1"),
            "feature_dropout": (0 <= self.feature_dropout < 1, "0 or more, less than 1"),
        }
        for name, (holds, rule) in rules.items():
            if not holds:
                raise InputError(
                    "out_of_range",
                    f"{getattr(self, name)!r} is not allowed",
                    field=name,
                    hint=f"use {rule}",
                )

    @property
    def of_numbers(self) -> tuple[str, ...]:
        """What is set of the kinds that change numbers."""
        kinds = ("jitter", "scaling", "feature_dropout")
        return tuple(name for name in kinds if getattr(self, name))


NOTHING = Augment()


@dataclass(frozen=True)
class Augmentation:
    """What augmentation makes of the training part.

    Parameters
    ----------
    augment : Augment
        How strongly.
    columns : tuple of int
        Columns of the rows that may be changed.
    seed : int
        The same seed and epoch give the same, whatever ran before.

    Examples
    --------
    >>> rows, labels = np.arange(6, dtype=np.float32)[:, None], np.arange(6.0)
    >>> spans = Spans(np.array([0, 1]), np.array([0, 4]), np.array([4, 2]))
    >>> augmentation = Augmentation(Augment(scaling=0.5), columns=(0,))
    >>> varied, _ = augmentation.vary(rows, labels, spans, count=2, epoch=1)
    >>> (varied[1:, 0] / rows[1:, 0]).astype(float).round(2).tolist()
    [0.94, 0.94, 0.94, 0.54, 0.54]
    """

    augment: Augment = NOTHING
    columns: tuple[int, ...] = ()
    seed: int = 0

    def cut(self, spans: Spans, labels: NDArray[np.float64], count: int, epoch: int) -> Spans:
        """Return what `slice` keeps of an epoch's stretches.

        Each keeps one of its labels, drawn at random, if it has any: a session's only label, such
        as that of its last event, is never lost.

        Parameters
        ----------
        spans : Spans
            The stretches.
        labels : float64 array (events,)
            NaN without label.
        count : int
            Sessions in all, those that wait too.
        epoch : int
            From 1.
        """
        if self.augment.slice == 1:
            return spans
        drawn = self._rng("slice", epoch).random((3, count))[:, spans.sessions]
        least = np.ceil(self.augment.slice * spans.lengths).astype(np.int64)
        lengths = least + _below(drawn[0], spans.lengths - least + 1)
        known = np.flatnonzero(~np.isnan(labels))
        first, end = np.searchsorted(known, [spans.starts, spans.starts + spans.lengths])
        low, high = np.zeros_like(lengths), spans.lengths - lengths
        has = end > first
        kept = known[(first + _below(drawn[1], end - first))[has]] - spans.starts[has]
        low[has] = np.maximum(kept - lengths[has] + 1, 0)
        high[has] = np.minimum(kept, high[has])
        starts = spans.starts + low + _below(drawn[2], high - low + 1)
        return Spans(spans.sessions, starts, lengths)

    def vary(
        self,
        rows: NDArray[np.float32],
        labels: NDArray[np.float64],
        spans: Spans,
        count: int,
        epoch: int,
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return an epoch's rows and labels; those given, as they are, if nothing is set.

        `warp` goes first. It goes through a stretch's events at a speed that changes smoothly, as
        often as there are events: some events come twice or more, others not at all. The order
        stays, and so do the first and the last event. A label goes with its event; of an event
        that comes more than once, the last place has it. A stretch that would lose all its labels
        is not warped. Then columns are set to 0, scaled, and noise is added to them.

        Parameters
        ----------
        rows : float32 array (events, width)
            Of all sessions.
        labels : float64 array (events,)
            NaN without label.
        spans : Spans
            What the epoch trains on, from `cut`.
        count : int
            Sessions in all, those that wait too.
        epoch : int
            From 1.
        """
        if self.augment.warp:
            rows, labels = self._warped(rows, labels, spans, count, epoch)
        elif self.augment.of_numbers:
            rows = rows.copy()
        if not self.augment.of_numbers:
            return rows, labels
        places = _places(spans)
        factors = self._factors(count, epoch)[spans.sessions]
        noise = self._rng("jitter", epoch)
        for index, column in enumerate(self.columns):
            values = rows[places, column] * np.repeat(factors[:, index], spans.lengths)
            if self.augment.jitter:
                # Drawn for all events: an event's noise does not depend on which sessions wait.
                values += self.augment.jitter * noise.standard_normal(len(rows))[places]
            rows[places, column] = np.clip(values, -LIMIT, LIMIT)
        return rows, labels

    def _factors(self, count: int, epoch: int) -> NDArray[np.float64]:
        """Return a factor for each session and column."""
        shape = (count, len(self.columns))
        factors = np.exp(self.augment.scaling * self._rng("scaling", epoch).standard_normal(shape))
        dropped = self._rng("feature_dropout", epoch).random(shape) < self.augment.feature_dropout
        return np.where(dropped, 0.0, factors)

    def _warped(
        self,
        rows: NDArray[np.float32],
        labels: NDArray[np.float64],
        spans: Spans,
        count: int,
        epoch: int,
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        places, first = _places(spans), _first(spans)
        speeds = np.exp(
            self.augment.warp * self._rng("warp", epoch).standard_normal((count, KNOTS))
        )
        taken = places + _shifts(spans, speeds[spans.sessions])
        repeated = np.append(taken[1:] == taken[:-1], False)
        found = np.where(repeated, np.nan, labels[taken])
        lost = _labelled(labels[places], first) & ~_labelled(found, first)
        still = np.repeat(lost, spans.lengths)
        rows, labels = rows.copy(), labels.copy()
        rows[places] = rows[np.where(still, places, taken)]
        labels[places] = np.where(still, labels[places], found)
        return rows, labels

    def _rng(self, kind: str, epoch: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, epoch, _STREAMS[kind]])


def _shifts(spans: Spans, speeds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return by how many events each place of the stretches is off, in their order."""
    first, lengths = _first(spans), spans.lengths
    place = np.arange(lengths.sum()) - np.repeat(first, lengths)
    steps = np.repeat(np.maximum(lengths - 1, 1), lengths)
    # The step to a place takes the speed at its middle, between two knots.
    at = np.maximum(place - 0.5, 0) / steps * (KNOTS - 1)
    knot = np.minimum(at.astype(np.int64), KNOTS - 2)
    of = np.repeat(np.arange(len(lengths)), lengths)
    left, right = speeds[of, knot], speeds[of, knot + 1]
    way = np.where(place > 0, left + (at - knot) * (right - left), 0.0).cumsum()
    way -= np.repeat(way[first], lengths)
    whole = np.repeat(way[first + lengths - 1], lengths)
    reached = np.divide(way, whole, out=np.zeros_like(way), where=whole > 0)
    shifts: NDArray[np.int64] = np.rint(reached * steps).astype(np.int64) - place
    return shifts


def _places(spans: Spans) -> NDArray[np.int64]:
    """Return the row of each event of the stretches, in their order."""
    return np.arange(spans.lengths.sum()) + np.repeat(spans.starts - _first(spans), spans.lengths)


def _first(spans: Spans) -> NDArray[np.int64]:
    """Return where each stretch begins among the events of all stretches."""
    return np.cumsum(spans.lengths) - spans.lengths


def _labelled(labels: NDArray[np.float64], first: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which stretches have a label."""
    if len(first) == 0:
        return np.zeros(0, dtype=np.bool_)
    return np.logical_or.reduceat(~np.isnan(labels), first)


def _below(drawn: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a number from 0, less than each count, from one drawn between 0 and 1."""
    return (drawn * counts).astype(np.int64)
