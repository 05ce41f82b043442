"""What a training run was given, in a few numbers: for whoever reads its history afterwards."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

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
    return tuple(
        _column(name_of(train.columns, index), train.rows[:, index])
        for index in spec.number_columns
    )


def name_of(columns: Sequence[str], index: int) -> str:
    """Return a column's name.

    >>> name_of(("speed", "lane"), 1), name_of((), 1)
    ('lane', 'column 1')
    """
    return columns[index] if len(columns) else f"column {index}"


def _column(name: str, values: NDArray[np.float32]) -> Column:
    """Measure a column.

    >>> _column("speed", np.array([3, -5, np.inf], np.float32))
    Column(name='speed', mean=-1.0, deviation=4.0, largest=5.0, not_finite=1)
    """
    finite = values[np.isfinite(values)].astype(np.float64)
    missing = len(values) - len(finite)
    if len(finite) == 0:
        return Column(name, 0.0, 0.0, 0.0, missing)
    largest = float(np.abs(finite).max())
    return Column(name, float(finite.mean()), float(finite.std()), largest, missing)
