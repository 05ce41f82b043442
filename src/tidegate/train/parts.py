"""The table that a configuration names, and its parts."""

from __future__ import annotations

from pathlib import Path

from tidegate import answers, tables
from tidegate.data import splits
from tidegate.data.check import Parts
from tidegate.schema import Schema
from tidegate.tables import EventTable
from tidegate.train.config import SplitConfig, TrainConfig
from tidegate.train.trained import raw_labels

__all__ = ["for_check", "read", "split"]


def read(config: TrainConfig) -> EventTable:
    """Read the events of a configuration; errors are those of `tables.read`."""
    return tables.read(
        Path(config.data.events),
        session=config.data.session,
        fields={name: field.kind for name, field in config.schema.fields.items()},
        time=config.data.time,
        label=config.data.label,
    )


def split(
    table: EventTable, config: SplitConfig
) -> tuple[EventTable, EventTable, EventTable | None]:
    """Return the training, the validation and, if there is one, the test part."""
    if config.by == "session":
        parts = splits.by_session(table, config.fractions, config.seed)
    else:
        parts = splits.by_time(table, until=config.starts)
    train, valid, *test = parts
    return train, valid, test[0] if test else None


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
    label, per, classes = config.data.label, config.task.per, config.task.classes
    labels = raw_labels(table, label)
    if per == "session":
        labels = answers.session_labels(labels, table.offsets)
    with tables.naming_rows(table.source_rows):
        task = answers.fit_task(config.task.name, label, per, labels, classes=classes)
    train, valid, test = split(table, config.split)
    with tables.naming_rows(train.source_rows):
        schema = Schema.fit(config.schema, train.columns, train.times, train.offsets)
    starts = config.split.starts if config.split.by == "time" else ()
    return Parts.of(train, valid, test, schema=schema, task=task, starts=starts)
