"""Where tables come from: files and frames, behind one small face."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import narwhals as nw
import polars as pl

from tidegate.errors import InputError, shown
from tidegate.tables.csv_layout import check_layout, check_utf8, header_end, line_of

__all__ = [
    "FrameSource",
    "Source",
    "Want",
    "file_errors",
    "open_source",
    "parquet_errors",
    "parquet_files",
]

Want = Literal["text", "numeric", "other", "guess"]
"""What a CSV column is to be read as: text as it stands; numbers; text with "" for missing; numbers
if every cell is one, else text with "" for missing. Frames have types of their own."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Source(ABC):
    """Columns by name, and words for where a row stands."""

    names: list[str]
    rows: int

    @abstractmethod
    def series(self, name: str, want: Want) -> nw.Series[Any]:
        """Return a column."""

    def where(self, row: int) -> str:
        """Word the place of a row, which is counted from 0."""
        return f"row {row + 1}"


def open_source(source: Any, needed: set[str]) -> Source:
    """Open a file by its suffix, or a frame; only the needed columns are read."""
    if not isinstance(source, str | Path):
        return FrameSource(source)
    path = Path(source)
    openers: dict[str, Callable[[Path, set[str]], Source]] = {
        ".csv": CsvSource,
        ".parquet": _open_parquet,
    }
    if path.suffix.lower() not in openers and path.is_dir():
        with file_errors(path):
            return _open_parquet(path, needed)
    if path.suffix.lower() not in openers:
        raise InputError(
            "unsupported_source",
            f"{path.suffix or 'no suffix'!r} is not a kind of file that can be read",
            field=str(path),
            hint="give a .csv or .parquet file, a folder of the latter, or a pandas, polars or "
            "Arrow frame",
        )
    with file_errors(path):
        return openers[path.suffix.lower()](path, needed)


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Turn what the system says of a file that is read into ``file_not_found``, ``cannot_read``."""
    try:
        yield
    except FileNotFoundError:
        raise InputError(
            "file_not_found", "there is no such file", field=str(path), hint="check the path"
        ) from None
    except OSError as error:
        raise InputError(
            "cannot_read", str(error), field=str(path), hint="check the path and its permissions"
        ) from error


class FrameSource(Source):
    """A pandas, polars or Arrow frame."""

    def __init__(self, frame: Any) -> None:
        try:
            whole = nw.from_native(frame, eager_only=True)
        except TypeError:
            raise InputError(
                "unsupported_source",
                f"{type(frame).__module__}.{type(frame).__qualname__} is not a table",
                field="source",
                hint="give a .csv or .parquet file, or a pandas, polars or Arrow frame; "
                "collect a lazy frame first",
            ) from None
        except nw.exceptions.NarwhalsError as error:  # only pandas lets two columns share a name
            raise InputError(
                "duplicate_column", str(error), field="source", hint="rename one of them"
            ) from None
        self.names = list(whole.columns)
        self.rows = len(whole)
        self._frame = whole

    def series(self, name: str, want: Want) -> nw.Series[Any]:  # noqa: ARG002 - it has its type
        """Return a column as it is."""
        series: nw.Series[Any] = self._frame[name]
        return series


def parquet_files(path: Path) -> list[Path]:
    """Return a Parquet file, or those of a folder in the order of their names.

    Raises
    ------
    InputError
        ``no_files``: a folder without.
    """
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix.lower() == ".parquet")
    if not files:
        raise InputError(
            "no_files",
            "the folder has no .parquet file",
            field=str(path),
            hint="give the folder in which they lie; folders in it are not looked into",
        )
    return files


@contextmanager
def parquet_errors(path: Path) -> Iterator[None]:
    """Turn what polars says of a Parquet file into ``bad_parquet``."""
    try:
        yield
    # Where its reader trusts a damaged length, it panics: a BaseException, not a PolarsError.
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise InputError(
            "bad_parquet",
            f"it is no Parquet file, or damaged: {error}",
            field=str(path),
            hint="write it again",
        ) from error


def _open_parquet(path: Path, needed: set[str]) -> Source:
    names: list[str] = []
    frames = []
    for file in parquet_files(path):
        with file.open("rb") as opened, parquet_errors(file):
            found = list(pl.read_parquet_schema(opened))
            names = names or found
            opened.seek(0)
            # Without one column that is wanted, it still tells what there is.
            wanted = [name for name in names if name in needed] or names
            frames.append(pl.read_parquet(opened, columns=wanted))
    with parquet_errors(path):
        source = FrameSource(pl.concat(frames))
    source.names = names
    return source


class CsvSource(Source):
    """A CSV file (RFC 4180, UTF-8, comma-separated, one line of names): all cells are text."""

    def __init__(self, path: Path, needed: set[str]) -> None:
        self._name = str(path)
        # Empty lines at the end mean nothing; elsewhere they are rows without cells.
        self._data = path.read_bytes().removeprefix(_BYTE_ORDER_MARK).rstrip(b"\r\n")
        if not self._data:
            raise InputError(
                "empty_file", "the file is empty", field=self._name, hint="it needs a header"
            )
        check_utf8(self._data, self._name)
        self.rows = check_layout(self._data, self._name) - 1
        header = self._data[: header_end(self._data, self._name)]
        self.names = [name or "" for name in self._parse(header, has_header=False).row(0)]
        for name in needed:
            if self.names.count(name) > 1:
                raise InputError(
                    "duplicate_column",
                    f"two columns of {self._name} have this name",
                    field=name,
                    hint="rename one of them",
                )
        places = [i for i, name in enumerate(self.names) if name in needed]
        self._cells = self._parse(self._data, columns=places) if places else pl.DataFrame()
        self._cells.columns = [self.names[i] for i in places]
        if places and self._cells.height != self.rows:
            raise self._bad(f"{self.rows} rows, of which {self._cells.height} could be parsed")

    def _parse(self, data: bytes, **options: Any) -> pl.DataFrame:
        try:
            return pl.read_csv(data, infer_schema=False, **options)
        except pl.exceptions.PolarsError as error:
            raise self._bad(str(error).splitlines()[0]) from error

    def _bad(self, what: str) -> InputError:
        return InputError(
            "bad_csv", what, field=self._name, hint="write it again as comma-separated UTF-8"
        )

    def where(self, row: int) -> str:
        """Word the place of a row, with its line in the file."""
        return f"row {row + 1} (line {line_of(self._data, self._name, row + 1)})"

    def series(self, name: str, want: Want) -> nw.Series[Any]:
        """Return a column, parsed as wanted."""
        cells = self._cells[name]
        if want != "text":
            cells = cells.replace("", None)
        if want in ("numeric", "guess"):
            cells = self._numbers(cells, guess=want == "guess")
        return nw.from_native(cells, series_only=True)

    def _numbers(self, cells: pl.Series, *, guess: bool) -> pl.Series:
        parsed = cells.cast(pl.Float64, strict=False)
        broken = parsed.is_null() & cells.is_not_null()
        if guess:
            # 007 is a name.
            named = broken | cells.str.contains(r"^[+-]?0\d").fill_null(value=False)
            return cells if named.any() else parsed
        if broken.any():
            row = broken.arg_max() or 0
            raise InputError(
                "wrong_type",
                f"{shown(cells[row])} in {self.where(row)} is not a number",
                field=cells.name,
                hint="write a number such as 12.5; leave the cell empty where it is missing",
            )
        return parsed
