"""The structure of a CSV file, against the standard library's reader."""

from __future__ import annotations

import csv
import io

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.errors import InputError
from tidegate.tables import csv_layout

rows_of = st.integers(2, 4).flatmap(
    lambda width: st.lists(
        st.lists(st.text('a,"\n\r ', max_size=4), min_size=width, max_size=width),
        min_size=1,
        max_size=6,
    )
)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Borders of blocks fall everywhere."""
    monkeypatch.setattr(csv_layout, "BLOCK", 3)


def file_of(rows: list[list[str]], end: str, *, quote_all: bool) -> bytes:
    text = io.StringIO()
    quoting = csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
    csv.writer(text, lineterminator=end, quoting=quoting).writerows(rows)
    return text.getvalue().encode().removesuffix(end.encode())


@settings(max_examples=200, deadline=None)
@given(rows_of, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_whatever_is_written_well_is_accepted(
    rows: list[list[str]], end: str, quote_all: bool
) -> None:
    data = file_of(rows, end, quote_all=quote_all)
    assert csv_layout.check_layout(data, "x") == len(rows)
    before = [file_of([*rows[:i], []], end, quote_all=quote_all) for i in range(len(rows))]
    lines = [part.count(b"\n") + 1 for part in before]
    assert [csv_layout.line_of(data, "x", i) for i in range(len(rows))] == lines


@pytest.mark.parametrize("before", range(7))
def test_bytes_that_are_not_utf8_are_found_across_blocks(before: int) -> None:
    good = ("x" * before + "é😀\n").encode()
    csv_layout.check_utf8(good * 3, "x")
    for bad in ("😀".encode() + b"\xff\n\n\n", "😀".encode()[:3] + b"\n\n\n", "é".encode()[:1]):
        with pytest.raises(InputError) as caught:
            csv_layout.check_utf8(good + b"x" * before + bad, "x")
        assert "line 2 " in caught.value.message


@settings(max_examples=200, deadline=None)
@given(rows_of, st.data())
def test_a_row_of_another_length_is_found(rows: list[list[str]], data: st.DataObject) -> None:
    broken = data.draw(st.integers(1, len(rows))) - 1
    if broken == 0:
        rows = [rows[0], *rows]
        broken = 1
    rows[broken] = [*rows[broken], "x"] if data.draw(st.booleans()) else rows[broken][:-1]
    before = file_of(rows[:broken], "\n", quote_all=True)
    with pytest.raises(InputError) as caught:
        csv_layout.check_layout(file_of(rows, "\n", quote_all=True), "x")
    assert caught.value.code == "ragged_row"
    line = before.count(b"\n") + 2
    assert f"line {line} has {len(rows[broken])} cells" in caught.value.message


@settings(max_examples=500, deadline=None)
@given(st.text('a,"\n', min_size=1, max_size=12).map(lambda text: "h,i\n" + text.rstrip("\n")))
def test_what_is_accepted_is_read_alike_by_every_reader(text: str) -> None:
    data = text.rstrip("\n").encode()
    try:
        count = csv_layout.check_layout(data, "x")
    except InputError:
        return
    records = list(csv.reader(io.StringIO(data.decode(), newline=""), strict=True))
    assert len(records) == count
    assert {len(record) for record in records} == {2}
    frame = pl.read_csv(data, infer_schema=False).fill_null("")
    assert [list(row) for row in frame.rows()] == records[1:]
