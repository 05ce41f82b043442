"""Rolling-origin backtests: what would have been forecast then, beside what came."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tidegate import answers, tables, tasks
from tidegate.answers import Forecast
from tidegate.errors import InputError
from tidegate.schema import Schema
from tidegate.tables import EventTable, naming_rows
from tidegate.train import parts
from tidegate.train.config import TrainConfig
from tidegate.train.progress import Listener
from tidegate.train.trained import Trained, train_model

if TYPE_CHECKING:
    import polars as pl

__all__ = ["cross_validation"]


def cross_validation(
    config: TrainConfig,
    source: Any = None,
    *,
    windows: int = 3,
    stride: int | None = None,
    validation: int | None = None,
    refit: bool = True,
    listeners: Sequence[Listener] = (),
) -> pl.DataFrame:
    """Forecast from several cutoffs, each with what was known at that time.

    Everything is learned from values up to the cutoff: scales, weights and intervals. The last of
    them are the validation part, which decides which epoch is best and how wide intervals are.

    Parameters
    ----------
    config : TrainConfig
        Of a forecast; its split is not used.
    source : str, Path or frame, optional
        The events; by default the file that the configuration names.
    windows : int
        Cutoffs.
    stride : int, optional
        Instants between two cutoffs; by default the longest horizon, so that no value is forecast
        twice from the same distance.
    validation : int, optional
        Instants of the validation part; by default four times the longest horizon.
    refit : bool
        Whether each cutoff has a model of its own; else the first one's goes on, with a memory of
        all that came since.
    listeners : sequence of Listener
        Are told of every training.

    Returns
    -------
    polars.DataFrame
        The columns of the series and of the time, as the configuration names them; ``cutoff``, the
        last instant that was known; ``horizon``, ``y``, ``y_hat`` and, with intervals, ``lo`` and
        ``hi``. A row for each value that came; it is null where that is missing.

    Raises
    ------
    InputError
        ``bad_config``: no forecast, or events without times; ``empty_part``: too few instants for
        so many windows; ``out_of_range``; from the table, the schema or the fit.
    """
    import polars as pl

    wanted = config.task.forecast
    if wanted is None or config.data.time is None:
        field, hint = ("task.forecast", "give it") if wanted is None else ("data.time", "name it")
        raise InputError("bad_config", "a backtest is of forecasts in time", field=field, hint=hint)
    longest = wanted.spec().horizons[-1]
    table = _read(config, source)
    plan = _cutoffs(
        np.unique(table.times),
        windows,
        longest,
        longest if stride is None else stride,
        4 * longest if validation is None else validation,
    )
    frames, trained = [], None
    for begin, cutoff in plan:
        if trained is None or refit:
            trained = _train(config, table, begin, cutoff, listeners)
        frames.append(_window(trained, table, cutoff))
    names = {"session": config.data.session, "time": config.data.time}
    return pl.concat(frames).rename(names).sort("cutoff", maintain_order=True)


def _read(config: TrainConfig, source: Any) -> EventTable:
    if source is None:
        return parts.read(config)
    return tables.read(
        source,
        session=config.data.session,
        fields={name: field.kind for name, field in config.schema.fields.items()},
        time=config.data.time,
    )


def _cutoffs(
    instants: NDArray[np.float64], windows: int, longest: int, stride: int, validation: int
) -> Iterator[tuple[float, float]]:
    """Return of each window where the validation part begins, and the last instant known."""
    for name, value in {"windows": windows, "stride": stride, "validation": validation}.items():
        if value < 1:
            raise InputError(
                "out_of_range", f"{value} is not allowed", field=name, hint="use 1 or more"
            )
    first = len(instants) - 1 - longest - (windows - 1) * stride
    if first - validation < 1:
        raise InputError(
            "empty_part",
            f"{len(instants):,} instants are too few: {longest} ahead, {validation} of validation, "
            f"{windows} windows {stride} apart",
            field="windows",
            hint="use fewer windows, a smaller stride or validation part, or shorter horizons",
        )
    places = range(first, first + windows * stride, stride)
    return iter([(float(instants[at - validation + 1]), float(instants[at])) for at in places])


def _train(
    config: TrainConfig,
    table: EventTable,
    begin: float,
    cutoff: float,
    listeners: Sequence[Listener],
) -> Trained:
    known = table.before(_just_after(cutoff))
    train = known.before(begin)
    valid = replace(
        known.before(_just_after(cutoff), beyond=begin),
        counts_from=begin,
    )
    with naming_rows(train.source_rows):
        schema = Schema.fit(config.schema, train.columns, train.times, train.offsets)
    return train_model(
        train,
        valid,
        schema=schema,
        task=tasks.fit(config.task, None, train, schema),
        model=config.model,
        settings=config.train,
        listeners=listeners,
    )


def _just_after(cutoff: float) -> float:
    return float(np.nextafter(cutoff, np.inf))


def _window(trained: Trained, table: EventTable, cutoff: float) -> pl.DataFrame:
    """Return what a model says at a cutoff of all series that have begun, and what came."""
    import polars as pl

    half = answers.open(trained.task)
    assert isinstance(half, Forecast)
    assert trained.task.forecast is not None
    horizons = trained.task.forecast.horizons
    known = table.before(_just_after(cutoff))
    places = {name: at for at, name in enumerate(table.sessions)}
    series = np.array([places[name] for name in known.sessions])
    said = half.lines(trained.outputs(known)[known.offsets[1:] - 1])
    # Where each series stands in the whole table: its last event that was known.
    now = table.offsets[series] + np.diff(known.offsets) - 1
    at = now[:, None] + np.array(horizons)
    inside = at < table.offsets[series + 1][:, None]
    later, values = at[inside], table.columns[trained.task.label]
    columns = {
        "session": [table.sessions[place] for place in np.repeat(series, inside.sum(axis=1))],
        "time": _datetimes(table.times[later]),
        "cutoff": _datetimes(np.full(len(later), cutoff)),
        "horizon": np.broadcast_to(np.array(horizons), at.shape)[inside],
        "y": pl.Series(values[later]).fill_nan(None),
    }
    names = {"forecast": "y_hat", "low": "lo", "high": "hi"}
    return pl.DataFrame(columns | {names[name]: each[inside] for name, each in said.items()})


def _datetimes(seconds: NDArray[np.float64]) -> pl.Series:
    import polars as pl

    return pl.from_epoch(pl.Series(np.rint(seconds * 1e6).astype(np.int64)), time_unit="us")
