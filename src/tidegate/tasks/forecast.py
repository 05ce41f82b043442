"""Learn to say what comes next, some events ahead."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import huber_loss

from tidegate import answers
from tidegate.answers.ahead import Track
from tidegate.data.targets import Targets
from tidegate.errors import InputError
from tidegate.nn import Network
from tidegate.schema import Schema
from tidegate.spec import ForecastSpec, TaskSpec
from tidegate.tables import EventTable
from tidegate.tasks.base import Task
from tidegate.tasks.config import TaskConfig

__all__ = ["Ahead", "Forecast", "fit"]


class Ahead:
    """The values some events ahead of each event, made when a batch asks for them.

    Parameters
    ----------
    values : float32 array (events,)
        NaN: unknown.
    left : int64 array (events,)
        Events that follow in the same session.
    horizons : sequence of int
        Events ahead, rising.

    Examples
    --------
    >>> ahead = Ahead(np.array([1, 2, 3], np.float32), np.array([2, 1, 0]), (1, 2))
    >>> ahead[np.array([0, 1])]
    array([[ 2.,  3.],
           [ 3., nan]], dtype=float32)
    """

    def __init__(
        self, values: NDArray[np.float32], left: NDArray[np.int64], horizons: tuple[int, ...]
    ) -> None:
        self._values, self._left = values, left
        self._horizons = np.array(horizons, dtype=np.int64)

    @property
    def shape(self) -> tuple[int, ...]:
        """Events and horizons."""
        return len(self._values), len(self._horizons)

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which events have a value at any horizon."""
        found = np.zeros(len(self._values), dtype=bool)
        there = ~np.isnan(self._values)
        for horizon in self._horizons.tolist():
            found[:-horizon] |= there[horizon:] & (self._left[:-horizon] >= horizon)
        return found

    def __getitem__(self, events: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the values ahead of some events, NaN where there are none."""
        inside = self._left[events][:, None] >= self._horizons
        at = np.where(inside, events[:, None] + self._horizons, 0)
        return np.where(inside, self._values[at], np.float32(np.nan))


class Forecast(Task):
    """A squared, absolute, Huber or pinball loss of the encoded values ahead.

    The head also reads the event's numbers (`ModelSpec.skip`), and begins as the forecast that
    nothing changes: what the layers learn is the difference to the last value, and the level of a
    series is carried past them.

    Parameters
    ----------
    spec : TaskSpec
        With its `forecast`.

    Examples
    --------
    >>> task = Forecast(TaskSpec("forecast", "y", forecast=ForecastSpec((1, 2))))
    >>> nan = torch.nan
    >>> float(task.loss(torch.tensor([[1.0, 5.0]]), torch.tensor([[3.0, nan]])))
    4.0
    """

    watch = "mae"

    def __init__(self, spec: TaskSpec) -> None:
        super().__init__(spec)
        assert spec.forecast is not None
        self._forecast: ForecastSpec = spec.forecast

    def targets(
        self,
        truth: NDArray[np.float64],
        rows: NDArray[np.float32],  # noqa: ARG002
    ) -> Ahead:
        """Return what makes the encoded values ahead of each event."""
        values = answers.Forecast(self.spec).encode(truth[:, 0]).astype(np.float32)
        return Ahead(values, Track.from_truth(truth).left, self._forecast.horizons)

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean loss of the values that came."""
        known = ~torch.isnan(targets)
        count = known.sum().clamp(min=1)
        right = targets[known]
        if self._forecast.quantiles:
            shares = outputs.new_tensor(self._forecast.quantiles)
            over = right[:, None] - outputs.reshape(*targets.shape, len(shares))[known]
            return torch.maximum(shares * over, (shares - 1) * over).sum() / count / len(shares)
        found = outputs[known]
        if self._forecast.loss == "mse":
            return (found - right).square().sum() / count
        if self._forecast.loss == "mae":
            return (found - right).abs().sum() / count
        return huber_loss(found, right, reduction="sum") / count

    def constant_loss(self, targets: NDArray[np.float32] | Targets) -> None:
        """Return nothing: a constant is no forecast to stand beside."""

    def readout(self, schema: Schema) -> dict[str, Any]:  # noqa: ARG002
        """Let the head read the row."""
        return {"skip": True}

    def furnish(self, network: Network, schema: Schema) -> None:
        """Begin with the last value as the forecast."""
        assert network.skip is not None
        column = schema.columns.index(self.spec.label)
        with torch.no_grad():
            network.head.weight.mul_(0.1)
            network.skip[:, network.spec.number_columns.index(column)] = 1.0

    def finish(
        self,
        network: Network,  # noqa: ARG002
        outputs: NDArray[np.float32],
        truth: NDArray[np.float64],
    ) -> TaskSpec:
        """Set each horizon's margin, so that intervals hold the share that is wanted.

        Of n errors on the validation part, the ``ceil((n + 1) * coverage)``-th smallest: a new one
        is at most that with a probability of `coverage` or more, if errors come as they came there
        (of fewer errors than that, the largest).

        References
        ----------
        V. Vovk, A. Gammerman, G. Shafer, "Algorithmic learning in a random world", 2005 (split
        conformal prediction). Y. Romano, E. Patterson, E. Candes, "Conformalized quantile
        regression", 2019, where there are quantiles.
        """
        share = self._forecast.coverage
        if share == 0.0:
            return self.spec
        half = answers.Forecast(self.spec)
        margins = [
            _margin(half.excess(outputs, truth, at), share, horizon)
            for at, horizon in enumerate(self._forecast.horizons)
        ]
        forecast = msgspec.structs.replace(self._forecast, margins=tuple(margins))
        return msgspec.structs.replace(self.spec, forecast=forecast)


def _margin(excess: NDArray[np.float64], share: float, horizon: int) -> float:
    if not len(excess):
        raise InputError(
            "empty_part",
            f"no series of the validation part reaches {horizon} events ahead",
            field="task.forecast.coverage",
            hint="make the validation part longer, the horizons shorter, or leave coverage out",
        )
    place = min(math.ceil((len(excess) + 1) * share), len(excess)) - 1
    return float(np.partition(excess, place)[place])


def fit(
    config: TaskConfig,
    label: str | None,  # noqa: ARG001
    table: EventTable,
    schema: Schema,
) -> TaskSpec:
    """Learn the field's scale, which is the schema's, and how wrong a naive forecast is.

    Raises
    ------
    InputError
        ``missing_key``: no field, or no horizons; ``wrong_type``: a field that holds no numbers;
        ``no_labels``: one without a value; ``too_short``: a horizon beyond every series.
    """
    wanted, name = config.forecast, config.field
    if name is None or wanted is None:
        missing = "field" if name is None else "forecast"
        raise InputError(
            "missing_key", "missing", field=f"task.{missing}", hint="a forecast needs it"
        )
    fitted = schema.fields.get(name)
    if fitted is None or fitted.config.kind != "numeric":
        numeric = [n for n, field in schema.fields.items() if field.config.kind == "numeric"]
        raise InputError(
            "wrong_type",
            f"{name!r} is no numeric field",
            field="task.field",
            hint=f"forecast one of {', '.join(numeric) or 'your numeric fields: there are none'}",
        )
    if np.isnan(table.columns[name]).all():
        raise InputError(
            "no_labels",
            "no event of the training part has a value",
            field=name,
            hint="see that the training part has values in it",
        )
    error = Track.of(table.columns[name], table.offsets).naive_error(wanted.season)
    forecast = wanted.spec(log=fitted.config.scale == "log1p", naive_error=error)
    _check_reach(table, name, forecast.horizons[-1])
    return TaskSpec(
        "forecast",
        name,
        target_mean=fitted.statistics.center,
        target_scale=fitted.statistics.spread,
        forecast=forecast,
    )


def _check_reach(table: EventTable, name: str, farthest: int) -> None:
    """Refuse a horizon that nothing could be learned of."""
    known = np.flatnonzero(~np.isnan(table.columns[name]))
    begins = table.offsets[np.searchsorted(table.offsets, known, side="right") - 1]
    reached = int((known - begins).max())
    if reached < farthest:
        raise InputError(
            "too_short",
            f"no series of the training part has a value {farthest:,} events after another event: "
            f"the farthest is {reached:,}",
            field="task.forecast.horizons",
            hint='shorten the horizons or lengthen the training part; of memory = "map", '
            "data.sample",
        )
