"""Labels: from a table's column to the numbers that losses and metrics read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegate.answers.events import Events
from tidegate.answers.weights import ClassWeight, class_weights, listed
from tidegate.errors import InputError
from tidegate.spec import TaskSpec

__all__ = ["Labelled", "encode_labels", "fit_task", "session_labels", "table_labels", "task_labels"]


Labelled = Literal["classify", "regress", "tag"]
"""Tasks with a label column."""


def fit_task(
    name: Labelled,
    label: str,
    per: Literal["event", "session"],
    labels: NDArray[Any],
    *,
    classes: Sequence[str] = (),
    class_weight: ClassWeight | None = None,
    calibrate: bool = False,
) -> TaskSpec:
    """Learn from training labels what is needed to word answers.

    Parameters
    ----------
    name : {"classify", "regress", "tag"}
        The task.
    label : str
        Name of the label column.
    per : {"event", "session"}
        Whether each event or each session has a label.
    labels : array (events,)
        Training labels: float64 with NaN, or objects of str with None, where there is none. As
        classes, numbers must be whole, and are named without a decimal point (``"0"``, ``"1"``).
    classes : sequence of str
        ``classify`` and ``tag``: the classes in the order wanted, for example to make one of two
        the second, whose probability is the score. By default those that occur, sorted.
    class_weight : "balanced" or mapping of str to float, optional
        ``classify``: how much each class weighs in the loss; see `class_weights`.
    calibrate : bool
        ``classify``: whether training ends with the head scaled to probabilities that suit the
        validation part.

    Returns
    -------
    TaskSpec
        With the classes, or with the mean and standard deviation of the target.

    Raises
    ------
    InputError
        ``no_labels``; ``one_class``; ``repeated_class``; ``unknown_class`` (one that `classes`
        lacks); ``wrong_type`` or ``not_finite`` for a label that does not fit the task;
        ``out_of_range``: numbers too large; ``bad_config``: one tag a session; from
        `class_weights`.

    Examples
    --------
    >>> fit_task("classify", "fraud", "event", np.array([0.0, 1.0, np.nan])).classes
    ('0', '1')
    >>> fit_task("regress", "delay", "event", np.array([1.0, 3.0, np.nan])).target_mean
    2.0
    """
    if name == "regress":
        values = _numbers(label, labels)
        values = values[~np.isnan(values)]
        if len(values) == 0:
            raise _no_labels(label)
        with np.errstate(over="ignore"):
            mean, spread = float(values.mean()), float(values.std())
        if not (math.isfinite(mean) and math.isfinite(spread)):
            raise InputError(
                "out_of_range",
                f"the labels reach {np.abs(values).max():.3g}: their spread is no float64",
                field=label,
                hint="give them in a larger unit",
            )
        return TaskSpec(
            "regress",
            label,
            per,
            target_mean=mean,
            # Equal values leave nothing to scale by.
            target_scale=spread or 1.0,
        )
    if name == "tag" and per == "session":
        raise InputError(
            "bad_config",
            "tag labels each event, not each session",
            field="task.per",
            hint='leave it out, or use name = "classify"',
        )
    names = _class_names(label, labels)
    occurring = sorted({n for n in names if n is not None}, key=_class_order)
    if not occurring:
        raise _no_labels(label)
    task = TaskSpec(name, label, per, classes=tuple(classes or occurring))
    if len(set(task.classes)) < len(task.classes):
        raise InputError(
            "repeated_class",
            f"{_first_repeated(task.classes)!r} is named twice",
            field=label,
            hint="name each class once",
        )
    if len(task.classes) < 2:
        raise InputError(
            "one_class",
            f"every label is {task.classes[0]!r}",
            field=label,
            hint="train with labels of two classes or more",
        )
    encoded = encode_labels(task, labels)
    weights = () if class_weight is None else class_weights(task.classes, encoded, class_weight)
    temperature = 1.0 if calibrate else None
    return msgspec.structs.replace(task, class_weights=weights, temperature=temperature)


def encode_labels(task: TaskSpec, labels: NDArray[Any]) -> NDArray[np.float64]:
    """Turn a label column into numbers.

    Parameters
    ----------
    task : TaskSpec
        From `fit_task`.
    labels : array (events,)
        As in `fit_task`.

    Returns
    -------
    float64 array (events,)
        ``classify``: the index of the class; ``regress``: the value. NaN where there is no label.

    Raises
    ------
    InputError
        ``unknown_class``, ``wrong_type`` or ``not_finite``, naming the first row.

    Examples
    --------
    >>> task = TaskSpec("classify", "outcome", classes=("on_time", "late"))
    >>> encode_labels(task, np.array(["late", None, "on_time"], dtype=object))
    array([ 1., nan,  0.])
    """
    if task.name == "regress":
        return _numbers(task.label, labels)
    index: dict[str | None, float] = {name: float(i) for i, name in enumerate(task.classes)}
    index[None] = np.nan
    names = _class_names(task.label, labels)
    try:
        return np.array([index[name] for name in names], dtype=np.float64)
    except KeyError:
        row = next(i for i, name in enumerate(names) if name not in index)
        raise InputError(
            "unknown_class",
            f"{names[row]!r} is not among {listed(task.classes)}",
            field=task.label,
            hint="train with every class, or leave the label of such rows empty",
            row=row,
        ) from None


def session_labels(labels: NDArray[Any], offsets: NDArray[np.int64]) -> NDArray[Any]:
    """Keep the label of each session's last event, for tasks with one label a session.

    Parameters
    ----------
    labels : array (events,)
        As in `fit_task`.
    offsets : int64 array (sessions + 1,)
        Session i is events ``offsets[i]:offsets[i + 1]``.

    Returns
    -------
    array (events,)
        None, of names, or NaN everywhere but at last events.

    Examples
    --------
    >>> session_labels(np.array([1.0, 1.0, 0.0]), np.array([0, 2, 3]))
    array([nan,  1.,  0.])
    >>> session_labels(np.array(["early", "late"], dtype=object), np.array([0, 2]))
    array([None, 'late'], dtype=object)
    """
    last = offsets[1:][np.diff(offsets) > 0] - 1
    if labels.dtype == object:
        kept = np.full(len(labels), None, dtype=object)
    else:
        kept = np.full(len(labels), np.nan)
    kept[last] = labels[last]
    return kept


def task_labels(
    task: TaskSpec, labels: NDArray[Any], offsets: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Turn a table's label column into the numbers that a task is measured on.

    Parameters
    ----------
    task : TaskSpec
        From `fit_task`.
    labels : array (events,)
        As in `fit_task`. Where the task has one label a session, those of earlier events may be
        anything.
    offsets : int64 array (sessions + 1,)
        Session i is events ``offsets[i]:offsets[i + 1]``.

    Returns
    -------
    float64 array (events,)
        As from `encode_labels`; of a task with one label a session, NaN but at last events.

    Raises
    ------
    InputError
        As `encode_labels`.

    Examples
    --------
    >>> task = TaskSpec("classify", "outcome", "session", classes=("kept", "sold"))
    >>> task_labels(task, np.array(["open", "sold"], dtype=object), np.array([0, 2]))
    array([nan,  1.])
    """
    counted = session_labels(labels, offsets) if task.per == "session" else labels
    return encode_labels(task, counted)


def table_labels(task: TaskSpec, events: Events) -> NDArray[np.float64]:
    """Return `task_labels` of a table.

    Raises
    ------
    InputError
        ``no_labels``: it was read without a label column; else as `task_labels`.
    """
    if events.labels is None:
        raise InputError(
            "no_labels",
            "the table has no labels",
            field=task.label,
            hint="name the label column when the table is read",
        )
    return task_labels(task, events.labels, events.offsets)


def _first_repeated(names: Sequence[str]) -> str:
    return next(name for at, name in enumerate(names) if name in names[:at])


def _numbers(label: str, labels: NDArray[Any]) -> NDArray[np.float64]:
    if labels.dtype == object:
        row = next((i for i, value in enumerate(labels) if value is not None), None)
        if row is not None:
            raise InputError(
                "wrong_type",
                f"{labels[row]!r} is not a number",
                field=label,
                hint="regress takes a column of numbers; classify takes names",
                row=row,
            )
        return np.full(len(labels), np.nan)
    values = labels.astype(np.float64)
    if np.isinf(values).any():
        row = int(np.flatnonzero(np.isinf(values))[0])
        raise InputError(
            "not_finite",
            f"{values[row]} is not a finite number",
            field=label,
            hint="leave the label of such rows empty",
            row=row,
        )
    return values


def _class_names(label: str, labels: NDArray[Any]) -> list[str | None]:
    if labels.dtype == object:
        return labels.tolist()  # type: ignore[no-any-return]
    values = _numbers(label, labels)
    broken = ~np.isnan(values) & (values != np.floor(values))
    if broken.any():
        row = int(np.flatnonzero(broken)[0])
        raise InputError(
            "wrong_type",
            f"{values[row]} is not the name of a class",
            field=label,
            hint="classify takes text or whole numbers; regress takes any number",
            row=row,
        )
    return [None if np.isnan(value) else str(int(value)) for value in values.tolist()]


def _class_order(name: str) -> tuple[bool, float, str]:
    """Sort whole numbers as numbers, before all other names."""
    digits = name.removeprefix("-")
    is_number = digits.isdecimal() and digits.isascii()
    return (not is_number, float(name) if is_number else 0.0, name)


def _no_labels(label: str) -> InputError:
    return InputError(
        "no_labels",
        "no event of the training part has a label",
        field=label,
        hint="name the label column, and see that the training part has values in it",
    )
