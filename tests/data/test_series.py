from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.data.series import interpolate, prepare
from tidegate.errors import InputError

START = datetime(2024, 1, 1)
HOUR = timedelta(hours=1)


def frame(*rows: tuple[str, float, float | None], **more: Any) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "unique_id": [name for name, _, _ in rows],
            "ds": [START + hours * HOUR for _, hours, _ in rows],
            "y": pl.Series([value for _, _, value in rows], dtype=pl.Float64),
            **more,
        }
    )


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from("abc"),
        st.sets(st.integers(0, 12), min_size=1),
        min_size=1,
    ),
    st.randoms(),
)
def test_every_step_has_one_row_and_every_value_its_place(
    places: dict[str, set[int]], random: Any
) -> None:
    # Some neighbours are there: a series without any has another step.
    kept = {name: set(range(13)) - set(list(gaps)[:5]) for name, gaps in places.items()}
    rows = [(name, float(at), float(at)) for name, hours in kept.items() for at in hours]
    random.shuffle(rows)
    found = prepare(frame(*rows), step=HOUR, lags={"y": [2]}, known={"y": [1]})
    assert found["unique_id"].unique(maintain_order=True).to_list() == list(
        dict.fromkeys(name for name, _, _ in rows)
    )
    for name, hours in kept.items():
        part = found.filter(pl.col("unique_id") == name)
        whole = range(min(hours), max(hours) + 1)
        assert part["ds"].to_list() == [START + at * HOUR for at in whole]
        for ahead, column in {0: "y", -2: "y-2", 1: "y+1"}.items():
            wanted = [float(at + ahead) if at + ahead in hours else None for at in whole]
            assert part[column].to_list() == wanted


def test_the_step_is_the_usual_one() -> None:
    rows = [("a", 0.0, 1.0), ("a", 1.0, 2.0), ("a", 2.0, 3.0), ("a", 5.0, 4.0), ("b", 7.0, 5.0)]
    found = prepare(frame(*rows))
    assert found["y"].to_list() == [1.0, 2.0, 3.0, None, None, 4.0, 5.0]


def test_what_is_constant_is_in_new_rows_too() -> None:
    rows = [("a", 0.0, 1.0), ("a", 1.0, 2.0), ("a", 3.0, 3.0)]
    found = prepare(frame(*rows, shop=["x", "x", "x"], mood=["p", "q", "r"]), constant=["shop"])
    assert found["shop"].to_list() == ["x"] * 4
    assert found["mood"].to_list() == ["p", "q", None, "r"]


def test_other_names_and_text_times(tmp_path: Any) -> None:
    path = tmp_path / "a.csv"
    path.write_text("shop,day,sold\nx,2024-01-01,1\nx,2024-01-02,2\nx,2024-01-04,3\n")
    found = prepare(path, session="shop", time="day", step=timedelta(days=1))
    assert found["sold"].to_list() == [1, 2, None, 3]


@pytest.mark.parametrize(
    ("rows", "code", "says"),
    [
        ([("a", 0.0, 1.0), ("a", 0.0, 2.0), ("a", 1.0, 2.0)], "duplicate_time", "'a'"),
        ([("a", 0.0, 1.0), ("a", 1.0, 2.0), ("a", 2.5, 2.0)], "mixed_step", "'a'"),
        (
            [("a", float(at), 1.0) for at in range(5)] + [("b", 24.0 * at, 1.0) for at in range(3)],
            "mixed_step",
            "'b'",
        ),
        ([("a", 0.0, 1.0)], "missing_key", "step"),
    ],
)
def test_series_without_a_common_step_are_refused(
    rows: list[tuple[str, float, float | None]], code: str, says: str
) -> None:
    with pytest.raises(InputError, match=says) as caught:
        prepare(frame(*rows))
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"time": "when"}, "missing_column"),
        ({"time": "y"}, "bad_time"),
        ({"constant": ["y"]}, "constant_changed"),
        ({"lags": {"y": [0]}}, "out_of_range"),
        ({"known": {"z": [1]}}, "missing_column"),
        ({"step": timedelta(0)}, "out_of_range"),
    ],
)
def test_what_a_frame_cannot_give_is_refused(options: dict[str, Any], code: str) -> None:
    with pytest.raises(InputError) as caught:
        prepare(frame(("a", 0.0, 1.0), ("a", 1.0, 2.0)), **options)
    assert caught.value.code == code


@pytest.mark.parametrize("text", ["01/02/2024", "01/13/2024 08:00", "13.1.2024", "2024/01/02"])
def test_dates_that_may_be_read_in_two_ways_are_refused(text: str) -> None:
    given_text = pl.DataFrame({"unique_id": ["a"] * 2, "ds": ["2024-01-01", text], "y": [1.0, 2.0]})
    with pytest.raises(InputError, match="does not begin with a date of ISO 8601") as bad:
        prepare(given_text)
    assert bad.value.code == "bad_time"


def test_words_that_are_no_times_are_refused() -> None:
    with pytest.raises(InputError, match="bad_time"):
        prepare(pl.DataFrame({"unique_id": ["a"], "ds": ["soon"], "y": [1.0]}))


def test_a_line_is_drawn_through_short_gaps_of_one_series() -> None:
    rows = [("a", 0.0, 1.0), ("a", 1.0, None), ("a", 2.0, 5.0), ("a", 3.0, None)]
    rows += [("b", 0.0, None), ("b", 1.0, 7.0), ("b", 2.0, None), ("b", 3.0, None), ("b", 4.0, 1.0)]
    found = interpolate(frame(*rows), limit=1)
    assert found["y"].to_list() == [1.0, 3.0, 5.0, None, None, 7.0, None, None, 1.0]
    assert interpolate(frame(*rows), limit=2)["y"].to_list()[4:] == [None, 7.0, 5.0, 3.0, 1.0]
