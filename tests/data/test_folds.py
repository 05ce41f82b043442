"""Folds hold whole sessions, each once, and keep apart what goes on at the same time."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tidegate.data import folds
from tidegate.data.folds import Fold
from tidegate.errors import InputError
from tidegate.tables import EventTable
from tidegate.tables.table import group

NAMES = "abcdefghijkl"
EVENTS = st.lists(
    st.tuples(st.sampled_from(NAMES), st.integers(1, 60).map(float)), min_size=4, max_size=60
)
SHORT = st.lists(  # sessions that leave something to train on beside each block
    st.tuples(st.integers(1, 200), st.integers(0, 9), st.integers(0, 9)), min_size=6, max_size=20
)
INTEGER = st.integers(0, 30)


def table_of(events: list[tuple[str, float]], **columns: Any) -> EventTable:
    arrays = {name: np.array(values) for name, values in columns.items()}
    return group([name for name, _ in events], np.array([t for _, t in events]), arrays, None, [])


def short_sessions(spans: list[tuple[int, int, int]]) -> EventTable:
    """Sessions of three events: begin, begin + a, begin + a + b."""
    events = []
    for name, (begin, a, b) in enumerate(spans):
        events += [(str(name), float(begin + after)) for after in (0, a, a + b)]
    return table_of(events)


def spans_of(table: EventTable) -> dict[str, tuple[float, float]]:
    return {
        name: (table.times[a:b].min(), table.times[a:b].max())
        for name, (a, b) in zip(table.sessions, pairwise(table.offsets), strict=True)
    }


def check_whole(table: EventTable, pairs: list[Fold]) -> None:
    """No session in both parts, each with all of its events, in the order of the table."""
    lengths = dict(zip(table.sessions, table.lengths.tolist(), strict=True))
    for train, test in pairs:
        assert train.sessions
        assert test.sessions
        assert not set(train.sessions) & set(test.sessions)
        for part in (train, test):
            assert part.sessions == [name for name in table.sessions if name in {*part.sessions}]
            assert part.lengths.tolist() == [lengths[name] for name in part.sessions]


def all_tested(pairs: list[Fold]) -> list[str]:
    return [name for _, test in pairs for name in test.sessions]


def unless_empty(split: Any, *arguments: Any) -> list[Fold]:
    """Return the pairs; where a part would be empty, ask hypothesis for other sessions."""
    try:
        return list(split(*arguments))
    except InputError as error:
        assume(error.code != "empty_part")
        raise


@settings(max_examples=100, deadline=None)
@given(EVENTS, st.integers(2, 5), st.integers(1, 6), st.integers(0, 3))
def test_grouped_never_parts_a_group_and_shares_events_out(
    events: list[tuple[str, float]], count: int, kinds: int, seed: int
) -> None:
    table = table_of(events, site=[float(NAMES.index(name) % kinds) for name, _ in events])
    site = {name: NAMES.index(name) % kinds for name in table.sessions}
    if len(set(site.values())) < count:
        with pytest.raises(InputError) as caught:
            folds.grouped(table, count, site, seed)
        assert (caught.value.code, caught.value.field) == ("empty_part", "folds")
        return
    pairs = list(folds.grouped(table, count, site, seed))
    assert len(pairs) == count
    check_whole(table, pairs)
    assert sorted(all_tested(pairs)) == sorted(table.sessions)
    for train, test in pairs:
        assert not {site[name] for name in train.sessions} & {site[name] for name in test.sessions}
        assert len(train.sessions) + len(test.sessions) == len(table.sessions)
    events_of = [sum(site[name] == one for name, _ in events) for one in range(kinds)]
    sizes = [test.n_events for _, test in pairs]
    assert max(sizes) - min(sizes) <= max(events_of)
    by_column = list(folds.grouped(table, count, "site", seed))
    assert [test.sessions for _, test in by_column] == [test.sessions for _, test in pairs]


def test_grouped_is_random_by_its_seed_alone() -> None:
    table = table_of([(str(i), float(i)) for i in range(1, 41)])
    one, again, two = (
        [test.sessions for _, test in folds.grouped(table, 4, seed=seed)] for seed in (1, 1, 2)
    )
    assert one == again
    assert one != two
    assert [len(names) for names in one] == [10] * 4


@settings(max_examples=200, deadline=None)
@given(SHORT, st.integers(1, 4), INTEGER)
def test_time_ordered_trains_on_what_was_over(
    spans: list[tuple[int, int, int]], count: int, gap: int
) -> None:
    table = short_sessions(spans)
    pairs = unless_empty(folds.time_ordered, table, count, gap)
    assert len(pairs) == count
    check_whole(table, pairs)
    span = spans_of(table)
    # The cuts are where the first session of each test part begins.
    cuts = [min(span[name][0] for name in test.sessions) for _, test in pairs]
    assert cuts == sorted(set(cuts))
    for (train, test), cut, until in zip(pairs, cuts, [*cuts[1:], np.inf], strict=True):
        assert {*train.sessions} == {n for n, (_, end) in span.items() if end < cut - gap}
        assert {*test.sessions} == {n for n, (begin, _) in span.items() if cut <= begin < until}
    for (before, _), (after, _) in pairwise(pairs):
        assert {*before.sessions} <= {*after.sessions}


@settings(max_examples=200, deadline=None)
@given(SHORT, st.integers(2, 4), INTEGER)
def test_purged_keeps_the_block_and_the_embargo_free(
    spans: list[tuple[int, int, int]], count: int, embargo: int
) -> None:
    table = short_sessions(spans)
    pairs = unless_empty(folds.purged, table, count, embargo)
    assert len(pairs) == count
    check_whole(table, pairs)
    assert sorted(all_tested(pairs)) == sorted(table.sessions)
    span = spans_of(table)
    for train, test in pairs:
        first = min(span[name][0] for name in test.sessions)
        last = max(span[name][1] for name in test.sessions)
        for name in {*table.sessions} - {*test.sessions}:
            begin, end = span[name]
            apart = end < first or begin > last
            soon = last < begin <= last + embargo
            assert (name in train.sessions) == (apart and not soon)
    begins = [[span[name][0] for name in test.sessions] for _, test in pairs]
    assert all(max(one) < min(other) for one, other in pairwise(begins))


@settings(max_examples=100, deadline=None)
@given(SHORT, st.integers(2, 6))
def test_blocks_of_time_are_balanced(spans: list[tuple[int, int, int]], count: int) -> None:
    """Each begins at another time; a block is off by the sessions at its two cuts at most."""
    places = [(10 * place, 0, 0) for place in range(1, len(spans) + 1)]
    assume(len(places) >= count)
    sizes = [len(test.sessions) for _, test in folds.purged(short_sessions(places), count)]
    assert max(sizes) - min(sizes) <= 1


def test_one_long_session_leaves_a_block_to_others() -> None:
    events = [("a", 1.0), *[("b", 2.0)] * 50, ("c", 3.0), ("d", 4.0)]
    pairs = list(folds.purged(table_of(events), 4))
    assert [test.sessions for _, test in pairs] == [["a"], ["b"], ["c"], ["d"]]


def test_a_session_spans_its_times_also_where_its_clock_went_back() -> None:
    """By its first event `b` would begin at 9.0, behind `c`, and not touch it."""
    ids, times = ["a", "b", "b", "c", "d"], np.array([1.0, 9.0, 5.0, 7.0, 20.0])
    table = group(ids, times, {}, None, [], seqs=np.array([1.0, 1.0, 2.0, 1.0, 1.0]))
    pairs = list(folds.purged(table, 4))
    assert [test.sessions for _, test in pairs] == [["a"], ["b"], ["c"], ["d"]]
    assert [train.sessions for train, _ in pairs][1:3] == [["a", "d"], ["a", "d"]]


def test_a_group_may_be_missing_after_the_first_event() -> None:
    table = table_of([("x", 1.0), ("y", 2.0), ("y", 3.0), ("z", 4.0)], site=[1.0, 2.0, np.nan, 2.0])
    names = np.array(["n", "s", None, "s"], dtype=object)
    table = replace(table, columns={**table.columns, "name": names})
    for column in ("site", "name"):
        tests = [test.sessions for _, test in folds.grouped(table, 2, column)]
        assert sorted(tests) == [["x"], ["y", "z"]]


def test_large_groups_are_dealt_out_first() -> None:
    table = table_of([*[("x", 1.0)] * 4, *[(name, 2.0) for name in "abcd"]])
    for seed in range(5):
        sizes = [test.n_events for _, test in folds.grouped(table, 2, seed=seed)]
        assert sizes == [4, 4]


def test_a_session_without_a_group_or_with_two_is_named() -> None:
    events = [("x", 1.0), ("y", 2.0), ("y", 3.0), ("z", 4.0)]
    table = table_of(
        events,
        two=[1.0, 1.0, 2.0, 3.0],
        none=[1.0, np.nan, np.nan, 3.0],
        early=[1.0, np.nan, 2.0, 3.0],
    )
    names = np.array(["n", None, None, "s"], dtype=object)
    table = replace(table, columns={**table.columns, "name": names})
    for groups, code, field, said in [
        ("two", "group_changed", "two", "'y'"),
        ("early", "group_changed", "early", "'y'"),
        ("none", "missing_group", "none", "'y'"),
        ("name", "missing_group", "name", "'y'"),
        ({"x": 1, "y": 2}, "missing_group", "groups", "'z'"),
        ("site", "missing_column", "site", "no such column"),
    ]:
        with pytest.raises(InputError) as caught:
            folds.grouped(table, 2, groups)
        assert (caught.value.code, caught.value.field) == (code, field)
        assert said in caught.value.message


@pytest.mark.parametrize(
    ("split", "count", "options", "code", "field"),
    [
        (folds.grouped, 1, {}, "bad_split", "folds"),
        (folds.grouped, 4, {}, "empty_part", "folds"),
        (folds.purged, 1, {}, "bad_split", "folds"),
        (folds.purged, 4, {}, "empty_part", "folds"),
        (folds.purged, 2, {"embargo": -1.0}, "bad_split", "embargo"),
        (folds.purged, 2, {"embargo": float("nan")}, "bad_split", "embargo"),
        (folds.purged, 3, {"embargo": 9.0}, "empty_part", "embargo"),
        (folds.time_ordered, 0, {}, "bad_split", "folds"),
        (folds.time_ordered, 3, {}, "empty_part", "folds"),
        (folds.time_ordered, 1, {"gap": float("inf")}, "bad_split", "gap"),
        (folds.time_ordered, 1, {"gap": 9.0}, "empty_part", "gap"),
    ],
)
def test_refused_at_the_call(
    split: Any, count: int, options: dict[str, float], code: str, field: str
) -> None:
    with pytest.raises(InputError) as caught:
        split(table_of([("a", 1.0), ("b", 2.0), ("c", 3.0)]), count, **options)
    assert (caught.value.code, caught.value.field) == (code, field)
    assert caught.value.hint


@pytest.mark.parametrize("split", [folds.time_ordered, folds.purged])
def test_what_needs_times_says_so(split: Any) -> None:
    with pytest.raises(InputError) as caught:
        split(group(["a", "b", "c"], None, {}, None, []), 2)
    assert (caught.value.code, caught.value.field) == ("no_times", "time")
    assert "time=COLUMN" in caught.value.hint


@pytest.mark.parametrize("split", [folds.grouped, folds.time_ordered, folds.purged])
def test_a_session_without_events_is_refused(split: Any) -> None:
    table = table_of([("a", 1.0), ("b", 2.0), ("c", 3.0)])
    empty = replace(table, sessions=[*table.sessions, "d"], offsets=np.array([0, 1, 2, 3, 3]))
    with pytest.raises(InputError) as caught:
        split(empty, 2)
    assert caught.value.code == "empty_session"
