"""Tasks: the workshop's half of what a model is for.

A task says which numbers the network learns (`targets`), how wrong it is (`loss`) and which metric
of its answer half tells when to stop. The answer half is in `tidegate.answers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from tidegate.errors import InputError
from tidegate.schema import Schema
from tidegate.spec import TaskSpec
from tidegate.tables import EventTable, naming_rows
from tidegate.tasks import anomaly, forecast, labelled, language, next_item
from tidegate.tasks.anomaly import Anomaly
from tidegate.tasks.base import Task
from tidegate.tasks.classify import Classify
from tidegate.tasks.config import ForecastConfig, TaskConfig
from tidegate.tasks.forecast import Forecast
from tidegate.tasks.language import Language
from tidegate.tasks.next_item import NextItem
from tidegate.tasks.regress import Regress
from tidegate.tasks.tag import Tag

__all__ = ["ForecastConfig", "Task", "TaskConfig", "fit", "open"]


class _Fit(Protocol):
    def __call__(
        self, config: TaskConfig, label: str | None, table: EventTable, schema: Schema
    ) -> TaskSpec:
        """Learn from the training part what is needed to word answers."""


_HALVES: Mapping[str, type[Task]] = {
    "classify": Classify,
    "forecast": Forecast,
    "regress": Regress,
    "anomaly": Anomaly,
    "next_item": NextItem,
    "tag": Tag,
    "language": Language,
}
_FITS: Mapping[str, _Fit] = {
    "classify": labelled.fit,
    "forecast": forecast.fit,
    "regress": labelled.fit,
    "anomaly": anomaly.fit,
    "next_item": next_item.fit,
    "tag": labelled.fit,
    "language": language.fit,
}


def open(spec: TaskSpec) -> Task:  # noqa: A001 - read as tasks.open(spec)
    """Return the training half of a task.

    Raises
    ------
    InputError
        ``unknown_task``: this version has no such task.
    """
    return _HALVES[_checked(spec.name)](spec)


def fit(config: TaskConfig, label: str | None, table: EventTable, schema: Schema) -> TaskSpec:
    """Learn from the training part what is needed to word answers.

    Parameters
    ----------
    config : TaskConfig
        What is wanted.
    label : str, optional
        The label column, of a task that has one.
    table : EventTable
        The training part.
    schema : Schema
        Fitted on it.

    Raises
    ------
    InputError
        ``unknown_task``; ``no_labels`` and what else the labels or the field lack.
    """
    with naming_rows(table.source_rows):
        return _FITS[_checked(config.name)](config, label, table, schema)


def _checked(name: str) -> str:
    if name not in _HALVES:
        raise InputError(
            "unknown_task",
            f"{name!r} is no task of this version",
            field="task.name",
            hint=f"use one of {', '.join(_HALVES)}",
        )
    return name
