"""The same events from every source, grouped and ordered."""

from __future__ import annotations

import tempfile
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate import tables
from tidegate.tables import EventTable

FIELDS = {"speed": "numeric", "stops": "numeric", "road": "category", "wet": "boolean"}
NAMES = {"session": "car", "time": "at", "label": "late", "fields": FIELDS}

EVENTS = pl.DataFrame(
    {
        "car": ["b", "ä/%2F", "b", "😀", "b"],
        "at": [datetime(2013, 1, d, 6, 15, 0, 123_456) for d in (3, 1, 2, 1, 3)],
        "speed": [0.1, None, -1e-300, 1.7976931348623157e308, 33.0],
        "stops": [1, 2, None, 4, 5],
        "road": ["007", None, 'say "A, B"\r\nor C', "NaN", "007"],
        "wet": [True, False, None, True, False],
        "late": ["yes", None, "no", "yes", None],
        "unused": [[1], [2], [3], [4], [5]],
    }
)


def same(table: EventTable, other: EventTable) -> None:
    """Check that two tables hold the same events, to the bit and the type."""
    assert table.sessions == other.sessions
    assert list(table.columns) == list(other.columns)
    pairs = [(table.columns[name], other.columns[name]) for name in table.columns] + [
        (getattr(table, name), getattr(other, name))
        for name in ("offsets", "times", "seqs", "source_rows", "labels")
    ]
    for mine, theirs in pairs:
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)


def written(frame: pl.DataFrame, path: Path) -> Path:
    if path.suffix.lower() == ".csv":
        frame.select(pl.exclude("unused")).write_csv(path)
    else:
        frame.write_parquet(path)
    return path


SOURCES = {
    "csv": lambda frame, folder: written(frame, folder / "events.csv"),
    "text path": lambda frame, folder: str(written(frame, folder / "EVENTS.CSV")),
    "parquet": lambda frame, folder: written(frame, folder / "events.parquet"),
    "polars": lambda frame, _: frame,
    "categorical": lambda frame, _: frame.with_columns(pl.col("road").cast(pl.Categorical)),
    "nanoseconds": lambda frame, _: frame.with_columns(pl.col("at").dt.cast_time_unit("ns")),
    "arrow": lambda frame, _: frame.to_arrow(),
    "pandas": lambda frame, _: frame.to_pandas(),
    "pandas objects": lambda frame, _: frame.to_pandas().astype(object),
    "pandas nullable": lambda frame, _: frame.to_pandas().convert_dtypes(),
    "pandas arrow": lambda frame, _: frame.to_pandas(use_pyarrow_extension_array=True),
    "pandas csv": lambda frame, folder: pandas_csv(frame, folder / "events.csv"),
}


def pandas_csv(frame: pl.DataFrame, path: Path) -> Path:
    frame.to_pandas().drop(columns="unused").to_csv(path, index=False)
    return path


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_gives_the_same_table(source: str, tmp_path: Path) -> None:
    table = tables.read(SOURCES[source](EVENTS, tmp_path), **NAMES)
    same(table, tables.read(EVENTS, **NAMES))
    assert table.sessions == ["ä/%2F", "😀", "b"]
    assert table.offsets.tolist() == [0, 1, 2, 5]
    assert table.lengths.tolist() == [1, 1, 3]
    assert table.n_events == 5
    assert table.seqs.tolist() == [1, 1, 1, 2, 3]
    assert table.source_rows.tolist() == [1, 3, 2, 0, 4]
    assert table.times[3] == datetime(2013, 1, 3, 6, 15, 0, 123_456, tzinfo=UTC).timestamp()
    speeds = [np.nan, 1.7976931348623157e308, -1e-300, 0.1, 33.0]
    np.testing.assert_array_equal(table.columns["speed"], speeds)
    np.testing.assert_array_equal(table.columns["stops"], [2.0, 4.0, np.nan, 1.0, 5.0])
    assert table.columns["road"].tolist() == [None, "NaN", 'say "A, B"\r\nor C', "007", "007"]
    np.testing.assert_array_equal(table.columns["wet"], [0.0, 1.0, np.nan, 1.0, 0.0])
    assert table.labels is not None
    assert table.labels.tolist() == [None, "yes", "no", "yes", None]
    assert table.notes == [
        "times that name no zone, read as UTC: 5",
        "events at the time of their session's previous one, kept in input order: 1",
    ]


TYPES = {
    "car": pl.String,
    "at": pl.Int64,
    "speed": pl.Float64,
    "stops": pl.Int64,
    "road": pl.String,
    "wet": pl.Boolean,
    "late": pl.Float64,
}
values = st.fixed_dictionaries(
    {
        "car": st.text(min_size=1, max_size=3).filter(lambda t: "\0" not in t),
        "at": st.integers(-(10**6), 10**10),
        "speed": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "stops": st.none() | st.integers(-(2**63), 2**63 - 1),
        "road": st.none() | st.text(max_size=4),
        "wet": st.none() | st.booleans(),
        "late": st.none() | st.floats(allow_nan=False, allow_infinity=False),
    }
)


@settings(max_examples=60, deadline=None)
@given(st.lists(values, min_size=1, max_size=12))
def test_files_bring_back_any_events(events: list[dict[str, Any]]) -> None:
    frame = pl.DataFrame(events, schema=TYPES)
    table = tables.read(frame, **NAMES)

    by_hand: dict[str, list[int]] = {}
    for row in sorted(range(len(events)), key=lambda row: events[row]["at"]):
        by_hand.setdefault(events[row]["car"], []).append(row)
    begun = {car: (events[rows[0]]["at"], min(rows)) for car, rows in by_hand.items()}
    assert table.sessions == sorted(by_hand, key=begun.__getitem__)
    assert table.source_rows.tolist() == [row for car in table.sessions for row in by_hand[car]]
    in_order = [events[row] for row in table.source_rows]
    assert table.columns["road"].tolist() == [event["road"] for event in in_order]

    columns = {name: frame[name].to_numpy() for name in frame.columns}
    with tempfile.TemporaryDirectory() as folder:  # tmp_path outlives an example
        for name in ("events.csv", "events.parquet"):
            path = Path(folder, name)
            tables.write(path, columns)
            same(tables.read(path, **NAMES), table)


def one(column: Any, kind: str) -> list[Any]:
    """Read a field of one session, from a pandas frame or from what polars makes a column of."""
    if isinstance(column, pd.DataFrame):
        frame: Any = column.assign(car="a")
    else:
        frame = pl.DataFrame({"x": column}).with_columns(car=pl.lit("a"))
    return tables.read(frame, session="car", fields={"x": kind}).columns["x"].tolist()


@pytest.mark.parametrize(
    ("column", "kind", "expected"),
    [
        (pl.Series([1, 0], dtype=pl.UInt8), "boolean", [1.0, 0.0]),
        ([1.0, 0.0], "boolean", [1.0, 0.0]),
        (["True", "fALSE"], "boolean", [1.0, 0.0]),
        ([17, -3], "category", ["17", "-3"]),
        (pl.Series(["1.50", "2"]).cast(pl.Decimal(6, 2)), "numeric", [1.5, 2.0]),
        (pl.Series(["a", "b"], dtype=pl.Enum(["b", "a"])), "category", ["a", "b"]),
        (pd.DataFrame({"x": pd.Categorical([7, 8])}), "category", ["7", "8"]),
        (pd.DataFrame({"x": np.array([7, "x"], dtype=object)}), "category", ["7", "x"]),
        (pd.DataFrame({"x": np.array([7, 0.5], dtype=object)}), "numeric", [7.0, 0.5]),
        ([None, None], "category", [None, None]),
    ],
)
def test_types_of_a_kind(column: Any, kind: str, expected: list[Any]) -> None:
    assert one(column, kind) == expected


@pytest.mark.parametrize("kind", ["numeric", "boolean"])
def test_a_column_without_values_is_missing_everywhere(kind: str) -> None:
    assert np.isnan(one([None, None], kind)).all()


HALF_PAST = 1_359_613_800.0


@pytest.mark.parametrize(
    "at",
    [
        [HALF_PAST],
        [int(HALF_PAST)],
        ["2013-01-31T06:30:00Z"],
        ["2013-01-31t06:30:00.000000z"],
        ["2013-01-31 07:30+01:00"],
        ["2013-01-31T01:30:00-0500"],
        [datetime(2013, 1, 31, 1, 30, tzinfo=timezone(timedelta(hours=-5)))],
        pl.Series([datetime(2013, 1, 31, 6, 30, tzinfo=UTC)]).dt.convert_time_zone("Asia/Tokyo"),
    ],
)
@pytest.mark.parametrize("as_csv", [False, True])
def test_times_with_a_zone(at: Any, as_csv: bool, tmp_path: Path) -> None:
    frame: Any = pl.DataFrame({"car": ["a"], "at": at})
    if as_csv:
        frame.write_csv(tmp_path / "events.csv")
        frame = tmp_path / "events.csv"
    table = tables.read(frame, session="car", time="at", fields={})
    assert table.times.tolist() == [HALF_PAST]
    assert table.notes == []


@pytest.mark.parametrize(
    "at", [["2013-01-31"], [date(2013, 1, 31)], pd.Series([date(2013, 1, 31)], dtype=object)]
)
def test_a_date_is_its_midnight_in_utc(at: Any) -> None:
    frame = pd.DataFrame({"car": ["a"], "at": at})
    table = tables.read(frame, session="car", time="at", fields={})
    assert table.times.tolist() == [1_359_590_400.0]
    assert table.notes == ["times that name no zone, read as UTC: 1"]


def test_without_times_the_order_of_the_input_is_kept() -> None:
    frame = pl.DataFrame({"car": [2, 1, 2], "x": [1.0, 2.0, 3.0]})
    table = tables.read(frame, session="car", fields={"x": "numeric"})
    assert table.sessions == ["2", "1"]
    assert table.columns["x"].tolist() == [1.0, 3.0, 2.0]
    assert table.times.tolist() == [0.0, 0.0, 0.0]
    assert table.labels is None
    assert table.notes == [
        "no time column: events keep the order of the input, and every time is 0"
    ]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ("1,0.5,,1e3", [1.0, 0.5, np.nan, 1000.0]),
        ("007,1,,1", ["007", "1", None, "1"]),
        ('yes,no,"",1', ["yes", "no", None, "1"]),
        (",,,", [np.nan] * 4),
    ],
)
def test_labels_of_csv(cells: str, expected: list[Any], tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("car,y\n" + "".join(f"a,{cell}\n" for cell in cells.split(",")))
    labels = tables.read(path, session="car", fields={}, label="y").labels
    assert labels is not None
    wanted = np.array(expected)
    assert labels.dtype == wanted.dtype
    np.testing.assert_array_equal(labels, wanted)


def test_boolean_labels_are_text_as_in_csv() -> None:
    frame = pl.DataFrame({"car": ["a", "a", "a"], "y": [True, None, False]})
    labels = tables.read(frame, session="car", fields={}, label="y").labels
    assert labels is not None
    assert labels.tolist() == ["true", None, "false"]


def test_csv_cells_mean_what_they_say(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_bytes(
        b'\xef\xbb\xbf"car",road,wet,speed,"a,b"\r\n"x ""1""",007,TRUE,,1\r\nx,"",0,"",2\r\n\r\n\n'
    )
    table = tables.read(
        path,
        session="car",
        fields={"road": "category", "wet": "boolean", "speed": "numeric", "a,b": "numeric"},
    )
    assert table.sessions == ['x "1"', "x"]
    assert table.columns["road"].tolist() == ["007", ""]
    assert table.columns["wet"].tolist() == [1.0, 0.0]
    assert np.isnan(table.columns["speed"]).all()
    assert table.columns["a,b"].tolist() == [1.0, 2.0]


def test_take_gives_whole_sessions_in_the_order_asked_for() -> None:
    table = tables.read(EVENTS, **NAMES)
    taken = table.take([2, 0])
    assert taken.sessions == ["b", "ä/%2F"]
    assert taken.offsets.tolist() == [0, 3, 4]
    assert taken.source_rows.tolist() == [2, 0, 4, 1]
    assert taken.seqs.tolist() == [1, 2, 3, 1]
    assert taken.columns["stops"].tolist()[1:] == [1.0, 5.0, 2.0]
    assert taken.labels is not None
    assert taken.labels.tolist() == ["no", "yes", None, None]
    assert taken.times.tolist() == table.times[[2, 3, 4, 0]].tolist()
    assert table.take([]).n_events == 0
    same(table.take([0, 1, 2]), table)
