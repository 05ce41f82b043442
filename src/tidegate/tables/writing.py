"""Writing columns to a file, whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from tidegate.errors import InputError

__all__ = ["write"]


def write(path: str | Path, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write columns to a .parquet or .csv file.

    The file is written beside its place, synced and moved there: a reader sees the old file or the
    new one, never a part.

    Parameters
    ----------
    path : str or Path
        Where to; folders that are missing are made.
    columns : mapping of str to array (rows,)
        Numbers, booleans, text, datetimes, or objects of str. NaN and None become null, which in
        CSV is an empty cell.

    Raises
    ------
    InputError
        ``unsupported_source`` for another suffix, ``wrong_shape`` for columns that differ in
        length or are not one-dimensional, ``wrong_type`` for a column of mixed objects, and
        ``cannot_write`` where the file system refuses; the old file stays.
    """
    path = Path(path)
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise InputError(
            "unsupported_source",
            f"{path.suffix or 'no suffix'!r} is not a kind of file that can be written",
            field=str(path),
            hint="name a .csv or .parquet file",
        )
    frame = _frame(columns)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as staging:
            staged = Path(staging) / path.name
            with staged.open("wb") as file:
                if path.suffix.lower() == ".csv":
                    frame.write_csv(file)
                else:
                    frame.write_parquet(file)
                file.flush()
                os.fsync(file.fileno())
            staged.replace(path)
    except OSError as error:
        raise InputError(
            "cannot_write", str(error), field=str(path), hint="check the path and the free space"
        ) from error


def _frame(columns: Mapping[str, NDArray[Any]]) -> Any:
    try:
        import polars as pl
    except ImportError as error:
        raise InputError(
            "missing_extra", "polars is not installed", hint="pip install 'tidegate[tables]'"
        ) from error

    shapes = {name: column.shape for name, column in columns.items()}
    for name, shape in shapes.items():
        if len(shape) != 1 or shape != next(iter(shapes.values())):
            raise InputError(
                "wrong_shape",
                f"the shape {shape} does not fit the other columns",
                field=name,
                hint="give every column one value a row",
            )
    series = {}
    for name, column in columns.items():
        text = column.dtype.kind in "OU"
        try:
            series[name] = pl.Series(
                name,
                column.tolist() if text else column,
                dtype=pl.String if text else None,
                nan_to_null=True,
            )
        except TypeError as error:
            raise InputError(
                "wrong_type", str(error), field=name, hint="a column of objects holds text or None"
            ) from error
    return pl.DataFrame(series)
