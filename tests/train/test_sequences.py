from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.train.sequences import Sequences


def sequences_of(lengths: list[int]) -> Sequences:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    n = int(offsets[-1])
    rows = np.arange(2 * n, dtype=np.float32).reshape(n, 2)
    return Sequences(rows, offsets, np.arange(n, dtype=np.float64), np.arange(n, dtype=np.float32))


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=40).filter(any),
    st.integers(1, 40),
    st.none() | st.integers(0, 9),
)
def test_every_event_is_in_one_batch_under_the_budget(
    lengths: list[int], tokens: int, seed: int | None
) -> None:
    sequences = sequences_of(lengths)
    rng = None if seed is None else np.random.default_rng(seed)
    seen: list[int] = []
    for batch in sequences.batches(tokens, rng):
        assert batch.real.size <= tokens or len(batch.real) == 1
        assert batch.real[:, 0].all()
        np.testing.assert_array_equal(batch.rows.numpy(), sequences.rows[batch.events])
        targets = batch.targets.numpy()
        np.testing.assert_array_equal(targets[batch.real], batch.events[batch.real])
        assert np.isnan(targets[~batch.real]).all()
        seen += batch.events[batch.real].tolist()
    assert sorted(seen) == list(range(len(sequences.rows)))


def test_events_of_a_session_stay_in_order() -> None:
    for batch in sequences_of([3, 1, 4]).batches(100):
        assert (np.diff(batch.events, axis=1)[batch.real[:, 1:]] == 1).all()


def test_padding_stays_small_and_the_order_changes() -> None:
    lengths = np.random.default_rng(0).integers(1, 200, 2000).tolist()
    sequences = sequences_of(lengths)
    plans = [sequences.plan(8192, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    places = sum(len(b) * sequences.lengths[b].max() for b in plans[0])
    assert sum(lengths) > 0.85 * places
    first, again, other = ([b.tolist() for b in plan] for plan in plans)
    assert first == again
    assert first != other
    assert sorted(map(sorted, first)) != sorted(map(sorted, other))


def test_labelled_counts_labels() -> None:
    sequences = sequences_of([2, 2])
    sequences.labels[1] = np.nan
    assert sequences.labelled == 3
    assert sequences.lengths.tolist() == [2, 2]


@pytest.mark.parametrize("tokens", [1, 5])
def test_a_session_longer_than_the_budget_is_a_batch_of_its_own(tokens: int) -> None:
    assert [b.tolist() for b in sequences_of([9, 2, 7]).plan(tokens)] == [[1], [2], [0]]
