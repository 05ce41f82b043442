"""Lanes hold every event once, in order, each stretch going on from the one before it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.data.lanes import Lanes
from tidegate.data.truncate import Windows
from tidegate.errors import InputError

LENGTHS = st.lists(st.integers(1, 12), min_size=1, max_size=30)


def lanes_of(lengths: list[int], lanes: int, chunk: int, **options: Any) -> Lanes:
    """Sessions whose rows and labels are all different."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    rows = 1.0 + np.arange(2 * offsets[-1], dtype=np.float32).reshape(-1, 2)
    labels = np.arange(offsets[-1], dtype=np.float64)
    labels[::3] = np.nan
    return Lanes(rows, offsets, labels, lanes, chunk, **options)


@settings(max_examples=150, deadline=None)
@given(LENGTHS, st.integers(1, 6), st.integers(1, 14), st.none() | st.integers(0, 5))
def test_every_event_once_in_order_and_from_where_its_session_was(
    lengths: list[int], lanes: int, chunk: int, seed: int | None
) -> None:
    plan = lanes_of(lengths, lanes, chunk, seed=seed)
    seen: list[list[int]] = [[] for _ in lengths]
    before: list[int] = []  # the session of each stretch of the chunk before
    for batch in plan.epoch(3):
        assert batch.rows.shape == (len(batch.lengths), batch.lengths.max(), 2)
        real = batch.real
        np.testing.assert_array_equal(batch.rows[real], plan.rows[batch.events])
        np.testing.assert_array_equal(batch.labels[real], plan.labels[batch.events])
        assert not batch.rows[~real].any()
        assert np.isnan(batch.labels[~real]).all()
        places = batch.session_indices.tolist()
        for place, session in enumerate(places):
            begins = int(batch.carried[place]) == -1
            assert begins == (not seen[session])
            if not begins:
                assert before[batch.carried[place]] == session
            start = int(batch.starts[place])
            assert batch.before[place] == len(seen[session])
            seen[session] += range(start, start + int(batch.lengths[place]))
        before = places
    for session, events in enumerate(seen):
        assert events == list(range(plan.offsets[session], plan.offsets[session + 1]))


@settings(max_examples=100, deadline=None)
@given(LENGTHS, st.integers(1, 6), st.integers(1, 14))
def test_a_lane_is_one_session_after_another_and_a_session_is_cut_by_its_own_steps(
    lengths: list[int], lanes: int, chunk: int
) -> None:
    plan = lanes_of(lengths, lanes, chunk, seed=0)
    table = plan.plan(1)
    where: dict[int, int] = {}
    for begin, end in zip(table.bounds[:-1], table.bounds[1:], strict=True):
        assert end > begin
        for lane in range(lanes):
            mine = begin + np.flatnonzero(table.lanes[begin:end] == lane)
            assert table.lengths[mine].sum() <= chunk
            # Only the first stretch goes on from the chunk before; only the last is cut.
            assert (table.carried[mine[1:]] == -1).all()
            for segment in mine:
                session = int(table.sessions[segment])
                assert where.setdefault(session, lane) == lane
                taken = table.starts[segment] - plan.offsets[session]
                assert taken % chunk == 0
                assert table.lengths[segment] == min(lengths[session] - taken, chunk)


@settings(max_examples=100, deadline=None)
@given(LENGTHS, st.integers(1, 6), st.integers(0, 5))
def test_chunks_of_one_step_are_the_session_parallel_mini_batches_of_gru4rec(
    lengths: list[int], count: int, seed: int
) -> None:
    """Their loop: a slot whose session ends takes the next one, and its state is reset."""
    plan = lanes_of(lengths, count, 1, seed=seed)
    batches = list(plan.epoch(2))
    order = np.random.default_rng([seed, 2]).permutation(len(lengths))
    slots = list(range(min(count, len(order))))  # places in `order`
    following, step = len(slots), [0] * len(slots)
    for batch in batches:
        if following > len(order):
            break  # theirs ends where no session is left to take a slot; ours finishes the others
        np.testing.assert_array_equal(batch.session_indices, order[slots])
        np.testing.assert_array_equal(batch.starts, plan.offsets[order[slots]] + step)
        carried = [slot if taken else -1 for slot, taken in enumerate(step)]
        np.testing.assert_array_equal(batch.carried, carried)
        for slot, place in enumerate(slots):
            step[slot] += 1
            if step[slot] == lengths[order[place]]:
                if following < len(order):
                    slots[slot] = following
                step[slot], following = 0, following + 1
    assert following > len(order)


def test_an_epoch_is_the_same_whatever_ran_before() -> None:
    lengths = np.random.default_rng(0).integers(1, 30, 40).tolist()

    def order(epoch: int, seed: int | None) -> list[int]:
        return lanes_of(lengths, 3, 8, seed=seed).plan(epoch).sessions.tolist()

    assert order(1, 5) == order(1, 5)
    assert order(1, 5) != order(2, 5)
    assert order(1, 5) != order(1, 6)
    assert order(1, None) == order(2, None)
    begun = lanes_of(lengths, 3, 8).plan()
    table = begun.sessions[begun.carried == -1]
    assert table[:3].tolist() == [0, 1, 2]


def test_it_counts_its_chunks() -> None:
    plan = lanes_of([5, 1, 9, 3, 7], 2, 4, seed=1, windows=Windows(6, "random", curriculum=2))
    assert plan.counts(4) == [len(list(plan.epoch(epoch))) for epoch in range(1, 5)]


def test_windows_are_what_the_lanes_take() -> None:
    plan = lanes_of([5, 1, 9], 2, 2, windows=Windows(3, "head"))
    events = np.concatenate([batch.events for batch in plan.epoch(1)])
    assert sorted(events.tolist()) == [0, 1, 2, 5, 6, 7, 8]


def test_no_sessions_make_no_chunks() -> None:
    assert list(lanes_of([], 2, 3, seed=1).epoch()) == []
    assert lanes_of([], 2, 3).counts(2) == [0, 0]


@pytest.mark.parametrize(
    ("changed", "code", "field"),
    [
        ({"lanes": 0}, "out_of_range", "lanes"),
        ({"chunk": 0}, "out_of_range", "chunk"),
        ({"lengths": [2, 0, 1]}, "empty_session", "offsets"),
    ],
)
def test_refused(changed: dict[str, Any], code: str, field: str) -> None:
    with pytest.raises(InputError) as caught:
        lanes_of(**{"lengths": [2, 1], "lanes": 2, "chunk": 2} | changed)
    assert (caught.value.code, caught.value.field) == (code, field)
