"""Series: a long frame in step, a cut in time, and the frame of what comes at their ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from tidegate.data.series import prepare
from tidegate.data.splits import by_cut
from tidegate.errors import InputError
from tidegate.estimators import events
from tidegate.schema import Field, SchemaConfig
from tidegate.tables import EventTable

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Ends", "in_step", "parts", "schema_of"]


def in_step(
    X: Any, session: str, time: str, fields: Mapping[str, Field] | None, step: timedelta | None
) -> tuple[pl.DataFrame, timedelta]:
    """Return a long frame with a row for every step, and the step; see `data.series.prepare`.

    Parameters
    ----------
    X : frame
        pandas, polars or Arrow. Its times are datetimes, dates, ISO 8601 text, or numbers, which
        count as seconds.
    session, time : str
        Its columns of series and times.
    fields : mapping of str to Field, optional
        Those that are needed, of which constant ones are filled in; all, by default.
    step : timedelta, optional
        Between two rows; by default the most frequent one.

    Raises
    ------
    InputError
        ``missing_column``; ``too_short``: no series tells the step; and what `prepare` raises:
        ``duplicate_time``, ``mixed_step``.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"unique_id": ["a"] * 3, "ds": [1, 2, 4], "y": [1.0, 2.0, 4.0]})
    >>> found, step = in_step(frame, "unique_id", "ds", None, None)
    >>> found["y"].to_list(), step
    ([1.0, 2.0, None, 4.0], datetime.timedelta(seconds=1))
    """
    import polars as pl

    frame = nw.from_native(X, eager_only=True)
    wanted = dict.fromkeys(fields or {}, "schema") | {session: "session", time: "time"}
    events.require(X, wanted)
    if step is None and len(frame) == len(frame[session].unique()):
        raise _too_short()
    frame = frame.select(*wanted) if fields else frame
    kind = frame.schema[time]
    if isinstance(kind, nw.Datetime) and kind.time_zone:
        utc = nw.col(time).dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        frame = frame.with_columns(utc)
    columns = {name: _series(frame[name]) for name in frame.columns}
    if kind.is_numeric():
        microseconds = (columns[time].cast(pl.Float64) * 1e6).round().cast(pl.Int64)
        columns[time] = pl.from_epoch(microseconds, time_unit="us")
    constant = [name for name, field in (fields or {}).items() if field.constant]
    full = prepare(pl.DataFrame(columns), session=session, time=time, constant=constant, step=step)
    apart = full.select(pl.col(time).diff().over(session).min()).to_series()[0]
    return full, step or apart


def _series(column: nw.Series[Any]) -> pl.Series:
    """Return a column as one of polars, which for others may need Arrow."""
    import polars as pl

    native = column.to_native()
    if isinstance(native, pl.Series):
        return native
    missing = column.is_null().to_list()
    if column.dtype.is_temporal() or (column.dtype.is_numeric() and not any(missing)):
        return pl.Series(column.name, column.to_numpy(), strict=False)
    # What pandas has for nothing, NaN or NA, is no number here.
    values = [
        None if none else value for value, none in zip(column.to_list(), missing, strict=True)
    ]
    return pl.Series(column.name, values, strict=False)


def schema_of(X: Any, session: str, time: str | None) -> SchemaConfig:
    """Return the fields of a long frame, each of which goes on with its last value in a gap.

    Of numbers the model is told where they were missing.
    """
    return SchemaConfig(
        {
            name: Field(field.kind, missing="carry", indicator=field.kind == "numeric")
            for name, field in events.schema_of(X, session, time).fields.items()
        }
    )


def parts(table: EventTable, fraction: float) -> tuple[EventTable, EventTable]:
    """Cut series in time: the share of instants that come last is the validation part.

    Series without times end together: of all as many values are the last ones.

    Examples
    --------
    >>> table = events.of_arrays([np.arange(8.0)[:, None], np.arange(4.0)[:, None]])
    >>> train, valid = parts(table, 0.25)
    >>> train.lengths.tolist(), valid.lengths.tolist(), valid.counts_from
    ([6, 2], [8, 4], 6.0)
    """
    events.check_fraction(fraction)
    if not table.times.any():
        left = np.repeat(table.offsets[1:], table.lengths) - 1 - np.arange(table.n_events)
        table = replace(table, times=(table.lengths.max() - 1 - left).astype(np.float64))
    instants = np.unique(table.times)
    if len(instants) < 2:
        raise _too_short()
    count = min(max(1, round(fraction * len(instants))), len(instants) - 1)
    train, valid = by_cut(table, until=[float(instants[-count])])
    return train, valid


def _too_short() -> InputError:
    return InputError(
        "too_short",
        "no series has two values",
        field="X",
        hint="give longer series: what comes next is learned from what came",
    )


@dataclass(frozen=True, eq=False)
class Ends:
    """Where series end.

    Parameters
    ----------
    names : list of str
        The series.
    times : float64 array (series,)
        Of each one's last value: unix seconds.
    """

    names: list[str]
    times: NDArray[np.float64]

    def frame(
        self,
        X: Any,
        columns: tuple[str, str | None],
        horizons: Sequence[int],
        step: timedelta | None,
        lines: Mapping[str, NDArray[np.float64]],
    ) -> Any:
        """Return forecasts as a frame of the kind of X: a row for each series and horizon.

        Parameters
        ----------
        X : frame
            What was forecast from: series and times keep its types, but for text of times.
        columns : (str, str or None)
            Of series and times.
        horizons : sequence of int
            Events ahead.
        step : timedelta, optional
            Of the series, where they have times.
        lines : mapping of str to float64 array (series, horizons)
            The other columns.
        """
        session, time = columns
        like = nw.from_native(X, eager_only=True)
        found: dict[str, Any] = {session: [name for name in self.names for _ in horizons]}
        if time is not None and step is not None:
            ahead = np.array(horizons) * step.total_seconds()
            seconds = (self.times[:, None] + ahead).ravel()
            instants = (seconds * 1e6).round().astype("datetime64[us]")
            found[time] = seconds if like.schema[time].is_numeric() else instants
        found["horizon"] = np.tile(np.array(horizons), len(self.names))
        found |= {name: np.ascontiguousarray(line).ravel() for name, line in lines.items()}
        frame = nw.from_dict(found, backend=like.implementation)
        return frame.with_columns(*_as_in(like, session, time)).to_native()


def _as_in(like: nw.DataFrame[Any], session: str, time: str | None) -> list[nw.Expr]:
    """Return what gives series and times the types that they have in a frame."""
    found = []
    if like.schema[session].is_integer():
        found.append(nw.col(session).cast(like.schema[session]))
    if time is not None:
        kind = like.schema[time]
        if isinstance(kind, nw.Datetime) and kind.time_zone:
            zoned = nw.col(time).dt.replace_time_zone("UTC").dt.convert_time_zone(kind.time_zone)
            found.append(zoned)
        elif kind.is_numeric() or kind == nw.Date:
            found.append(nw.col(time).cast(kind))
    return found
