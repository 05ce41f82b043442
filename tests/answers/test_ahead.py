from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tidegate.answers.ahead import Track

LENGTHS = st.lists(st.integers(1, 6), min_size=1, max_size=4)


def series(lengths: list[int]) -> tuple[np.ndarray, np.ndarray]:
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    values = np.random.default_rng(sum(lengths)).normal(size=offsets[-1])
    return values, offsets


@given(LENGTHS, st.integers(-4, 8))
def test_what_is_ahead_is_the_later_value_of_the_same_session(
    lengths: list[int], steps: int
) -> None:
    values, offsets = series(lengths)
    track = Track.of(values, offsets)
    found = track.ahead(steps)
    for start, end in pairwise(offsets.tolist()):
        for at in range(start, end):
            wanted = values[at + steps] if start <= at + steps < end else np.nan
            np.testing.assert_equal(found[at], wanted)
            assert track.left[at] == end - 1 - at


@given(LENGTHS, st.integers(1, 8), st.integers(1, 5))
def test_a_seasonal_forecast_is_the_newest_known_value_of_the_same_place(
    lengths: list[int], steps: int, season: int
) -> None:
    values, offsets = series(lengths)
    found = Track.of(values, offsets).seasonal(steps, season)
    for start, end in pairwise(offsets.tolist()):
        for at in range(start, end):
            source = at + steps
            while source > at:
                source -= season
            wanted = values[source] if source >= start else np.nan
            np.testing.assert_equal(found[at], wanted)


def test_the_naive_error_is_of_values_a_season_apart_in_one_session() -> None:
    values, offsets = np.array([1.0, 2.0, 4.0, np.nan, 100.0]), np.array([0, 4, 5])
    track = Track.of(values, offsets)
    assert [track.naive_error(season) for season in (1, 2, 9)] == [1.5, 3.0, 0.0]


@given(LENGTHS, st.integers(-3, 3), st.randoms())
def test_some_events_know_what_is_among_them(lengths: list[int], steps: int, random: Any) -> None:
    values, offsets = series(lengths)
    whole = Track.of(values, offsets)
    kept = [at for at in range(len(values)) if random.random() < 0.6]
    random.shuffle(kept)
    found = Track.from_truth(whole.truth()[kept]).ahead(steps)
    wanted = [whole.ahead(steps)[at] if at + steps in kept else np.nan for at in kept]
    np.testing.assert_array_equal(found, wanted)
