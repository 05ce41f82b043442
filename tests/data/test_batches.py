"""Batches hold every session once, whole, within the budget."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.data.batches import Batches
from tidegate.errors import InputError


def batches_of(lengths: list[int], budget: int, seed: int | None = None) -> Batches:
    """Sessions whose rows and labels are all different."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    rows = 1.0 + np.arange(2 * offsets[-1], dtype=np.float32).reshape(-1, 2)
    labels = np.arange(offsets[-1], dtype=np.float64)
    labels[::3] = np.nan
    return Batches(rows, offsets, labels, budget, seed)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=40),
    st.integers(1, 60),
    st.none() | st.integers(0, 5),
    st.integers(0, 3),
)
def test_every_session_once_whole_and_within_the_budget(
    lengths: list[int], budget: int, seed: int | None, epoch: int
) -> None:
    batches = batches_of(lengths, budget, seed)
    seen = []
    for batch in batches.epoch(epoch):
        count, longest = batch.labels.shape
        assert batch.rows.shape == (count, longest, 2)
        assert (batch.rows.dtype, batch.labels.dtype) == (np.float32, np.float64)
        assert longest == batch.lengths.max()
        assert count * longest <= budget or count == 1
        for place, session in enumerate(batch.session_indices.tolist()):
            seen.append(session)
            events = slice(batches.offsets[session], batches.offsets[session + 1])
            length = lengths[session]
            assert batch.lengths[place] == length
            np.testing.assert_array_equal(batch.rows[place, :length], batches.rows[events])
            np.testing.assert_array_equal(batch.labels[place, :length], batches.labels[events])
            assert not batch.rows[place, length:].any()
            assert np.isnan(batch.labels[place, length:]).all()
    assert sorted(seen) == list(range(len(lengths)))


def order(batches: Batches, epoch: int) -> list[list[int]]:
    return [batch.tolist() for batch in batches.plan(epoch)]


def test_an_epoch_is_the_same_whatever_ran_before() -> None:
    lengths = [3] * 20 + [5] * 20
    batches = batches_of(lengths, 15, seed=1)
    first = [order(batches, epoch) for epoch in range(3)]
    assert order(batches_of(lengths, 15, seed=1), 2) == first[2]
    assert order(batches_of(lengths, 15, seed=2), 2) != first[2]


def test_epochs_mix_equal_lengths_and_the_order_of_batches() -> None:
    lengths = [3] * 20 + [5] * 20
    batches = batches_of(lengths, 15, seed=1)
    one, two = order(batches, 0), order(batches, 1)
    assert {frozenset(batch) for batch in one} != {frozenset(batch) for batch in two}
    longest = [max(lengths[session] for session in batch) for batch in one]
    assert longest != sorted(longest)
    plain = batches_of(lengths, 15)
    assert order(plain, 0) == order(plain, 7)
    assert [session for batch in order(plain, 0) for session in batch] == list(range(40))


def test_bucketing_keeps_padding_small() -> None:
    lengths = np.random.default_rng(0).integers(1, 200, 2_000).tolist()
    padded = sum(b.labels.size for b in batches_of(lengths, 4_000, seed=3).epoch())
    assert padded < 1.05 * sum(lengths)


def test_no_sessions_make_no_batches() -> None:
    assert list(batches_of([], 5, seed=1).epoch()) == []


@pytest.mark.parametrize(
    ("changed", "code", "field"),
    [
        ({"budget": 0}, "bad_budget", "budget"),
        ({"lengths": [2, 0, 1], "budget": 5}, "empty_session", "offsets"),
    ],
)
def test_refused(changed: dict[str, Any], code: str, field: str) -> None:
    with pytest.raises(InputError) as caught:
        batches_of(**{"lengths": [2, 1]} | changed)
    assert (caught.value.code, caught.value.field) == (code, field)
