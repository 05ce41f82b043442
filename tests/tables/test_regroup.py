"""Tables regrouped on disk are those that are read into memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate import tables
from tidegate.errors import InputError
from tidegate.tables import pieces as pieces_
from tidegate.tables import regrouping
from tidegate.tables.pieces import Pieces
from tidegate.tables.regrouping import regroup

FIELDS = {"x": "numeric", "lane": "category", "wet": "boolean"}
READ: dict[str, Any] = {"session": "car", "fields": FIELDS, "time": "at", "label": "jam"}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces_, "PIECE", 7)
    monkeypatch.setattr(regrouping, "BYTES", 500)


def events(count: int, seed: int, *, worded: bool = True) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    labels = rng.choice(["yes", "no", None], count).tolist() if worded else rng.random(count)
    return pl.DataFrame(
        {
            "car": rng.integers(0, max(count // 4, 1), count),
            "at": rng.integers(0, 50, count).astype(float),
            "x": [None if rng.random() < 0.2 else float(rng.normal()) for _ in range(count)],
            "lane": rng.choice(["a", "b", "", None], count).tolist(),
            "wet": rng.choice([True, False, None], count).tolist(),
            "jam": labels,
            "other": rng.random(count),
        },
        schema_overrides={"jam": pl.String if worded else pl.Float64},
    )


def both(
    path: Path, **changes: Any
) -> tuple[tables.EventTable, regrouping.Regrouped, list[tables.EventTable]]:
    asked = {**READ, **changes}
    found = regroup(Pieces(path, **asked), path.parent)
    blocks = list(found.blocks())
    found.close()
    begins = np.cumsum([0, *[len(block.sessions) for _, block in blocks]])
    assert [first for first, _ in blocks] == begins[:-1].tolist()
    return tables.read(path, **asked), found, [block for _, block in blocks]


def assert_equal(
    table: tables.EventTable, found: regrouping.Regrouped, blocks: list[tables.EventTable]
) -> None:
    assert found.sessions == table.sessions
    assert [name for block in blocks for name in block.sessions] == table.sessions
    assert found.notes == table.notes
    np.testing.assert_array_equal(found.offsets, table.offsets)
    np.testing.assert_array_equal(found.first_times, table.times[table.offsets[:-1]])
    lengths = np.concatenate([block.lengths for block in blocks])
    np.testing.assert_array_equal(lengths, table.lengths)
    for name in ("times", "labels", "source_rows"):
        one = np.concatenate([getattr(block, name) for block in blocks])
        assert one.dtype == getattr(table, name).dtype
        np.testing.assert_array_equal(one, getattr(table, name))
    for name, column in table.columns.items():
        one = np.concatenate([block.columns[name] for block in blocks])
        assert one.dtype == column.dtype
        np.testing.assert_array_equal(one, column)


@settings(max_examples=25, deadline=None)
@given(count=st.integers(1, 120), seed=st.integers(0, 99), group=st.integers(1, 40))
def test_blocks_are_the_table(
    tmp_path_factory: pytest.TempPathFactory, count: int, seed: int, group: int
) -> None:
    path = tmp_path_factory.mktemp("regroup") / "events.parquet"
    events(count, seed, worded=seed % 2 == 0).write_parquet(path, row_group_size=group)
    assert_equal(*both(path))


def test_no_time_a_zone_unnamed_and_one_long_session(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    frame = events(100, 1)
    frame.write_parquet(path)
    assert_equal(*both(path, time=None))
    frame.with_columns(pl.from_epoch(pl.col("at").cast(pl.Int64)).alias("at")).write_parquet(path)
    table, found, blocks = both(path)
    assert_equal(table, found, blocks)
    assert "times that name no zone, read as UTC: 100" in found.notes
    frame.with_columns(car=pl.when(pl.col("car") > 2).then(0).otherwise("car")).write_parquet(path)
    table, found, blocks = both(path)
    assert_equal(table, found, blocks)
    assert max(block.n_events for block in blocks) > 50


def test_a_folder_is_one_table(tmp_path: Path) -> None:
    frame = events(90, 5)
    folder = tmp_path / "events"
    folder.mkdir()
    for number, begin in enumerate((0, 20, 20, 61)):
        end = (20, 20, 61, 90)[number]
        frame[begin:end].write_parquet(folder / f"part-{number}.parquet")
    (folder / "_SUCCESS").write_text("")
    assert_equal(*both(folder))
    frame.write_parquet(tmp_path / "whole.parquet")
    whole = tables.read(tmp_path / "whole.parquet", **READ)
    np.testing.assert_array_equal(tables.read(folder, **READ).source_rows, whole.source_rows)


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"x": pl.Series([1.0] * 19 + [np.nan])}, "not_finite", "row 20"),
        ({"at": pl.Series([1.0] * 9 + [None] + [2.0] * 10)}, "bad_time", "row 10"),
        ({"car": pl.Series(["a"] * 19 + [""])}, "bad_session_id", "row 20"),
        ({"lane": pl.Series([0.5] * 20)}, "wrong_type", "row 1"),
    ],
)
def test_errors_name_the_row_of_the_file(
    tmp_path: Path, change: dict[str, pl.Series], code: str, says: str
) -> None:
    path = tmp_path / "events.parquet"
    events(20, 1).with_columns(**change).write_parquet(path)
    for act in (lambda: regroup(Pieces(path, **READ), tmp_path), lambda: tables.read(path, **READ)):
        with pytest.raises(InputError, match=says) as caught:
            act()
        assert caught.value.code == code
    assert [file.name for file in tmp_path.iterdir()] == ["events.parquet"]


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    def code(path: Path, **changes: Any) -> str:
        with pytest.raises(InputError) as caught:
            regroup(Pieces(path, **{**READ, **changes}), tmp_path)
        return caught.value.code

    path = tmp_path / "a.parquet"
    assert code(path) == "file_not_found"
    assert code(tmp_path) == "no_files"
    assert code(tmp_path / "events.csv") == "unsupported_source"
    path.write_bytes(b"PAR1")
    assert code(path) == "bad_parquet"
    frame = events(20, 1)
    frame[:0].write_parquet(path)
    assert code(path) == "no_events"
    frame.write_parquet(path)
    assert code(path, fields={"y": "numeric"}) == "missing_column"
    assert code(path, fields={"jam": "category"}) == "label_is_field"
    frame.with_columns(pl.col("x").cast(pl.String)).write_parquet(tmp_path / "b.parquet")
    assert code(tmp_path) == "bad_parquet"


def test_a_file_that_changes_between_the_passes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "events.parquet"
    first_pass = regrouping._first_pass
    for changed in (events(30, 1), events(10, 1), events(20, 2)):
        events(20, 1).write_parquet(path)

        def then_change(*given: Any, changed: pl.DataFrame = changed) -> Any:
            found = first_pass(*given)
            changed.write_parquet(path)
            return found

        monkeypatch.setattr(regrouping, "_first_pass", then_change)
        with pytest.raises(InputError) as caught:
            regroup(Pieces(path, **READ), tmp_path)
        assert caught.value.code == "data_changed"
