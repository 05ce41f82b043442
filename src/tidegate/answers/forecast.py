"""Answers that say what comes next, some events ahead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegate import core
from tidegate.answers.ahead import Track
from tidegate.answers.columns import Column
from tidegate.answers.events import Events
from tidegate.answers.words import NUMBER, closed
from tidegate.errors import InputError
from tidegate.spec import ForecastSpec, TaskSpec

if TYPE_CHECKING:
    from tidegate.schema import Schema

__all__ = ["Forecast"]

_MOST = 700.0
"""Above, exp leaves the range of float64."""

_EACH = ("mae", "mse")
"""What is also told of single horizons."""

Floats = NDArray[np.float64]


class Forecast:
    """Words outputs as ``{"forecast": [12.3, ...]}``: one value a horizon, in the field's unit.

    With intervals, ``low`` and ``high`` stand beside it; with quantiles, ``quantiles`` has a list
    for each, and the forecast is the median. Quantiles that cross are sorted.

    Parameters
    ----------
    task : TaskSpec
        With its `forecast`.

    Examples
    --------
    >>> spec = ForecastSpec((1, 2), coverage=0.9, margins=(0.5, 1.0))
    >>> task = TaskSpec("forecast", "y", target_mean=10.0, target_scale=2.0, forecast=spec)
    >>> Forecast(task).answer(np.array([[0.0, 1.0]], dtype=np.float32))
    [{'forecast': [10.0, 12.0], 'low': [9.0, 10.0], 'high': [11.0, 14.0]}]
    """

    def __init__(self, task: TaskSpec) -> None:
        assert task.forecast is not None
        self._task = task
        self._spec: ForecastSpec = task.forecast
        self._many = len(self._spec.quantiles)
        self._middle = self._spec.quantiles.index(0.5) if self._many else 0
        self._margins = np.array(self._spec.margins) if self._spec.margins else None

    def answer(self, outputs: NDArray[np.float32]) -> list[dict[str, Any]]:
        """Return the forecast, and the interval and quantiles where there are any."""
        words: dict[str, Any] = {name: each.tolist() for name, each in self.lines(outputs).items()}
        if self._many:
            every = self._values(self._sorted(outputs), self._task.target_mean)
            names = [f"{share:g}" for share in self._spec.quantiles]
            words["quantiles"] = [
                dict(zip(names, event.T.tolist(), strict=True)) for event in every
            ]
        return [dict(zip(words, each, strict=True)) for each in zip(*words.values(), strict=True)]

    def columns(self, outputs: NDArray[np.float32]) -> dict[str, Column]:
        """Return ``forecast_1``, and ``low_1`` and ``high_1``, and so on for every horizon.

        With quantiles also ``quantile_0.1_1`` and so on.
        """
        lines = self.lines(outputs)
        if self._many:
            every = self._values(self._sorted(outputs), self._task.target_mean)
            for at, share in enumerate(self._spec.quantiles):
                lines[f"quantile_{share:g}"] = every[..., at]
        return {
            f"{name}_{horizon}": np.ascontiguousarray(each[:, at])
            for name, each in lines.items()
            for at, horizon in enumerate(self._spec.horizons)
        }

    def json(self, version: str) -> core.AnswerWords | None:
        """Return what words answers in C; None where values are sorted, or logarithms undone."""
        if self._many or self._spec.log:
            return None
        pieces: list[Any] = []
        for name, shifts in self._shifts().items():
            for at, shift in enumerate(shifts.tolist()):
                before = "," if at else f'{"]," if pieces else "{"}"{name}":['
                pieces.append(("number", before, at, self._task.target_scale, shift))
        words = msgspec.json.encode(version).decode()
        return core.AnswerWords.template(words, len(self._spec.horizons), pieces, "]}")

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of an answer."""
        size = len(self._spec.horizons)
        several: dict[str, Any] = {
            "type": "array",
            "items": NUMBER,
            "minItems": size,
            "maxItems": size,
        }
        ahead = ", ".join(map(str, self._spec.horizons)) if size <= 8 else f"{size} horizons"
        said = f"{self._task.label}, events ahead: {ahead}."
        members: dict[str, Any] = {"forecast": {**several, "description": said}}
        if self._margins is not None:
            share = f"{self._spec.coverage:.0%} of what comes is to lie above low and below high."
            members |= {"low": {**several, "description": share}, "high": several}
        if self._many:
            shares = {f"{share:g}": several for share in self._spec.quantiles}
            members["quantiles"] = closed(shares)
        return closed(members)

    @property
    def summary(self) -> str:
        """What the model does."""
        first, last = self._spec.horizons[0], self._spec.horizons[-1]
        ahead = f"{first}" if first == last else f"{first} to {last}"
        return f"forecasts {self._task.label!r} {ahead} events ahead"

    def truth(self, events: Events, schema: Schema) -> Floats:  # noqa: ARG002
        """Return the value, the row, the number of the session, the value again, (events, 4).

        What comes later is in the later rows: (events, horizons) would be the same numbers many
        times over. Values before the table's `counts_from` are NaN, but for the last column's, from
        which the naive forecasts are made. Of some of the rows, `metrics` measures those forecasts
        whose truth is among them.

        Raises
        ------
        InputError
            ``missing_field``: the table lacks the field.
        """
        column = events.columns.get(self._task.label)
        if column is None or column.dtype == object:
            raise InputError(
                "missing_field",
                "the table has no such numbers",
                field=self._task.label,
                hint="a forecast is measured against the field that it is about",
            )
        values = past = column.astype(np.float64)
        if events.counts_from is not None:
            values = np.where(events.times < events.counts_from, np.nan, past)
        return Track.of(values, events.offsets, past).truth()

    def metrics(
        self,
        outputs: NDArray[np.float32],
        truth: Floats,
        offsets: NDArray[np.int64] | None = None,  # noqa: ARG002 - the truth knows
    ) -> dict[str, float]:
        """Measure over all horizons, and over the first and the last of several.

        ``n`` (values that were forecast and came), ``mae``, ``mse`` and ``rmse`` in the field's
        unit, ``smape`` (0 to 2), ``mase`` (mae over the naive error of training), ``coverage`` and
        ``width`` of the intervals, ``pinball`` of quantiles; ``mae_last`` and ``mae_seasonal``, of
        the last value and of that of a season ago, where those are known.
        """
        first, last = self._spec.horizons[0], self._spec.horizons[-1]
        totals: dict[str, float] = {}
        counts: dict[str, int] = {}
        found: dict[str, float] = {}
        for horizon, errors in self._errors(outputs, Track.from_truth(truth)):
            for name, each in errors.items():
                totals[name] = totals.get(name, 0.0) + float(each.sum())
                counts[name] = counts.get(name, 0) + len(each)
            if first != last and horizon in (first, last) and len(errors["mae"]):
                found |= {f"{name}_{horizon}": float(errors[name].mean()) for name in _EACH}
        if not counts["mae"]:
            return {"n": 0}
        means = {name: totals[name] / count for name, count in counts.items() if count}
        means["rmse"] = float(np.sqrt(means["mse"]))
        if self._spec.naive_error > 0:
            means["mase"] = means["mae"] / self._spec.naive_error
        return {"n": counts["mae"], **means, **found}

    def by_horizon(
        self, outputs: NDArray[np.float32], truth: Floats
    ) -> dict[int, dict[str, float]]:
        """Return the means of `metrics` for each horizon that has truths, by events ahead.

        Parameters
        ----------
        outputs : float32 array (events, output_size)
            Outputs of the head.
        truth : float64 array (events, 4)
            From `truth`.
        """
        return {
            horizon: {name: float(each.mean()) for name, each in errors.items() if len(each)}
            for horizon, errors in self._errors(outputs, Track.from_truth(truth))
            if len(errors["mae"])
        }

    def scores(self, outputs: NDArray[np.float32]) -> Floats:
        """Return the forecast of the nearest horizon."""
        return self.lines(outputs, slice(1))["forecast"][:, 0]

    def lines(
        self, outputs: NDArray[np.float32], horizons: slice = slice(None)
    ) -> dict[str, Floats]:
        """Return ``forecast`` and, with intervals, ``low`` and ``high``.

        Parameters
        ----------
        outputs : float32 array (events, output_size)
            Outputs of the head.
        horizons : slice
            Which of them; all by default.

        Returns
        -------
        dict of str to float64 array (events, horizons)
            In the field's unit.
        """
        ordered = self._sorted(outputs, horizons)
        quantile = {"forecast": self._middle, "low": 0, "high": -1}
        return {
            name: self._values(ordered[..., quantile[name]], shifts[horizons])
            for name, shifts in self._shifts().items()
        }

    def excess(self, outputs: NDArray[np.float32], truth: Floats, at: int) -> Floats:
        """Return how far truths lie outside of the forecast, or of its outer quantiles.

        Parameters
        ----------
        outputs : float32 array (events, output_size)
            Outputs of the head.
        truth : float64 array (events, 4)
            From `truth`.
        at : int
            Which horizon.

        Returns
        -------
        float64 array (n,)
            Of the truths that are known, in units of the outputs; below 0 within quantiles.
        """
        later = Track.from_truth(truth).ahead(self._spec.horizons[at])
        known = ~np.isnan(later)
        there = self.encode(later[known])
        ordered = self._sorted(outputs[known], slice(at, at + 1))[:, 0]
        return np.maximum(ordered[:, 0] - there, there - ordered[:, -1])

    def encode(self, values: Floats) -> Floats:
        """Return values in units of the outputs."""
        plain = np.copysign(core.log1p(np.abs(values)), values) if self._spec.log else values
        return np.asarray((plain - self._task.target_mean) / self._task.target_scale)

    def _shifts(self) -> dict[str, Floats]:
        """Return what is added to scaled outputs, (horizons,), of each line of an answer."""
        middle = np.full(len(self._spec.horizons), self._task.target_mean)
        if self._margins is None:
            return {"forecast": middle}
        away = self._margins * self._task.target_scale
        return {"forecast": middle, "low": middle - away, "high": middle + away}

    def _values(self, outputs: Floats, shifts: Floats | float) -> Floats:
        values = np.asarray(outputs * self._task.target_scale + shifts)
        if not self._spec.log:
            return values
        size = core.exp(np.minimum(np.abs(values), _MOST).ravel()).reshape(values.shape) - 1.0
        return np.copysign(size, values)

    def _sorted(self, outputs: NDArray[np.float32], horizons: slice = slice(None)) -> Floats:
        """Return outputs as (events, horizons, quantiles), rising in the last."""
        shape = (len(outputs), len(self._spec.horizons), max(1, self._many))
        return np.sort(outputs.reshape(shape)[:, horizons].astype(np.float64), axis=-1)

    def _errors(
        self, outputs: NDArray[np.float32], track: Track
    ) -> Iterator[tuple[int, dict[str, Floats]]]:
        """Yield what is measured of each horizon: one number a truth that is known."""
        for at, horizon in enumerate(self._spec.horizons):
            one, later = slice(at, at + 1), track.ahead(horizon)
            known = ~np.isnan(later)
            right = later[known]
            lines = {name: each[:, 0] for name, each in self.lines(outputs[known], one).items()}
            found = _point_errors(lines["forecast"], right)
            if self._many:
                found["pinball"] = self._pinball(outputs[known], right, one)
            if "low" in lines:
                inside = (lines["low"] <= right) & (right <= lines["high"])
                found["coverage"] = inside.astype(np.float64)
                found["width"] = lines["high"] - lines["low"]
            for name, season in {"mae_last": 1, "mae_seasonal": self._spec.season}.items():
                naive = np.abs(track.seasonal(horizon, season)[known] - right)
                found[name] = naive[~np.isnan(naive)]
            yield horizon, found

    def _pinball(self, outputs: NDArray[np.float32], right: Floats, one: slice) -> Floats:
        """Return the mean pinball loss of all quantiles, (events,)."""
        quantiles = self._values(self._sorted(outputs, one)[:, 0], self._task.target_mean)
        over = right[:, None] - quantiles
        shares = np.array(self._spec.quantiles)
        return np.asarray(np.maximum(shares * over, (shares - 1) * over).mean(axis=1))


def _point_errors(forecast: Floats, right: Floats) -> dict[str, Floats]:
    errors, sizes = np.abs(forecast - right), np.abs(forecast) + np.abs(right)
    smape = np.divide(2 * errors, sizes, out=np.zeros_like(errors), where=sizes > 0)
    return {"mae": errors, "mse": errors**2, "smape": smape}
