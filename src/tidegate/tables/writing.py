"""Writing columns to a file, whole or not at all."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from tidegate import files
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
        Numbers, booleans, text, datetimes, or objects of one of these. NaN and None become null,
        which in CSV is an empty cell.

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
    content = io.BytesIO()  # so that what fails below is the file system
    frame = _frame(columns)
    if path.suffix.lower() == ".csv":
        frame.write_csv(content)
    else:
        frame.write_parquet(content)
    files.write_file(path, content.getbuffer())


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
        values = column.tolist() if column.dtype.kind == "O" else column
        try:
            series[name] = pl.Series(name, values, nan_to_null=True)
        except TypeError as error:
            raise InputError(
                "wrong_type",
                f"the column mixes types: {str(error).splitlines()[0]}",
                field=name,
                hint="give every value of a column one type, or None",
            ) from error
    return pl.DataFrame(series)
