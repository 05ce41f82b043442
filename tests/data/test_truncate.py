"""Windows lie within their sessions, as the policy says; the curriculum lets long sessions wait."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.data.batches import Batches
from tidegate.data.lanes import Lanes
from tidegate.data.truncate import Windows, strided
from tidegate.errors import InputError

LENGTHS = st.lists(st.integers(1, 12), min_size=1, max_size=40)


def offsets_of(lengths: list[int]) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


@settings(max_examples=100, deadline=None)
@given(LENGTHS, st.integers(1, 14), st.sampled_from(["head", "tail", "random"]), st.integers(1, 9))
def test_a_window_is_the_sessions_or_as_long_as_may_be(
    lengths: list[int], longest: int, truncate: Any, epoch: int
) -> None:
    offsets = offsets_of(lengths)
    spans = Windows(longest, truncate, seed=2).of(offsets, epoch)
    np.testing.assert_array_equal(spans.sessions, np.arange(len(lengths)))
    np.testing.assert_array_equal(spans.lengths, np.minimum(lengths, longest))
    assert (spans.starts >= offsets[:-1]).all()
    assert (spans.starts + spans.lengths <= offsets[1:]).all()
    if truncate == "head":
        np.testing.assert_array_equal(spans.starts, offsets[:-1])
    if truncate == "tail":
        np.testing.assert_array_equal(spans.starts + spans.lengths, offsets[1:])


def test_random_windows_are_drawn_anew_in_each_epoch_and_reach_every_place() -> None:
    offsets = offsets_of([10, 3])
    windows = Windows(7, "random", seed=1)
    starts = [windows.of(offsets, epoch).starts[0] for epoch in range(1, 40)]
    assert set(starts) == {0, 1, 2, 3}
    assert starts == [windows.of(offsets, epoch).starts[0] for epoch in range(1, 40)]
    assert starts != [Windows(7, "random").of(offsets, epoch).starts[0] for epoch in range(1, 40)]


def test_a_random_window_does_not_depend_on_which_sessions_wait() -> None:
    offsets = offsets_of([9, 5, 7, 6])
    some = Windows(3, "random", curriculum=2).of(offsets, 1)
    all_of_them = Windows(3, "random").of(offsets, 1)
    np.testing.assert_array_equal(some.starts, all_of_them.starts[some.sessions])


@settings(max_examples=100, deadline=None)
@given(LENGTHS, st.integers(1, 6))
def test_the_shortest_share_is_in_and_the_limit_rises(lengths: list[int], epochs: int) -> None:
    offsets, windows = offsets_of(lengths), Windows(curriculum=epochs)
    limits = []
    for epoch in range(1, epochs + 1):
        spans = windows.of(offsets, epoch)
        assert len(spans.sessions) >= len(lengths) * epoch / epochs
        limit = spans.lengths.max()
        waiting = np.setdiff1d(np.arange(len(lengths)), spans.sessions)
        assert (np.diff(offsets)[waiting] > limit).all()
        shorter = int((np.diff(offsets) < limit).sum())
        assert shorter < len(lengths) * epoch / epochs  # the limit is not higher than it must be
        limits.append(limit)
    assert limits == sorted(limits)
    for epoch in (epochs, epochs + 1):
        assert len(windows.of(offsets, epoch).sessions) == len(lengths)


def windows_of(begin: int, end: int, length: int, stride: int, last: str) -> list[tuple[int, int]]:
    """The rule, one window at a time."""
    if end - begin <= length:
        return [(begin, end)]
    found = [(at, at + length) for at in range(begin, end - length + 1, stride)]
    if last == "end" and found[-1][1] < end:
        found.append((end - length, end))
    return found


@settings(max_examples=200, deadline=None)
@given(LENGTHS, st.integers(1, 14), st.integers(1, 14), st.sampled_from(["end", "drop"]))
def test_strided_windows_and_the_first_of_each_event(
    lengths: list[int], length: int, stride: int, last: Any
) -> None:
    offsets, stride = offsets_of(lengths), min(stride, length)
    expected = [
        (session, *window)
        for session, (begin, end) in enumerate(pairwise(offsets.tolist()))
        for window in windows_of(begin, end, length, stride, last)
    ]
    spans = strided(offsets, length, stride, last=last)
    ends = spans.starts + spans.lengths
    found = zip(spans.sessions.tolist(), spans.starts.tolist(), ends.tolist(), strict=True)
    assert list(found) == expected
    owners = spans.owners(int(offsets[-1])).tolist()
    for event, owner in enumerate(owners):
        holds = [place for place, (_, begin, end) in enumerate(expected) if begin <= event < end]
        assert owner == (holds[0] if holds else -1)
    if last == "end":
        assert -1 not in owners


def test_a_session_without_events_has_no_window() -> None:
    spans = strided(np.array([0, 3, 3, 8]), 3, 2)
    assert spans.sessions.tolist() == [0, 2, 2]
    assert spans.starts.tolist() == [0, 3, 5]


@pytest.mark.parametrize("epoch", [1, 2, 3])
@pytest.mark.parametrize("stride", [None, 2])
def test_an_epoch_of_all_windows(epoch: int, stride: int | None) -> None:
    offsets = offsets_of([2, 7, 4])
    all_of_them = strided(offsets, 3, stride or 3)
    spans = Windows(3, "windows", curriculum=3, stride=stride).of(offsets, epoch)
    taken = np.isin(all_of_them.sessions, [[0], [0, 2], [0, 1, 2]][epoch - 1])
    np.testing.assert_array_equal(spans.sessions, all_of_them.sessions[taken])
    np.testing.assert_array_equal(spans.starts, all_of_them.starts[taken])
    np.testing.assert_array_equal(spans.lengths, all_of_them.lengths[taken])


@settings(max_examples=50, deadline=None)
@given(LENGTHS, st.integers(1, 6), st.integers(1, 6), st.integers(1, 4))
def test_batches_and_lanes_hold_each_window_once(
    lengths: list[int], length: int, stride: int, chunk: int
) -> None:
    offsets = offsets_of(lengths)
    windows = Windows(length, "windows", stride=min(stride, length))
    spans = windows.of(offsets, 1)
    expected = np.concatenate(
        [np.arange(n) + at for at, n in zip(spans.starts, spans.lengths, strict=True)]
    )
    rows, labels = np.zeros((offsets[-1], 1), np.float32), np.arange(float(offsets[-1]))
    batches = Batches(rows, offsets, labels, 12, seed=1, windows=windows)
    lanes = Lanes(rows, offsets, labels, 3, chunk, seed=1, windows=windows)
    for plan in (batches, lanes):
        found = np.concatenate([batch.events for batch in plan.epoch(1)])
        np.testing.assert_array_equal(np.sort(found), np.sort(expected))
        begun = [batch.starts[batch.carried < 0] for batch in plan.epoch(1)]
        np.testing.assert_array_equal(np.sort(np.concatenate(begun)), spans.starts)
        assert plan.counts(1) == [len(begun)]


def test_batches_are_of_windows_and_learn_nothing_else() -> None:
    offsets = offsets_of([4, 2, 6])
    rows = np.arange(12, dtype=np.float32)[:, None]
    windows = Windows(3, "tail", curriculum=2)
    batches = Batches(rows, offsets, np.arange(12.0), 6, seed=0, windows=windows)

    def taken(epoch: int) -> list[list[float]]:
        batch_rows = (row for batch in batches.epoch(epoch) for row in batch.labels)
        return sorted([v for v in row.tolist() if v == v] for row in batch_rows)

    assert taken(1) == [[1, 2, 3], [4, 5]]
    assert taken(2) == [[1, 2, 3], [4, 5], [9, 10, 11]]
    for batch in batches.epoch(2):
        np.testing.assert_array_equal(batch.rows[batch.real][:, 0], batch.events)
        np.testing.assert_array_equal(batch.labels[batch.real], batch.events)
    for epochs in (1, 2, 5):
        found = [len(list(batches.epoch(epoch))) for epoch in range(1, epochs + 1)]
        assert batches.counts(epochs) == found


def test_only_sessions_with_labels_raise_the_limit() -> None:
    offsets = offsets_of([1, 1, 1, 4, 6, 5])
    labels = np.full(18, np.nan)
    windows = Windows(curriculum=3)
    assert windows.of(offsets, 1, labels).sessions.tolist() == [0, 1, 2]
    labels[[6, 10, 15]] = 1.0
    assert windows.of(offsets, 1, labels).sessions.tolist() == [0, 1, 2, 3]
    assert windows.of(offsets, 2, labels).sessions.tolist() == [0, 1, 2, 3, 5]
    assert windows.of(offsets, 3, labels).sessions.tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"max_length": 0}, "max_length"),
        ({"truncate": "middle"}, "truncate"),
        ({"curriculum": -1}, "curriculum"),
        ({"truncate": "windows"}, "max_length"),
        ({"truncate": "windows", "max_length": 3, "stride": 4}, "stride"),
        ({"truncate": "windows", "max_length": 3, "stride": 0}, "stride"),
        ({"max_length": 3, "stride": 2}, "stride"),
    ],
)
def test_refused(changed: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        Windows(**changed)
    assert (caught.value.code, caught.value.field) == ("out_of_range", field)


@pytest.mark.parametrize(
    ("length", "stride", "last", "field"),
    [(0, 1, "end", "length"), (3, 0, "end", "stride"), (3, 4, "end", "stride"), (3, 1, "", "last")],
)
def test_strided_refuses(length: int, stride: int, last: Any, field: str) -> None:
    with pytest.raises(InputError) as caught:
        strided(np.array([0, 5]), length, stride, last=last)
    assert (caught.value.code, caught.value.field) == ("out_of_range", field)
