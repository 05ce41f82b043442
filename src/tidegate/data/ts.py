"""Series of unequal length from a .ts file, as the UEA archive of classification has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tidegate.errors import InputError

__all__ = ["read"]


def read(path: str | Path) -> tuple[list[NDArray[np.float64]], NDArray[np.str_]]:
    r"""Return the series of a file, (n_i, dimensions) each, and their classes.

    Parameters
    ----------
    path : str or Path
        Lines of ``dimension:dimension:...:class`` behind ``@data``, numbers separated by commas.
        Time stamps and missing values are not read.

    Raises
    ------
    InputError
        ``bad_ts``, naming the line.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "two.ts")
    ...     _ = path.write_text("@problemName two\n@data\n1,2,3:4,5,6:a\n7:8:b\n")
    ...     series, classes = read(path)
    >>> [each.shape for each in series], classes.tolist()
    ([(3, 2), (1, 2)], ['a', 'b'])
    """
    lines = Path(path).read_text().splitlines()
    starts = [place for place, line in enumerate(lines) if line.strip().lower() == "@data"]
    if not starts:
        raise _bad(path, len(lines), "no line says @data")
    series: list[NDArray[np.float64]] = []
    classes: list[str] = []
    for number, line in enumerate(lines[starts[0] + 1 :], starts[0] + 2):
        *dimensions, name = line.strip().split(":")
        try:
            found = np.array([each.split(",") for each in dimensions], dtype=np.float64).T
        except ValueError as error:
            raise _bad(path, number, str(error)) from error
        if found.ndim != 2 or (series and found.shape[1] != series[0].shape[1]):
            raise _bad(path, number, f"{len(dimensions)} dimensions")
        series.append(np.ascontiguousarray(found))
        classes.append(name)
    return series, np.array(classes)


def _bad(path: str | Path, line: int, what: str) -> InputError:
    return InputError(
        "bad_ts",
        f"line {line}: {what}",
        field=str(path),
        hint="is it a .ts file of the UEA archive?",
    )
