from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tidegate.answers import ahead

LENGTHS = st.lists(st.integers(1, 6), min_size=1, max_size=4)


def series(lengths: list[int]) -> tuple[np.ndarray, np.ndarray]:
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    values = np.random.default_rng(sum(lengths)).normal(size=offsets[-1])
    return values, offsets


@given(LENGTHS, st.integers(0, 8))
def test_what_is_ahead_is_the_later_value_of_the_same_session(
    lengths: list[int], steps: int
) -> None:
    values, offsets = series(lengths)
    found = ahead.shifted(values, ahead.following(offsets), steps)
    for start, end in pairwise(offsets.tolist()):
        for at in range(start, end):
            wanted = values[at + steps] if at + steps < end else np.nan
            np.testing.assert_equal(found[at], wanted)


@given(LENGTHS, st.integers(1, 8), st.integers(1, 5))
def test_a_seasonal_forecast_is_the_newest_known_value_of_the_same_place(
    lengths: list[int], steps: int, season: int
) -> None:
    values, offsets = series(lengths)
    found = ahead.seasonal(values, offsets, steps, season)
    for start, end in pairwise(offsets.tolist()):
        for at in range(start, end):
            source = at + steps
            while source > at:
                source -= season
            wanted = values[source] if source >= start else np.nan
            np.testing.assert_equal(found[at], wanted)


def test_the_naive_error_is_of_values_a_season_apart_in_one_session() -> None:
    values, offsets = np.array([1.0, 2.0, 4.0, np.nan, 100.0]), np.array([0, 4, 5])
    assert ahead.naive_error(values, offsets, 1) == 1.5
    assert ahead.naive_error(values, offsets, 2) == 3.0
    assert ahead.naive_error(values, offsets, 9) == 0.0
