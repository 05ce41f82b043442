"""The table that a configuration names, and its parts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate import tables, tasks
from tidegate.data import splits
from tidegate.data.check import Parts
from tidegate.schema import Schema
from tidegate.spec import TaskSpec
from tidegate.tables import EventTable
from tidegate.train.config import SplitConfig, TrainConfig

__all__ = ["Prepared", "for_check", "named", "prepare", "read", "split"]


def read(config: TrainConfig) -> EventTable:
    """Read the events of a configuration; errors are those of `tables.read`."""
    return tables.read(Path(config.data.events), **named(config))


def named(config: TrainConfig) -> dict[str, Any]:
    """Return what the columns of a configuration are called, as `tables.read` takes it."""
    return {
        "session": config.data.session,
        "fields": {name: field.kind for name, field in config.schema.fields.items()},
        "time": config.data.time,
        "label": config.data.label,
    }


def split(
    table: EventTable, config: SplitConfig
) -> tuple[EventTable, EventTable, EventTable | None]:
    """Return the training, the validation and, if there is one, the test part."""
    if config.by == "session":
        parts = splits.by_session(table, config.fractions, config.seed)
    elif config.by == "cut":
        parts = splits.by_cut(table, until=config.starts)
    else:
        parts = splits.by_time(table, until=config.starts)
    train, valid, *test = parts
    return train, valid, test[0] if test else None


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a configuration trains on.

    Parameters
    ----------
    train, valid : EventTable
        What is learned from, and what decides.
    test : EventTable, optional
        What is measured once, at the end.
    schema : Schema
        Fitted on the training part.
    task : TaskSpec
        Fitted on it, too.
    notes : tuple of str
        What the reader of the table has to say.
    """

    train: EventTable
    valid: EventTable
    test: EventTable | None
    schema: Schema
    task: TaskSpec
    notes: tuple[str, ...] = ()


def prepare(config: TrainConfig) -> Prepared:
    """Read and split the events of a configuration, and fit schema and task on its training part.

    Raises
    ------
    InputError
        From the table, the split, the schema or the task.
    """
    table = read(config)
    train, valid, test = split(table, config.split)
    with tables.naming_rows(train.source_rows):
        schema = Schema.fit(config.schema, train.columns, train.times, train.offsets)
    task = tasks.fit(config.task, config.data.label, train, schema)
    return Prepared(train, valid, test, schema, task, tuple(table.notes))


def for_check(config: TrainConfig) -> Parts:
    """Return what `data.check.examine` looks at.

    The classes are those of all parts, so that one which training never saw is found and not
    refused; the schema is fitted on the training part, as `run` does it.

    Raises
    ------
    InputError
        From the table, the split, the schema or the labels.
    """
    table = read(config)
    train, valid, test = split(table, config.split)
    with tables.naming_rows(train.source_rows):
        schema = Schema.fit(config.schema, train.columns, train.times, train.offsets)
    task = tasks.fit(config.task, config.data.label, table, schema)
    starts = config.split.starts if config.split.by == "time" else ()
    return Parts.of(train, valid, test, schema=schema, task=task, starts=starts)
