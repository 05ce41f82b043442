"""An estimator that forecasts series."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_array

from tidegate.answers import Forecast
from tidegate.errors import InputError
from tidegate.estimators import events, series
from tidegate.estimators.base import RecurrentEstimator
from tidegate.estimators.parameters import checked
from tidegate.estimators.series import Ends
from tidegate.schema import SchemaConfig
from tidegate.tables import EventTable
from tidegate.tasks import ForecastConfig

__all__ = ["RecurrentForecaster"]

Floats = NDArray[np.float64]


class RecurrentForecaster(RecurrentEstimator):
    """Says what the next values of each series will be.

    X is a long frame of series (``unique_id, ds, y``, or other names), a list of arrays, or an
    array, as of the other estimators; a sequence is a series. A frame with times is brought in step
    (`data.series.prepare`): a step without a row goes on with the last values.

    Parameters
    ----------
    horizons : int or sequence of int
        Events ahead: all from 1 to a number, or those of a sequence.
    quantiles : sequence of float
        Such as 0.1, 0.5, 0.9, with 0.5 among them.
    loss : {"mse", "mae", "huber", "pinball"}, optional
        Default: ``pinball`` with quantiles, else ``mse``.
    season : int
        Events of a season, of the naive forecast that metrics stand beside.
    coverage : float
        Share of the truths that intervals are to hold; set by the validation part. 0: there are
        no intervals.
    field : str, optional
        What is forecast: ``y`` of a frame, the first feature of arrays, which is called ``x0``.
    session, time : str
        Of a frame: the columns of series and times. Without times, the order of the rows counts.
    validation_fraction : float
        Share of the instants that comes last, and decides which epoch is best, and how wide
        intervals are.
    **shared
        As of `RecurrentEstimator`. Other fields of a frame may be given by ``schema``; without it,
        all columns are read, and go on with their last value where it is missing.

    Attributes
    ----------
    horizons_ : tuple of int
        Events ahead, in the order of the columns of `predict`.
    trained_, n_features_in_
        As of `RecurrentEstimator`.

    Examples
    --------
    >>> X = np.sin(np.arange(60) * 0.5 + np.arange(20)[:, None])  # 20 series of 60 values
    >>> model = RecurrentForecaster(horizons=3, epochs=12, random_state=0).fit(X)
    >>> model.predict(X).shape
    (20, 3)
    >>> bool(model.score(X) > -0.1)  # minus the mean absolute error
    True
    """

    def __init__(
        self,
        *,
        horizons: int | Sequence[int] = 12,
        quantiles: Sequence[float] = (),
        loss: Literal["mse", "mae", "huber", "pinball"] | None = None,
        season: int = 1,
        coverage: float = 0.9,
        field: str | None = None,
        session: str = "unique_id",
        time: str | None = "ds",
        **shared: Any,
    ) -> None:
        super().__init__(session=session, time=time, **shared)
        self.horizons = horizons
        self.quantiles = quantiles
        self.loss = loss
        self.season = season
        self.coverage = coverage
        self.field = field

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: ARG002 - scikit-learn's signature
        """Learn from series.

        Parameters
        ----------
        X : frame, list of arrays, or array
            Series.
        y : None
            Is not read: what is learned comes later in X.

        Raises
        ------
        InputError
            ``too_short``: no series is longer than the farthest horizon, after the validation part
            is taken off; ``missing_column``, ``duplicate_time``, ``mixed_step``; ``wrong_type``:
            the field holds no numbers; ``out_of_range``; from `train_model`.
        """
        names = ("horizons", "quantiles", "loss", "season", "coverage")
        wanted = checked(ForecastConfig, {name: getattr(self, name) for name in names})
        self.horizons_ = wanted.spec().horizons
        self._step: timedelta | None = None
        config, table = self._read(X, reset=True)
        framed = self._layout.kind == "frame"
        field = self.field or ("y" if framed else "x0")
        if framed:
            events.require(X, {field: "field"})
        self._learn(config, table, {"name": "forecast", "field": field, "forecast": wanted})
        return self

    def predict(self, X: Any) -> Any:
        """Return what comes after each series' last value.

        Returns
        -------
        float64 array (series, horizons)
            Of a frame: a frame of the same kind with a row for each series and horizon: the
            columns of series and time, ``horizon`` and ``y_hat``.
        """
        ends, outputs = self._at_the_ends(X)
        return self._told(X, ends, outputs, {})

    def predict_interval(self, X: Any) -> Any:
        """Return the bounds between which `coverage` of what comes is to lie.

        Returns
        -------
        float64 array (series, horizons, 2)
            The low and the high one. Of a frame: that of `predict`, with columns ``lo`` and ``hi``.

        Raises
        ------
        InputError
            ``no_intervals``: it was fitted with ``coverage = 0``.
        """
        ends, outputs = self._at_the_ends(X)
        lines = self._words.lines(outputs)
        if "low" not in lines:
            raise InputError(
                "no_intervals",
                "the model was fitted without intervals",
                field="coverage",
                hint="fit it with a share, such as coverage=0.9",
            )
        return self._told(X, ends, outputs, {"lo": lines["low"], "hi": lines["high"]})

    def predict_quantiles(self, X: Any) -> Any:
        """Return the quantiles.

        Returns
        -------
        float64 array (series, horizons, quantiles)
            Rising. Of a frame: that of `predict`, with a column for each, such as ``q0.1``.

        Raises
        ------
        InputError
            ``no_quantiles``: it was fitted without.
        """
        ends, outputs = self._at_the_ends(X)
        said = [answer.get("quantiles", {}) for answer in self._words.answer(outputs)]
        if not said[0]:
            raise InputError(
                "no_quantiles",
                "the model was fitted without quantiles",
                field="quantiles",
                hint="fit it with some, such as quantiles=(0.1, 0.5, 0.9)",
            )
        lines = {f"q{share}": np.array([each[share] for each in said]) for share in said[0]}
        return self._told(X, ends, outputs, lines)

    def score(self, X: Any, y: Any = None) -> float:  # noqa: ARG002 - scikit-learn's signature
        """Return minus the mean absolute error of the values that X ends with.

        The last values of each series, as many as the farthest horizon, are forecast from those
        before them. Higher is better; the unit is that of the field.

        Raises
        ------
        InputError
            ``too_short``: no series is longer than the farthest horizon.
        """
        table, outputs = self._run(X)
        longest = self.horizons_[-1]
        enough = table.lengths > longest
        if not enough.any():
            raise _too_short(table, longest)
        now = table.offsets[1:][enough] - 1 - longest
        forecast = self._words.lines(outputs[now])["forecast"]
        later = table.columns[self.trained_.task.label][now[:, None] + np.array(self.horizons_)]
        errors = np.abs(forecast - later)[~np.isnan(later)]
        if not len(errors):
            raise InputError(
                "no_labels",
                "the last values of all series are missing",
                field=self.trained_.task.label,
                hint="give series that end with values",
            )
        return -float(errors.mean())

    @property
    def _words(self) -> Forecast:
        half = self._half
        assert isinstance(half, Forecast)
        return half

    def _at_the_ends(self, X: Any) -> tuple[Ends, NDArray[np.float32]]:
        """Return where series end, and what is answered there, in the order of X."""
        table, outputs = self._run(X)
        order = np.argsort(events.places(table))
        last = (table.offsets[1:] - 1)[order]
        return Ends([table.sessions[at] for at in order], table.times[last]), outputs[last]

    def _told(
        self, X: Any, ends: Ends, outputs: NDArray[np.float32], more: dict[str, Floats]
    ) -> Any:
        """Return forecasts in the form of X; of arrays, of what is more there is nothing else."""
        forecast = self._words.lines(outputs)["forecast"]
        if self._layout.kind == "frame":
            lines = {"y_hat": forecast} | more
            columns = (self.session, self.time)
            return ends.frame(X, columns, self.horizons_, self._step, lines)
        return np.stack(list(more.values()), axis=-1) if more else forecast

    def _read(self, X: Any, *, reset: bool) -> tuple[SchemaConfig, EventTable]:
        """Bring a frame in step first; rows of an array may be longer or shorter than before."""
        if events.is_frame(X):
            events.require(X, {self.session: "session"})
            if self.time is not None:
                schema = self.schema if reset else self._schema
                fields = None if schema is None else schema.fields
                X, self._step = series.in_step(X, self.session, self.time, fields, self._step)
        elif events.sequences(X) is None:
            X = check_array(X, dtype=np.float64)[:, :, None]
        return super()._read(X, reset=reset)

    def _schema_of(self, X: Any) -> SchemaConfig:
        return series.schema_of(X, self.session, self.time)

    def _parts(self, table: EventTable, seed: int) -> tuple[EventTable, EventTable]:  # noqa: ARG002
        """Cut the series in time."""
        train, valid = table, table
        if self.validation_fraction != 0:
            train, valid = series.parts(table, self.validation_fraction)
        if train.lengths.max() <= self.horizons_[-1]:
            raise _too_short(train, self.horizons_[-1])
        return train, valid

    def _train_defaults(self) -> dict[str, Any]:
        """Learn from windows of some seasons, and of several times what is to be seen ahead."""
        length = max(64, 2 * self.season, 4 * self.horizons_[-1])
        stride = length // 2
        return {"max_length": length, "truncate": "windows", "stride": stride}


def _too_short(table: EventTable, longest: int) -> InputError:
    return InputError(
        "too_short",
        f"the longest series has {table.lengths.max()} values, and {longest} ahead are wanted",
        field="X",
        hint="give longer series, nearer horizons or, to learn from more of each, a smaller "
        "validation_fraction",
    )
