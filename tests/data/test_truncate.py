"""Windows lie within their sessions, as the policy says; the curriculum lets long sessions wait."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.data.batches import Batches
from tidegate.data.truncate import Windows
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
    ],
)
def test_refused(changed: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        Windows(**changed)
    assert (caught.value.code, caught.value.field) == ("out_of_range", field)
