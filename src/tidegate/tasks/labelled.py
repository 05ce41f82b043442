"""Tasks that learn from a label column."""

from __future__ import annotations

from typing import cast

from tidegate import answers
from tidegate.errors import InputError
from tidegate.schema import Schema
from tidegate.spec import TaskSpec
from tidegate.tables import EventTable
from tidegate.tasks.config import TaskConfig

__all__ = ["fit"]


def fit(
    config: TaskConfig,
    label: str | None,
    table: EventTable,
    schema: Schema,  # noqa: ARG001
) -> TaskSpec:
    """Learn classes, or mean and deviation, from the labels that count; see `answers.fit_task`.

    Raises
    ------
    InputError
        ``no_labels``: the table was read without; else from `answers.fit_task`.
    """
    labels = table.labels
    if label is None or labels is None:
        raise InputError(
            "no_labels",
            "the table has no labels",
            field=label,
            hint="name the label column when the table is read",
        )
    if config.per == "session":
        labels = answers.session_labels(labels, table.offsets)
    name = cast("answers.Labelled", config.name)
    return answers.fit_task(
        name,
        label,
        config.per,
        labels,
        classes=config.classes,
        class_weight=config.class_weight,
        calibrate=config.calibrate,
    )
