"""Learn what comes next, to tell what was not to be expected."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.answers import anomaly as answers
from tidegate.data.targets import Targets
from tidegate.errors import InputError
from tidegate.nn import Network
from tidegate.nn.readout import nats
from tidegate.schema import Schema
from tidegate.spec import LOG_SCALES, AnomalySpec, SurprisePart, TaskSpec
from tidegate.tables import EventTable
from tidegate.tasks.base import Task
from tidegate.tasks.config import AnomalyConfig, TaskConfig

__all__ = ["Anomaly", "fit"]


def fit(
    config: TaskConfig,
    label: str | None,
    table: EventTable,
    schema: Schema,
) -> TaskSpec:
    """Choose what is predicted of an event: numbers as Gaussians, booleans and categories as such.

    Labels, where there are any, are of use for measuring; what is labelled an anomaly is not
    learned from. A number that is the same in the whole training part is not predicted: how far it
    may go from there cannot be learned, and its density would have no bound.

    Raises
    ------
    InputError
        ``bad_config``: a field that is none or is constant in a session, or a task of sessions;
        ``constant_series``: a number that never changes is asked for, or there is nothing else;
        ``no_labels``: no event of the training part is ordinary; ``wrong_label``.
    """
    if config.per == "session" or config.classes:
        raise InputError(
            "bad_config",
            "anomalies are events, and have no classes",
            field="task.per" if config.per == "session" else "task.classes",
            hint="leave it out",
        )
    wanted = config.anomaly or AnomalyConfig()
    fields = _checked(wanted.fields, schema)
    still = {name for name in fields if _never_changes(name, table, schema)}
    if not wanted.fields:
        fields = tuple(name for name in fields if name not in still)
    if not fields or (wanted.fields and still):
        raise InputError(
            "constant_series",
            f"{', '.join(sorted(still))}: all values in the training part are equal",
            field="task.anomaly.fields",
            hint="leave it out: what never changed cannot be told from what is not to",
        )
    parts: list[SurprisePart] = []
    for name in fields:
        parts.append(_part(name, sum(part.size for part in parts), schema))
    spec = TaskSpec(
        "anomaly",
        label or "",
        anomaly=AnomalySpec(fields, tuple(parts), false_alarm_rate=wanted.false_alarm_rate),
    )
    if (answers.Anomaly(spec).truth(table, schema) == 1).all():
        raise InputError(
            "no_labels",
            "every event of the training part is labelled an anomaly",
            field=label,
            hint="what is ordinary is learned from events with label 0, or without one: is it the "
            "right column?",
        )
    return spec


class Anomaly(Task):
    """Minus the log likelihood of the next event's fields, in nats.

    Numbers are Gaussian with a mean and a deviation for each event, booleans and categories have a
    probability for each value. Events that are labelled anomalies are not learned from, missing
    values neither.

    Parameters
    ----------
    spec : TaskSpec
        With `anomaly`.

    Examples
    --------
    >>> from tidegate.spec import AnomalySpec, SurprisePart
    >>> parts = (SurprisePart("gaussian", 0, 0), SurprisePart("categorical", 1, 2, size=3))
    >>> task = Anomaly(TaskSpec("anomaly", "", anomaly=AnomalySpec(("heat", "mode"), parts)))
    >>> targets = task.targets(np.array([np.nan, 1.0]), np.array([[0.0, 2.0], [9.0, 1.0]]))
    >>> targets
    array([[ 0.,  2.],
           [nan, nan]], dtype=float32)
    >>> round(float(task.loss(torch.zeros(2, 5), torch.from_numpy(targets))), 4)
    2.0176
    """

    watch = "nats"

    def __init__(self, spec: TaskSpec) -> None:
        super().__init__(spec)
        assert spec.anomaly is not None
        self._anomaly = spec.anomaly

    def targets(self, truth: NDArray[np.float64], rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the columns that are predicted, (events, parts); NaN where none is learned."""
        parts = self._anomaly.parts
        targets = rows[:, [part.column for part in parts]].astype(np.float32)
        for at, part in enumerate(parts):
            if part.missing is not None:
                targets[rows[:, part.missing] == 1, at] = np.nan
        targets[truth == 1] = np.nan
        return targets

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the nats of an event, the mean over events of which something is known."""
        known = ~torch.isnan(targets)
        learned = known.any(dim=-1)
        outputs, targets, known = outputs[learned], targets[learned], known[learned]
        given = targets.nan_to_num()
        total = outputs.new_zeros(())
        for at, part in enumerate(self._anomaly.parts):
            here = msgspec.structs.replace(part, column=at, missing=None)
            total = total + nats(here, outputs, given)[known[..., at]].sum()
        return total / learned.sum().clamp(min=1)

    def constant_loss(self, targets: NDArray[np.float32] | Targets) -> float | None:
        """Return the nats of one Gaussian, and of each value's share."""
        assert isinstance(targets, np.ndarray)
        known = ~np.isnan(targets)
        total = 0.0
        for at, part in enumerate(self._anomaly.parts):
            column = targets[known[:, at], at].astype(np.float64)
            if len(column):
                of_one = _of_numbers if part.kind == "gaussian" else _of_indices
                total += len(column) * of_one(column)
        return total / max(1, int(known.any(axis=1).sum()))

    def readout(self, schema: Schema) -> dict[str, Any]:  # noqa: ARG002
        """Answer with the surprise."""
        return {"readout": "surprise", "parts": self._anomaly.parts}

    def finish(
        self,
        network: Network,  # noqa: ARG002
        outputs: NDArray[np.float32],
        truth: NDArray[np.float64],
    ) -> TaskSpec:
        """Set the threshold by the ordinary events of the validation part."""
        scores = answers.Anomaly(self.spec).scores(outputs[truth != 1])
        found = answers.threshold(scores, self._anomaly.false_alarm_rate)
        settled = msgspec.structs.replace(self._anomaly, threshold=found)
        return msgspec.structs.replace(self.spec, anomaly=settled)


def _checked(wanted: tuple[str, ...], schema: Schema) -> tuple[str, ...]:
    """Return the fields that are wanted, or all, if each can change in a session."""
    known = tuple(name for name, field in schema.config.fields.items() if not field.constant)
    for name in wanted:
        if name not in known or wanted.count(name) > 1:
            what = "is named twice" if name in known else "is no field that changes in a session"
            raise InputError(
                "bad_config",
                f"{name!r} {what}",
                field="task.anomaly.fields",
                hint=f"use some of {', '.join(known)}",
            )
    if not known:
        raise InputError(
            "bad_config",
            "no field changes in a session: there is nothing to predict",
            field="task.anomaly.fields",
            hint="give the schema a field that is not constant",
        )
    return wanted or known


def _never_changes(name: str, table: EventTable, schema: Schema) -> bool:
    """Say whether a field is a number with one value, or none, in the training part."""
    if schema.config.fields[name].kind != "numeric":
        return False
    values = table.columns[name]
    return len(np.unique(values[~np.isnan(values)])) < 2


def _part(name: str, output: int, schema: Schema) -> SurprisePart:
    """Say how a field is predicted; its outputs begin at `output`."""
    column = {each: at for at, each in enumerate(schema.columns)}
    field = schema.config.fields[name]
    missing = column.get(f"{name} missing") if field.indicator else None
    # What stands for a missing boolean may be their mean, which is no value to have a probability.
    two_values = missing is not None or field.missing in ("refuse", "zero")
    if field.kind == "numeric" or (field.kind == "boolean" and not two_values):
        return SurprisePart("gaussian", column[name], output, missing=missing)
    sizes = {category.column: category.size for category in schema.categories}
    return SurprisePart("categorical", column[name], output, sizes.get(column[name], 2), missing)


def _of_numbers(column: NDArray[np.float64]) -> float:
    """Return the nats of the best Gaussian, whose deviation is bounded as the head's is."""
    variance = float(column.var())
    log_scale = np.clip(0.5 * math.log(max(variance, 1e-300)), *LOG_SCALES)
    return float(variance / np.exp(2 * log_scale) / 2 + log_scale + 0.5 * math.log(2 * math.pi))


def _of_indices(column: NDArray[np.float64]) -> float:
    _, counts = np.unique(column, return_counts=True)
    shares = counts / counts.sum()
    return float((shares * -np.log(shares)).sum())
