"""The measures against plain searches over all rules."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.data.check import measures

events = st.lists(
    st.tuples(st.integers(0, 3).map(float), st.integers(0, 6).map(float)), min_size=2, max_size=25
).filter(lambda some: len({label for label, _ in some}) > 1)


def common(labels: np.ndarray) -> tuple[float, int]:
    names, counts = np.unique(labels, return_counts=True)
    return float(names[counts.argmax()]), int(counts.max())


@settings(max_examples=150, deadline=None)
@given(events)
def test_the_best_range_is_found(some: list[tuple[float, float]]) -> None:
    labels, values = np.array(some).T
    usual, count = common(labels)
    gained = 0
    for name in set(labels.tolist()) - {usual}:
        signs = np.where(labels == name, 1, -1)
        ranges = [(low, high) for low in values for high in values if low <= high]
        gained += max(0, *(int(signs[(values >= a) & (values <= b)].sum()) for a, b in ranges))
    found = measures._by_range(labels, values)
    assert found == gained / (len(labels) - count)


@settings(max_examples=150, deadline=None)
@given(events, st.integers(1, 8))
def test_values_of_enough_sessions_tell_their_most_common_label(
    some: list[tuple[float, float]], sessions: int
) -> None:
    labels, values = np.array(some).T
    of = np.arange(len(labels)) % sessions
    right = sum(
        common(labels[values == value])[1]
        for value in set(values.tolist())
        if len(set(of[values == value].tolist())) >= 3
    )
    _, count = common(labels)
    expected = max(0.0, (right - count) / (len(labels) - count))
    assert measures._by_value(labels, values, of) == expected
