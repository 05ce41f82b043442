"""Parquet files, a piece at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tidegate.errors import InputError
from tidegate.tables.reading import Events, check_columns, check_request, convert
from tidegate.tables.sources import FrameSource, file_errors, parquet_errors, parquet_files

__all__ = ["PIECE", "Pieces"]

PIECE = 65_536
"""Rows that are read at a time, at most. What is decoded for them are whole row groups."""

CELLS = 1 << 21
"""Of all columns of such rows, at most."""


@dataclass(frozen=True)
class Pieces:
    """What `tables.read` reads of Parquet files, a piece at a time.

    Parameters
    ----------
    path : Path
        A .parquet file, or a folder of them: their rows are counted in the order of their names.
    session, fields, time, label
        As in `tables.read`.
    """

    path: Path
    session: str
    fields: Mapping[str, str]
    time: str | None = None
    label: str | None = None

    def check(self) -> pl.Schema:
        """Return the types of the columns that are read, by name.

        Raises
        ------
        InputError
            As `tables.read`; ``unsupported_source`` for another kind of file; ``bad_parquet`` where
            files differ in a column's type.
        """
        check_request(self.fields, self.label)
        if self.path.suffix.lower() != ".parquet" and not self.path.is_dir():
            raise InputError(
                "unsupported_source",
                f"{self.path.suffix or 'no suffix'!r} is not read a piece at a time",
                field=str(self.path),
                hint="give a .parquet file or a folder of them; polars and pandas write them",
            )
        rows, types = 0, pl.Schema()
        for file in self._files():
            found, count = _about(file)
            source = FrameSource(pl.DataFrame(schema=found))
            source.rows = count or 1  # a file without rows is none; that all are is told below
            check_columns(source, self._needed)
            here = pl.Schema({name: found[name] for name in sorted(self._needed)})
            types, rows = types or here, rows + count
            if here != types:
                name = next(name for name in here if here[name] != types[name])
                raise InputError(
                    "bad_parquet",
                    f"{name} is {here[name]} here and {types[name]} in files before it",
                    field=str(file),
                    hint="write the files with the same types",
                )
        if rows == 0:
            raise InputError(
                "no_events", "there are no rows", field="source", hint="give at least one event"
            )
        return types

    def __iter__(self) -> Iterator[tuple[int, Events]]:
        """Yield the number of the first row, from 0, and the events of each piece."""
        before, piece = 0, min(PIECE, max(1, CELLS // len(self._needed)))
        for file in self._files():
            _, rows = _about(file)
            lazy = pl.scan_parquet(file).select(sorted(self._needed))
            for begin in range(0, rows, piece):
                with file_errors(file), parquet_errors(file):
                    source = _Piece(lazy.slice(begin, piece).collect(), before + begin)
                yield (
                    before + begin,
                    convert(
                        source,
                        session=self.session,
                        fields=self.fields,
                        time=self.time,
                        label=self.label,
                    ),
                )
            before += rows

    @property
    def _needed(self) -> set[str]:
        named = {name for name in (self.time, self.label) if name is not None}
        return {self.session, *self.fields} | named

    def _files(self) -> list[Path]:
        with file_errors(self.path):
            return parquet_files(self.path)


class _Piece(FrameSource):
    """Some rows of many."""

    def __init__(self, frame: pl.DataFrame, first: int) -> None:
        super().__init__(frame)
        self._first = first

    def where(self, row: int) -> str:
        """Word the place of a row among all."""
        return super().where(self._first + row)


def _about(file: Path) -> tuple[pl.Schema, int]:
    """Return the columns' types and the number of rows."""
    with file_errors(file), parquet_errors(file):
        lazy = pl.scan_parquet(file)
        return lazy.collect_schema(), int(lazy.select(pl.len()).collect().item())
