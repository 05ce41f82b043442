"""What an epoch's batches are: whole sessions, or chunks of lanes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tidegate.data.augment import Augmentation
from tidegate.data.batches import Batch, Batches
from tidegate.data.lanes import Lanes
from tidegate.data.truncate import Windows
from tidegate.errors import InputError
from tidegate.train.sequences import Sequences
from tidegate.train.settings import TrainSettings

__all__ = ["Plan", "make_plan"]


class Plan(Protocol):
    """`Batches` or `Lanes`: which batches an epoch has, in which order."""

    @property
    def rows(self) -> NDArray[np.float32]:
        """Encoded rows of all events."""

    @property
    def windows(self) -> Windows:
        """What an epoch takes of each session."""

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of an epoch, from 1."""

    def counts(self, epochs: int) -> list[int]:
        """Return how many batches each of the epochs from 1 on has."""


def make_plan(train: Sequences, settings: TrainSettings, columns: tuple[int, ...] = ()) -> Plan:
    """Return the plan that settings ask for, on the training part.

    Parameters
    ----------
    train : Sequences
        The training part.
    settings : TrainSettings
        How to fit.
    columns : tuple of int
        Columns of the rows that augmentation may change.

    Raises
    ------
    InputError
        ``unused_key``: augmentation of numbers, and there are none.

    Examples
    --------
    >>> rows, labels = np.ones((5, 2), np.float32), np.zeros(5)
    >>> part = Sequences(rows, np.array([0, 2, 5]), labels, labels.astype(np.float32))
    >>> make_plan(part, TrainSettings(mode="lanes", lanes=1, chunk=3)).counts(2)
    [2, 2]
    """
    rows, offsets, targets = train.rows, train.offsets, train.targets
    windows, seed = settings.windows, settings.seed
    if settings.augment.of_numbers and not columns:
        raise InputError(
            "unused_key",
            "is given, and no column is a number that it could change",
            field=f"augment.{settings.augment.of_numbers[0]}",
            hint="leave it out: booleans, categories and the hour or weekday stay as they are",
        )
    augmentation = Augmentation(settings.augment, columns, seed)
    if settings.mode == "sessions":
        return Batches(rows, offsets, targets, settings.batch_tokens, seed, windows, augmentation)
    order = seed if settings.order == "shuffled" else None
    lanes, chunk = settings.lanes, settings.chunk
    return Lanes(rows, offsets, targets, lanes, chunk, order, windows, augmentation)
