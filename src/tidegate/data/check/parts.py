"""What a check looks at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tidegate import answers
from tidegate.errors import InputError
from tidegate.schema import Schema
from tidegate.spec import LABELLED, TaskSpec
from tidegate.tables import EventTable, naming_rows

__all__ = ["Parts"]


@dataclass(frozen=True)
class Parts:
    """The parts of a split, with what a model would be told of them.

    Parameters
    ----------
    tables : dict of str to EventTable
        ``training``, ``validation`` and, if there is one, ``test``, with labels.
    schema : Schema
        Fitted on the training part.
    task : TaskSpec
        With the classes of all parts.
    starts : tuple of float
        Of a split by time: where the validation and the test part begin, in unix seconds.
    """

    tables: dict[str, EventTable]
    schema: Schema
    task: TaskSpec
    starts: tuple[float, ...] = ()

    @classmethod
    def of(
        cls,
        train: EventTable,
        valid: EventTable,
        test: EventTable | None = None,
        *,
        schema: Schema,
        task: TaskSpec,
        starts: tuple[float, ...] = (),
    ) -> Parts:
        """Name the parts."""
        tables = {"training": train, "validation": valid}
        return cls(tables if test is None else {**tables, "test": test}, schema, task, starts)

    @property
    def train(self) -> EventTable:
        """The training part."""
        return self.tables["training"]

    @cached_property
    def labels(self) -> dict[str, NDArray[np.float64]]:
        """Of each part, an encoded label an event, NaN: none; empty for a task that learns none.

        Raises
        ------
        InputError
            ``no_labels``: a table was read without; from `answers.task_labels`.
        """
        found: dict[str, NDArray[np.float64]] = {}
        if self.task.name not in LABELLED:
            return found
        for name, table in self.tables.items():
            if table.labels is None:
                raise InputError(
                    "no_labels",
                    f"the {name} part was read without labels",
                    field=self.task.label,
                    hint="name the label column when the table is read",
                )
            with naming_rows(table.source_rows):
                found[name] = answers.task_labels(self.task, table.labels, table.offsets)
        return found

    @cached_property
    def sessions(self) -> NDArray[np.int64]:
        """The number of each training event's session, (events,)."""
        return np.repeat(np.arange(len(self.train.sessions)), self.train.lengths)

    def field(self, name: str) -> NDArray[np.float64]:
        """Return a field of the training part, a category's values numbered; NaN: missing."""
        column = self.train.columns[name]
        if column.dtype != object:
            return column.astype(np.float64)
        numbers: dict[str | None, float] = {}
        for value in column.tolist():
            if value is not None:
                numbers.setdefault(value, float(len(numbers)))
        numbers[None] = np.nan
        return np.array([numbers[value] for value in column.tolist()], dtype=np.float64)
