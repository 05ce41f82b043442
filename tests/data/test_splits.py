"""Splits share out whole sessions, each to one part."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.data import splits
from tidegate.errors import InputError
from tidegate.tables import EventTable
from tidegate.tables.table import group


def table_of(events: list[tuple[str, float]]) -> EventTable:
    return group([name for name, _ in events], np.array([t for _, t in events]), {}, None, [])


events = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 50).map(float)), min_size=1, max_size=40
)


@settings(max_examples=100, deadline=None)
@given(events, st.lists(st.integers(-5, 55).map(float), min_size=1, max_size=3, unique=True))
def test_by_time_follows_each_sessions_first_event(
    some: list[tuple[str, float]], cuts: list[float]
) -> None:
    cuts.sort()
    first: dict[str, float] = {}
    for name, time in some:
        first[name] = min(time, first.get(name, time))
    bounds = [-np.inf, *cuts, np.inf]
    expected = [
        {name for name, time in first.items() if low <= time < high}
        for low, high in pairwise(bounds)
    ]
    table = table_of(some)
    if all(expected):
        parts = splits.by_time(table, cuts)
        assert [set(part.sessions) for part in parts] == expected
        assert sum(part.n_events for part in parts) == table.n_events
    else:
        with pytest.raises(InputError) as caught:
            splits.by_time(table, cuts)
        assert caught.value.code == "empty_part"
        assert f"part {expected.index(set()) + 1} of {len(expected)}" in caught.value.message


@pytest.mark.parametrize(
    "cut",
    [
        date(2013, 10, 1),
        datetime(2013, 10, 1, tzinfo=UTC),
        "2013-10-01",
        "2013-09-30T20:00:00-04:00",
        1_380_585_600,
    ],
)
def test_a_session_that_goes_on_behind_the_cut_stays_whole(cut: Any) -> None:
    october = datetime(2013, 10, 1, tzinfo=UTC).timestamp()
    table = table_of([("a", october - 1), ("b", october), ("a", october + 9)])
    before, after = splits.by_time(table, [cut])
    assert (before.sessions, before.lengths.tolist()) == (["a"], [2])
    assert (after.sessions, after.lengths.tolist()) == (["b"], [1])


def test_an_empty_part_says_when_sessions_begin() -> None:
    with pytest.raises(InputError) as caught:
        splits.by_time(table_of([("a", 0.0), ("b", 86_400.0)]), ["2013-01-01"])
    assert caught.value.field == "until"
    assert "1970-01-01T00:00:00+00:00 to 1970-01-02T00:00:00+00:00" in caught.value.hint


@settings(max_examples=50, deadline=None)
@given(
    st.integers(20, 60),
    st.sampled_from([(0.8, 0.1, 0.1), (0.5, 0.5), (1.0,), (1 / 3, 1 / 3, 1 / 3)]),
    st.integers(0, 3),
)
def test_by_session_shares_out_the_fractions(
    n: int, fractions: tuple[float, ...], seed: int
) -> None:
    table = table_of([(str(i % n), float(i)) for i in range(2 * n)])
    parts = splits.by_session(table, fractions, seed)
    names = [name for part in parts for name in part.sessions]
    assert sorted(names) == sorted(table.sessions)
    sizes = np.cumsum([len(part.sessions) for part in parts])
    assert (np.abs(sizes - np.cumsum(fractions) * n) <= 0.5 + 1e-9).all()
    for part in parts:
        assert part.sessions == sorted(part.sessions, key=table.sessions.index)
        assert set(part.lengths.tolist()) == {2}
    again = splits.by_session(table, fractions, seed)
    assert [part.sessions for part in again] == [part.sessions for part in parts]


def test_by_session_is_random() -> None:
    table = table_of([(str(i), float(i)) for i in range(100)])
    one, two = (splits.by_session(table, (0.5, 0.5), seed)[0].sessions for seed in (1, 2))
    assert one != two
    assert one != table.sessions[:50]


@pytest.mark.parametrize(
    ("split", "value", "code"),
    [
        (splits.by_time, [], "bad_split"),
        (splits.by_time, [2.0, 1.0], "bad_split"),
        (splits.by_time, [1.0, 1.0], "bad_split"),
        (splits.by_time, ["soon"], "bad_time"),
        (splits.by_session, [], "bad_split"),
        (splits.by_session, [0.5, 0.6], "bad_split"),
        (splits.by_session, [1.5, -0.5], "bad_split"),
        (splits.by_session, [1.0, 0.0], "bad_split"),
        (splits.by_session, [0.5, float("nan")], "bad_split"),
        (splits.by_session, [0.5, 0.25, 0.25], "empty_part"),
    ],
)
def test_refused(split: Any, value: list[Any], code: str) -> None:
    with pytest.raises(InputError) as caught:
        split(table_of([("a", 0.0), ("b", 1.5)]), value)
    assert caught.value.code == code


@settings(max_examples=60, deadline=None)
@given(events, st.lists(st.integers(1, 50).map(float), min_size=1, max_size=2, unique=True))
def test_by_cut_gives_a_part_what_came_before_its_end(
    some: list[tuple[str, float]], cuts: list[float]
) -> None:
    cuts.sort()
    table = table_of(some)
    spans = list(pairwise([-np.inf, *cuts, np.inf]))
    inside = [{name for name, time in some if low <= time < high} for low, high in spans]
    if not all(inside):
        with pytest.raises(InputError, match="empty_part"):
            splits.by_cut(table, cuts)
        return
    for part, (low, high), names in zip(splits.by_cut(table, cuts), spans, inside, strict=True):
        assert set(part.sessions) == names
        assert part.counts_from == (None if low == -np.inf else low)
        for place, name in enumerate(part.sessions):
            times = part.times[part.offsets[place] : part.offsets[place + 1]]
            assert times.tolist() == sorted(t for n, t in some if n == name and t < high)
