"""What a training run was given, in a few numbers: for whoever reads its history afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegate.data.mapped import blocks
from tidegate.data.profile import LengthProfile
from tidegate.spec import ModelSpec
from tidegate.tasks import Task
from tidegate.train.sequences import Sequences
from tidegate.train.settings import TrainSettings

__all__ = ["Column", "Given"]


class Column(msgspec.Struct, frozen=True):
    """A column of the training part's encoded rows, categories left out.

    Parameters
    ----------
    name : str
        As the schema calls it; its number where there is no schema.
    mean, deviation, largest : float
        Mean, standard deviation and largest absolute value, of the finite values.
    not_finite : int
        Values that are not.
    """

    name: str
    mean: float
    deviation: float
    largest: float
    not_finite: int = 0


class Given(msgspec.Struct, frozen=True):
    """What a run was given.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    settings : TrainSettings
        How it is fitted.
    lengths : LengthProfile, optional
        Events of the training part's sessions.
    columns : tuple of Column
        Of its rows; empty without `TrainSettings.diagnostics`.
    constant_loss : float, optional
        What the loss would be of the best answer that is always the same.
    """

    spec: ModelSpec
    settings: TrainSettings
    lengths: LengthProfile | None = None
    columns: tuple[Column, ...] = ()
    constant_loss: float | None = None

    @classmethod
    def of(cls, spec: ModelSpec, settings: TrainSettings, task: Task, train: Sequences) -> Given:
        """Measure a training part."""
        lengths = LengthProfile.of(np.diff(train.offsets))
        if not settings.diagnostics:
            return cls(spec, settings, lengths)
        constant_loss = task.constant_loss(train.targets)
        return cls(spec, settings, lengths, _columns(spec, train), constant_loss)


def _columns(spec: ModelSpec, train: Sequences) -> tuple[Column, ...]:
    """Measure the columns, some rows at a time.

    >>> from tidegate.spec import LayerSpec
    >>> rows, offsets, labels = np.float32([[3], [-5], [np.inf]]), np.array([0, 3]), np.zeros(3)
    >>> part = Sequences(rows, offsets, labels, labels.astype(np.float32), columns=("speed",))
    >>> _columns(ModelSpec(1, (LayerSpec("gru", 1),), 1), part)
    (Column(name='speed', mean=-1.0, deviation=4.0, largest=5.0, not_finite=1),)
    """
    numbers = list(spec.number_columns)
    counts, sums, largest = np.zeros((3, len(numbers)))
    for values in _finite(train.rows, numbers):
        counts += (~np.isnan(values)).sum(axis=0)
        sums += np.nansum(values, axis=0)
        largest = np.fmax(largest, np.fmax.reduce(np.abs(values), axis=0))
    means, squares = sums / np.maximum(counts, 1), np.zeros(len(numbers))
    for values in _finite(train.rows, numbers):
        squares += np.nansum((values - means) ** 2, axis=0)
    deviations = np.sqrt(squares / np.maximum(counts, 1))
    return tuple(
        Column(
            name_of(train.columns, index),
            float(means[place]),
            float(deviations[place]),
            float(largest[place]),
            len(train.rows) - int(counts[place]),
        )
        for place, index in enumerate(numbers)
    )


def _finite(rows: NDArray[np.float32], columns: list[int]) -> Iterator[NDArray[np.float64]]:
    """Yield columns some rows at a time, NaN where a value is not finite."""
    for block in blocks(rows):
        values = block[:, columns].astype(np.float64)
        values[~np.isfinite(values)] = np.nan
        yield values


def name_of(columns: Sequence[str], index: int) -> str:
    """Return a column's name.

    >>> name_of(("speed", "lane"), 1), name_of((), 1)
    ('lane', 'column 1')
    """
    return columns[index] if len(columns) else f"column {index}"
