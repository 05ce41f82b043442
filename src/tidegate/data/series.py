"""Series of values in step with a clock: gaps, repeated times, steps that differ, features.

A long frame has a row for each value: a column that names the series, one of times, one of values
(``unique_id, ds, y``). A recurrent model counts events: "24 ahead" is a day only where every hour
has its event. `prepare` sees to that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate.errors import InputError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["interpolate", "prepare"]

_NAMES_SHOWN = 3
_ISO_DATE = r"^\s*\d{4}-\d{2}-\d{2}"


def prepare(
    source: Any,
    *,
    session: str = "unique_id",
    time: str = "ds",
    step: timedelta | None = None,
    constant: Sequence[str] = (),
    lags: Mapping[str, Sequence[int]] | None = None,
    known: Mapping[str, Sequence[int]] | None = None,
) -> pl.DataFrame:
    """Return series with a row for every step from each one's first to its last.

    A step without a row gets one, with nothing in it but the series, the time and what is constant:
    a schema's ``missing = "carry"`` then stands in with the last value, in training as in serving,
    and nothing is learned from the gap.

    Parameters
    ----------
    source : str, Path or frame
        A .csv or .parquet file, or a polars or pandas frame.
    session, time : str
        Columns that name the series and the time: datetimes, or text of them.
    step : timedelta, optional
        Between two rows; by default the one that is most frequent in all series together.
    constant : sequence of str
        Columns whose value stays the same in a series: new rows have it, too.
    lags : mapping of str to numbers of steps, optional
        ``{"y": [24]}`` adds a column ``y-24``: the value of 24 steps ago.
    known : mapping of str to numbers of steps, optional
        ``{"holiday": [1, 24]}`` adds ``holiday+1`` and ``holiday+24``: what the column will be so
        many steps ahead. Only for what is known beforehand, as a calendar is, or a plan; who asks a
        server sends these fields with each event.

    Returns
    -------
    polars.DataFrame
        By series, in the order of first appearance, and time.

    Raises
    ------
    InputError
        ``missing_column``; ``bad_time``; ``duplicate_time``: a series has two rows of one time;
        ``mixed_step``: a series has rows that are no whole number of steps apart, or none that
        are one step apart, such as days among hours;
        ``constant_changed``; ``out_of_range``: a lag or lead below 1.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({
    ...     "unique_id": ["a"] * 3,
    ...     "ds": ["2024-01-01T00:00", "2024-01-01T01:00", "2024-01-01T03:00"],
    ...     "y": [1.0, 2.0, 4.0],
    ... })
    >>> prepare(frame, step=timedelta(hours=1), lags={"y": [1]}).select("y", "y-1").rows()
    [(1.0, None), (2.0, 1.0), (None, 2.0), (4.0, None)]
    """
    import polars as pl

    shifts = _shifts(lags or {}, -1) | _shifts(known or {}, 1)
    others = [*constant, *(name for name, _ in shifts.values())]
    frame = _timed(_frame(source), session, time, others)
    order = frame.select(pl.col(session).unique(maintain_order=True))
    frame = frame.sort(session, time, maintain_order=True)
    _check_times(frame, session, time)
    step = _usual_step(frame, session, time) if step is None else step
    _check_steps(frame, session, time, step)
    for name in constant:
        _check_constant(frame, session, name)
    full = (
        frame.group_by(session, maintain_order=True)
        .agg(pl.datetime_ranges(pl.col(time).min(), pl.col(time).max(), step).explode().alias(time))
        .explode(time)
        .with_columns(pl.col(time).cast(frame.schema[time]))
        .join(frame, on=[session, time], how="left", maintain_order="left")
        .with_columns(pl.col(name).forward_fill().over(session) for name in constant)
        .with_columns(
            pl.col(name).shift(-steps).over(session).alias(new)
            for new, (name, steps) in shifts.items()
        )
    )
    return order.join(full, on=session, how="left", maintain_order="left_right").select(
        *frame.columns, *shifts
    )


def interpolate(
    frame: pl.DataFrame, value: str = "y", *, session: str = "unique_id", limit: int
) -> pl.DataFrame:
    """Fill short gaps with the straight line between the values around them.

    The line needs the value behind the gap, which a served model does not have yet: for history
    that is to be learned from, never for what a model is tested on.

    Parameters
    ----------
    frame : polars.DataFrame
        From `prepare`.
    value : str
        The column of values.
    session : str
        The column that names the series.
    limit : int
        Steps of the longest gap that is filled; others, and what is missing at a series' beginning
        or end, stay as they are.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"unique_id": ["a"] * 7, "y": [1.0, None, 3.0, None, None, 9.0, None]})
    >>> interpolate(frame, limit=1)["y"].to_list()
    [1.0, 2.0, 3.0, None, None, 9.0, None]
    """
    import polars as pl

    column = pl.col(value)
    gap = column.is_null().rle_id().over(session)
    length = pl.len().over(session, gap)
    line = column.interpolate().over(session)
    return frame.with_columns(
        pl.when(column.is_null() & (length > limit)).then(None).otherwise(line).alias(value)
    )


def _frame(source: Any) -> pl.DataFrame:
    import polars as pl

    if isinstance(source, pl.DataFrame):
        return source
    if isinstance(source, str | Path):
        path = Path(source)
        if not path.is_file():
            raise InputError("file_not_found", f"there is no file {path}", field="source")
        return pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path)
    return pl.DataFrame(source)


def _timed(frame: pl.DataFrame, session: str, time: str, others: Sequence[str]) -> pl.DataFrame:
    import polars as pl

    for name in (session, time, *others):
        if name not in frame.columns:
            raise InputError(
                "missing_column",
                "the frame has no such column",
                field=name,
                hint=f"its columns are {', '.join(frame.columns)}",
            )
    if frame.schema[time] == pl.String:
        texts = frame.filter(~pl.col(time).str.contains(_ISO_DATE))[time]
        if len(texts):  # 01/02/2024 is two dates
            raise _bad_time(time, f"{texts[0]!r} does not begin with a date of ISO 8601")
        try:
            frame = frame.with_columns(pl.col(time).str.to_datetime(time_unit="us"))
        except pl.exceptions.PolarsError as error:
            raise _bad_time(time, str(error).splitlines()[0]) from error
    if frame.schema[time] == pl.Date:
        frame = frame.with_columns(pl.col(time).cast(pl.Datetime("us")))
    if not isinstance(frame.schema[time], pl.Datetime):
        raise _bad_time(time, f"{frame.schema[time]} is no type of times")
    if frame[time].null_count() or frame[session].null_count():
        raise _bad_time(time, "a row has no time, or no series")
    return frame


def _bad_time(time: str, message: str) -> InputError:
    return InputError(
        "bad_time", message, field=time, hint="give datetimes, or ISO 8601 text: 2024-01-31T14:00"
    )


def _check_times(frame: pl.DataFrame, session: str, time: str) -> None:
    twice = frame.filter(frame.select(session, time).is_duplicated())
    if len(twice):
        raise InputError(
            "duplicate_time",
            f"series {twice[session][0]!r} has more than one row at {twice[time][0]} "
            f"(rows of such times: {len(twice):,})",
            field=time,
            hint="add them up, average them, or keep the last: which is right, the data must say",
        )


def _usual_step(frame: pl.DataFrame, session: str, time: str) -> timedelta:
    import polars as pl

    steps = frame.select(pl.col(time).diff().over(session)).to_series().drop_nulls()
    if not len(steps):
        raise InputError(
            "missing_key",
            "no series has two rows to tell the step from",
            field="step",
            hint="give the step",
        )
    usual = steps.mode().sort()[0]
    assert isinstance(usual, timedelta)
    return usual


def _check_steps(frame: pl.DataFrame, session: str, time: str, step: timedelta) -> None:
    import polars as pl

    microseconds = round(step.total_seconds() * 1e6)
    if microseconds < 1:
        raise InputError("out_of_range", f"{step} is no step", field="step", hint="use more than 0")
    since = (pl.col(time) - pl.col(time).min().over(session)).dt.total_microseconds()
    apart = pl.col(time).diff().over(session).dt.total_microseconds()
    off = frame.filter((since % microseconds != 0) | (apart.min().over(session) > microseconds))
    if len(off):
        names = off[session].unique(maintain_order=True)
        shown = ", ".join(repr(name) for name in names[:_NAMES_SHOWN].to_list())
        raise InputError(
            "mixed_step",
            f"{len(names)} series ({shown}) do not go in steps of {step}: see {off[time][0]}",
            field=time,
            hint="bring series to one step first, or make a frame, and a model, of each kind",
        )


def _check_constant(frame: pl.DataFrame, session: str, name: str) -> None:
    import polars as pl

    counts = frame.group_by(session, maintain_order=True).agg(
        pl.col(name).drop_nulls().n_unique().alias("values")
    )
    several = counts.filter(pl.col("values") > 1)
    if len(several):
        raise InputError(
            "constant_changed",
            f"series {several[session][0]!r} has {several['values'][0]} values of it",
            field=name,
            hint="leave it out of `constant`",
        )


def _shifts(asked: Mapping[str, Sequence[int]], sign: int) -> dict[str, tuple[str, int]]:
    """Return new columns: the column that each is made of, and how many steps ahead it looks."""
    found = {}
    for name, steps in asked.items():
        for count in steps:
            if count < 1:
                raise InputError(
                    "out_of_range", f"{count} is no step away", field=name, hint="use 1 or more"
                )
            found[f"{name}{'+' if sign > 0 else '-'}{count}"] = (name, sign * count)
    return found
