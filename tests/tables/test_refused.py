"""What is wrong with a table is said with the column, the row, the value and the rule."""

from __future__ import annotations

import gzip
import re
from datetime import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from tidegate import tables
from tidegate.errors import InputError


def refused(source: Any, **changed: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        tables.read(source, **{"session": "car", "time": "at", "fields": {}} | changed)
    assert caught.value.hint
    return caught.value


def csv(folder: Path, text: str | bytes) -> Path:
    path = folder / "events.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def of(**columns: Any) -> pl.DataFrame:
    rows = len(next(iter(columns.values())))
    return pl.DataFrame({"car": ["a"] * rows, "at": [1.0] * rows} | columns, strict=False)


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("", "empty_file", "empty"),
        ("\n\r\n", "empty_file", "empty"),
        ("car,at\n", "no_events", "no rows"),
        ("car,at", "no_events", "no rows"),
        ("car,at,x\na,1,2\na,2\na,3,4\n", "ragged_row", "line 3 has 2 cells, the header has 3"),
        ("car,at,x\na,1,2\na,2,3,4\n", "ragged_row", "line 3 has 4 cells, the header has 3"),
        ("car,at\n\na,1\n", "ragged_row", "line 2 has 0 cells"),
        ("car,at\r\n\r\na,1\r\n", "ragged_row", "line 2 has 0 cells"),
        ('car,at,x\na,1,"2\n3"\na,2\n', "ragged_row", "line 4 has 2 cells"),
        ("car,at,x\na,1,2\na,2", "ragged_row", "line 3 has 2 cells"),
        ('car,at\nb"c,1\n', "bad_quotes", "line 2 has a quote"),
        ('car,at\na,1\n"b"c,1\n', "bad_quotes", "line 3 has a quote"),
        ('car,at\na,1\n"b,1\na,2\n', "bad_quotes", "line 3 has a quote"),
        ('car,at\na,1\n"b,1\na,2\n"c",3\n', "bad_quotes", "line 3 has a quote"),
        (b"car,at\na\xff,1\n", "bad_csv", "line 2 is not UTF-8"),
        ("car,at\n".encode("utf-16"), "bad_csv", "line 1 is not UTF-8"),
        ("car;at\na;1\n", "missing_column", "no such column"),
        ("car,at,at\na,1,2\n", "duplicate_column", "two columns"),
    ],
)
def test_damaged_csv(text: str, code: str, says: str, tmp_path: Path) -> None:
    error = refused(csv(tmp_path, text))
    assert (error.code, says in error.message) == (code, True), error


def test_a_ragged_row_is_found_behind_the_first_block(tmp_path: Path) -> None:
    good = f'a,1,"{"x" * 50},\n{"y" * 50}"\n'
    rows = (1 << 23) // len(good)  # two blocks, with a quoted cell across their border
    path = csv(tmp_path, "car,at,x\n" + good * rows)
    assert tables.read(path, session="car", time="at", fields={}).n_events == rows
    with path.open("a") as file:
        file.write("a,1\n" + good)
    assert f"line {2 * rows + 2} has 2 cells" in refused(path).message


def test_files_that_are_none(tmp_path: Path) -> None:
    assert refused(tmp_path / "none.csv").code == "file_not_found"
    assert refused(tmp_path / "none.parquet").code == "file_not_found"
    (tmp_path / "folder.csv").mkdir()
    assert refused(tmp_path / "folder.csv").code == "cannot_read"
    with gzip.open(tmp_path / "events.csv.gz", "wt") as file:
        file.write("car,at\na,1\n")
    assert refused(tmp_path / "events.csv.gz").code == "unsupported_source"
    assert refused(str(tmp_path / "events")).code == "unsupported_source"


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"car,at\na,1\n" * 9, None])
def test_damaged_parquet(damage: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    of(x=list(range(1000))).write_parquet(path)
    if damage is None:
        content = bytearray(path.read_bytes())
        content[10:60] = b"\xff" * 50
        damage = bytes(content)
    path.write_bytes(damage)
    error = refused(path, fields={"x": "numeric"})
    assert (error.code, error.field) == ("bad_parquet", str(path))


def test_a_flipped_bit_of_parquet_is_refused_or_read(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    frame = of(x=[1.5] * 40, road=["r", "s", None, "t"] * 10, wet=[True, False] * 20)
    frame.write_parquet(path)
    good = path.read_bytes()
    fields = {"x": "numeric", "road": "category", "wet": "boolean"}
    codes = set()
    for bit in np.random.default_rng(1).integers(8 * len(good), size=400).tolist():
        damaged = bytearray(good)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            tables.read(path, session="car", time="at", fields=fields)
        except InputError as error:
            codes.add(error.code)
    assert "bad_parquet" in codes


@pytest.mark.parametrize(
    "source", [{"car": ["a"]}, [1], None, 7, pl.LazyFrame({"car": ["a"]}), pl.Series("car", ["a"])]
)
def test_what_is_no_table(source: Any) -> None:
    assert refused(source).code == "unsupported_source"


def test_a_table_without_rows() -> None:
    assert refused(of(x=[]), fields={"x": "numeric"}).code == "no_events"


@pytest.mark.parametrize("as_file", [False, True])
def test_a_missing_column_names_close_ones(as_file: bool, tmp_path: Path) -> None:
    source: Any = of(speed=[1.0])
    if as_file:
        source.write_parquet(tmp_path / "events.parquet")
        source = tmp_path / "events.parquet"
    error = refused(source, fields={"spede": "numeric"})
    assert (error.code, error.field) == ("missing_column", "spede")
    assert "did you mean 'speed'?" in error.hint
    assert "car, at, speed" in error.hint


def test_two_columns_of_a_name_in_pandas() -> None:
    frame = pd.DataFrame([["a", 1.0, 2.0]], columns=["car", "at", "at"])
    assert refused(frame).code == "duplicate_column"


def test_requests_that_cannot_be_meant() -> None:
    assert refused(of(x=[1.0]), fields={"x": "numeric"}, label="x").code == "label_is_field"
    assert refused(of(x=[1.0]), fields={"x": "number"}).code == "bad_kind"


@pytest.mark.parametrize(
    ("kind", "column", "code", "says"),
    [
        ("numeric", ["1", "2"], "wrong_type", "'1' in row 1 is not a number"),
        ("numeric", [True, False], "wrong_type", "True in row 1"),
        ("numeric", [1.0, float("nan")], "not_finite", "nan in row 2"),
        ("numeric", [None, 1.0, float("-inf")], "not_finite", "-inf in row 3"),
        ("numeric", [[1.0]], "wrong_type", "row 1"),
        ("boolean", [None, 1, 2], "wrong_type", "2 in row 3 is not true or false"),
        ("boolean", ["true", "yes"], "wrong_type", "'yes' in row 2"),
        ("boolean", [1.0, 0.5], "wrong_type", "0.5 in row 2"),
        ("boolean", [time(1)], "wrong_type", "row 1"),
        ("category", [1.0], "wrong_type", "1.0 in row 1 is not text or an integer"),
        ("category", [True], "wrong_type", "True in row 1"),
        ("category", [b"x"], "wrong_type", "b'x' in row 1"),
    ],
)
def test_cells_of_a_frame(kind: str, column: list[Any], code: str, says: str) -> None:
    error = refused(of(x=column), fields={"x": kind})
    assert (error.code, error.field) == (code, "x")
    assert says in error.message


@pytest.mark.parametrize(
    ("kind", "column", "code", "says"),
    [
        ("numeric", [1.5, None, "fast"], "wrong_type", "'fast' in row 3"),
        ("numeric", [1.5, True], "wrong_type", "True in row 2"),
        ("numeric", [1, 10**400], "not_finite", "in row 2 is not a finite number"),
        ("numeric", [1.5, 10**400], "not_finite", "in row 2 is not a finite number"),
        ("category", ["x", None, 1.5], "wrong_type", "1.5 in row 3"),
        ("category", ["x", ("y",)], "wrong_type", "('y',) in row 2"),
        ("boolean", [True, "maybe"], "wrong_type", "in row"),
    ],
)
def test_cells_of_pandas_objects(kind: str, column: list[Any], code: str, says: str) -> None:
    cells = np.empty(len(column), dtype=object)
    cells[:] = column
    frame = pd.DataFrame({"car": ["a"] * len(column), "at": 1.0, "x": cells})
    error = refused(frame, fields={"x": kind})
    assert (error.code, error.field) == (code, "x")
    assert says in error.message


def test_integers_that_pandas_made_floats_get_a_hint() -> None:
    frame = pd.DataFrame({"car": ["a", "a"], "at": 1.0, "x": [1, None]})
    assert "Int64" in refused(frame, fields={"x": "category"}).hint


@pytest.mark.parametrize(
    ("kind", "cell", "code"),
    [
        ("numeric", "fast", "wrong_type"),
        ("numeric", " 1", "wrong_type"),
        ("numeric", "NA", "wrong_type"),
        ("numeric", "NaN", "not_finite"),
        ("numeric", "-inf", "not_finite"),
        ("numeric", "1e999", "not_finite"),
        ("boolean", "yes", "wrong_type"),
        ("boolean", "2", "wrong_type"),
    ],
)
def test_cells_of_csv_name_their_line(kind: str, cell: str, code: str, tmp_path: Path) -> None:
    path = csv(tmp_path, f'car,at,z,x\na,1,"two\nlines",1\na,2,,\na,3,,{cell}\n')
    error = refused(path, fields={"x": kind})
    assert (error.code, error.field) == (code, "x")
    assert "in row 3 (line 5)" in error.message


@pytest.mark.parametrize(
    ("column", "says"),
    [
        ([None, "a"], "is missing in row 1"),
        (["a", ""], "'' in row 2 has 0 bytes"),
        (["a", "é" * 257], "in row 2 has 514 bytes"),
        (["a", "x" * 10_000], "in row 2 has 10,000 bytes"),
        ([1.0, 2.0], "1.0 in row 1 is not a session id"),
        ([True, False], "True in row 1"),
    ],
)
def test_session_ids(column: list[Any], says: str) -> None:
    error = refused(of(car=column))
    assert (error.code, error.field) == ("bad_session_id", "car")
    assert says in error.message
    assert len(error.message) < 100


def test_session_ids_that_utf8_cannot_write() -> None:
    frame = pd.DataFrame({"car": np.array(["a", "\ud800"], dtype=object), "at": 1.0}, dtype=object)
    assert "in row 2 is not valid Unicode" in refused(frame).message


def test_session_ids_of_512_bytes_and_of_any_characters() -> None:
    ids = ["é" * 256, "a/b", "a%2Fb", "😀", " ", "\n"]
    assert set(tables.read(of(car=ids), session="car", time="at", fields={}).sessions) == set(ids)


@pytest.mark.parametrize(
    ("column", "says"),
    [
        ([1.0, None], "is missing in row 2"),
        (["2013-01-31T06:30:00Z", "soon"], "'soon' in row 2 is no time"),
        (["2013-02-30"], "'2013-02-30' in row 1 is no time"),
        (["20130131"], "'20130131' in row 1 is no time"),
        ([1.0, float("nan")], "nan in row 2 is outside"),
        ([1_359_613_800_000], "1359613800000 in row 1 is outside the years 1 to 9999"),
        ([True], "True in row 1 is no time"),
        ([time(6, 30)], "in row 1 is no time"),
    ],
)
def test_times(column: list[Any], says: str) -> None:
    error = refused(of(at=column))
    assert (error.code, error.field) == ("bad_time", "at")
    assert says in error.message


def test_times_of_csv_are_all_numbers_or_all_text(tmp_path: Path) -> None:
    error = refused(csv(tmp_path, "car,at\na,2013-01-31T06:30:00Z\na,1359613800\n"))
    assert "'1359613800' in row 2 (line 3) is no time" in error.message


def test_labels_have_to_be_finite() -> None:
    error = refused(of(y=[1.0, float("nan")]), label="y")
    assert (error.code, error.field) == ("not_finite", "y")
    assert refused(of(y=[time(1)]), label="y").code == "wrong_type"


def test_a_huge_cell_makes_no_huge_message(tmp_path: Path) -> None:
    error = refused(csv(tmp_path, f"car,at,x\na,1,{'9z' * 100_000}\n"), fields={"x": "numeric"})
    assert re.search(r"'9z9z.*\.\.\..*9z' in row 1 \(line 2\)", error.message)
    assert len(str(error)) < 300
