"""Sessions keep their order, their length and a label; what is drawn is a session's own."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tidegate.data.augment import Augment, Augmentation
from tidegate.data.batches import Batch, Batches
from tidegate.data.lanes import Lanes
from tidegate.data.truncate import Spans, Windows
from tidegate.errors import InputError

LENGTHS = st.lists(st.integers(1, 30), min_size=1, max_size=20)
ALL = Augment(jitter=0.1, scaling=0.2, warp=0.5, slice=0.6, feature_dropout=0.2)


def offsets_of(lengths: list[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def numbered(offsets: NDArray[np.int64], width: int = 1) -> NDArray[np.float32]:
    """Rows that hold the number of their event, from 1."""
    numbers = np.arange(1, offsets[-1] + 1, dtype=np.float32)
    return np.repeat(numbers[:, None], width, axis=1)


def whole(offsets: NDArray[np.int64]) -> Spans:
    return Windows().of(offsets, 1)


def some_labels(events: int, share: float, seed: int) -> NDArray[np.float64]:
    """The number of each event, or none."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(events) < share, np.arange(1.0, events + 1), np.nan)


def count_labels(labels: NDArray[np.float64], spans: Spans) -> list[int]:
    return [
        int((~np.isnan(labels[start : start + length])).sum())
        for start, length in zip(spans.starts, spans.lengths, strict=True)
    ]


@settings(max_examples=100, deadline=None)
@given(LENGTHS, st.floats(0.01, 0.99), st.floats(0, 1), st.integers(1, 9))
def test_a_slice_lies_within_its_stretch_and_keeps_a_label(
    lengths: list[int], share: float, labelled: float, epoch: int
) -> None:
    offsets = offsets_of(lengths)
    labels = some_labels(int(offsets[-1]), labelled, seed=epoch)
    before = Windows(20, "random", seed=4).of(offsets, epoch)
    found = Augmentation(Augment(slice=share), seed=2).cut(before, labels, len(lengths), epoch)
    np.testing.assert_array_equal(found.sessions, before.sessions)
    assert (found.lengths >= share * before.lengths).all()
    assert (found.lengths >= 1).all()
    assert (found.starts >= before.starts).all()
    assert (found.starts + found.lengths <= before.starts + before.lengths).all()
    had, has = count_labels(labels, before), count_labels(labels, found)
    assert [n > 0 for n in has] == [n > 0 for n in had]


def test_a_slice_keeps_the_tail_where_the_last_event_alone_has_a_label() -> None:
    offsets = offsets_of([9, 5])
    labels = np.full(14, np.nan)
    labels[offsets[1:] - 1] = 1.0
    for epoch in range(1, 20):
        found = Augmentation(Augment(slice=0.5)).cut(whole(offsets), labels, 2, epoch)
        np.testing.assert_array_equal(found.starts + found.lengths, offsets[1:])


def test_slices_reach_every_place_and_length() -> None:
    offsets, augmentation = offsets_of([4]), Augmentation(Augment(slice=0.5))
    found = [augmentation.cut(whole(offsets), np.zeros(4), 1, epoch) for epoch in range(1, 200)]
    seen = {(int(spans.starts[0]), int(spans.lengths[0])) for spans in found}
    assert seen == {(0, 2), (1, 2), (2, 2), (0, 3), (1, 3), (0, 4)}


@settings(max_examples=100, deadline=None)
@given(LENGTHS, st.floats(0.01, 1.0), st.floats(0, 1), st.integers(1, 9))
def test_a_warp_keeps_order_ends_and_labels_of_their_events(
    lengths: list[int], warp: float, labelled: float, epoch: int
) -> None:
    offsets = offsets_of(lengths)
    rows, labels = numbered(offsets), some_labels(int(offsets[-1]), labelled, seed=epoch)
    spans = whole(offsets)
    varied, found = Augmentation(Augment(warp=warp)).vary(rows, labels, spans, len(lengths), epoch)
    assert varied.shape == rows.shape
    for begin, end in pairwise(offsets):
        session = varied[begin:end, 0]
        assert (np.diff(session) >= 0).all()
        assert session[[0, -1]].tolist() == rows[[begin, end - 1], 0].tolist()
    known = ~np.isnan(found)
    np.testing.assert_array_equal(found[known], varied[known, 0])
    assert len(set(found[known].tolist())) == known.sum()  # an event counts once
    assert set(found[known].tolist()) == set(varied[:, 0].tolist()) & set(labels.tolist())
    had, has = count_labels(labels, spans), count_labels(found, spans)
    assert [n > 0 for n in has] == [n > 0 for n in had]


def test_a_warp_goes_faster_and_slower() -> None:
    offsets = offsets_of([200])
    rows = numbered(offsets)
    varied, _ = Augmentation(Augment(warp=0.3)).vary(rows, np.zeros(200), whole(offsets), 1, 1)
    steps = np.diff(varied[:, 0])
    assert {0.0, 1.0, 2.0} >= set(steps.tolist()) >= {0.0, 2.0}
    assert np.abs(varied - rows).max() > 3


def test_a_stretch_that_would_lose_its_label_is_not_warped() -> None:
    offsets = offsets_of([12] * 50)
    rows, labels = numbered(offsets), np.full(600, np.nan)
    labels[offsets[:-1] + 5] = 1.0
    augmentation = Augmentation(Augment(warp=0.5))
    every, _ = augmentation.vary(rows, np.zeros(600), whole(offsets), 50, 1)
    varied, found = augmentation.vary(rows, labels, whole(offsets), 50, 1)
    sessions = every.reshape(50, 12) == rows.reshape(50, 12)[:, 5:6]
    lost = ~sessions.any(axis=1)
    assert 0 < lost.sum() < 50
    expected = np.where(np.repeat(lost, 12)[:, None], rows, every)
    np.testing.assert_array_equal(varied, expected)
    assert (~np.isnan(found)).sum() == 50


@pytest.mark.parametrize("kind", [{"jitter": 0.5}, {"scaling": 0.5}, {"feature_dropout": 0.5}])
def test_only_columns_named_change(kind: dict[str, float]) -> None:
    offsets = offsets_of([6, 9, 5, 8])
    rows, labels = numbered(offsets, 4), np.zeros(28)
    given_rows = rows.copy()
    varied, found = Augmentation(Augment(**kind), (0, 2)).vary(rows, labels, whole(offsets), 4, 1)
    np.testing.assert_array_equal(rows, given_rows)
    np.testing.assert_array_equal(varied[:, [1, 3]], rows[:, [1, 3]])
    assert (varied[:, 0] != rows[:, 0]).any()
    assert (varied[:, 2] != varied[:, 0]).any()
    assert found is labels


def test_noise_has_the_deviation_asked_for() -> None:
    offsets, rows = offsets_of([20_000]), np.zeros((20_000, 2), np.float32)
    augmentation = Augmentation(Augment(jitter=0.05), (0, 1))
    varied, _ = augmentation.vary(rows, rows[:, 0].astype(float), whole(offsets), 1, 1)
    np.testing.assert_allclose(varied.std(axis=0), 0.05, rtol=0.05)
    assert abs(np.corrcoef(varied.T)[0, 1]) < 0.05


def test_one_factor_a_session_and_column() -> None:
    offsets = offsets_of([3] * 2000)
    rows, labels = numbered(offsets, 2), np.zeros(6000)
    varied, _ = Augmentation(Augment(scaling=0.1), (0, 1)).vary(
        rows, labels, whole(offsets), 2000, 1
    )
    factors = (varied / rows).reshape(2000, 3, 2)
    np.testing.assert_allclose(factors, factors[:, :1].repeat(3, axis=1), rtol=1e-6)
    np.testing.assert_allclose(np.log(factors).std(axis=(0, 1)), 0.1, rtol=0.1)


def test_a_share_of_columns_is_dropped_whole() -> None:
    offsets = offsets_of([3] * 2000)
    rows, labels = numbered(offsets, 2), np.zeros(6000)
    varied, _ = Augmentation(Augment(feature_dropout=0.1), (0, 1)).vary(
        rows, labels, whole(offsets), 2000, 1
    )
    zero = (varied == 0).reshape(2000, 3, 2)
    assert (zero.all(axis=1) == zero.any(axis=1)).all()
    assert 0.07 < zero.mean() < 0.13
    np.testing.assert_array_equal(varied[varied != 0], rows[varied != 0])


def test_each_kind_draws_for_itself() -> None:
    offsets = offsets_of([7, 9])
    rows, labels = numbered(offsets), np.zeros(16)
    one, both = Augment(scaling=0.3), Augment(scaling=0.3, jitter=1e-4, slice=0.999)
    found = [
        Augmentation(augment, (0,)).vary(rows, labels, whole(offsets), 2, 3)[0]
        for augment in (one, both)
    ]
    np.testing.assert_allclose(found[0], found[1], atol=1e-3)


def test_huge_numbers_stay_within_the_encoders_limit_and_nan_stays() -> None:
    rows = np.array([[1e6], [-1e6], [np.nan]], np.float32)
    spans = whole(offsets_of([3]))
    augmentation = Augmentation(Augment(scaling=1.0, jitter=1e30), (0,))
    varied, _ = augmentation.vary(rows, np.zeros(3), spans, 1, 1)
    assert np.abs(varied[:2]).max() <= 1e6
    assert np.isnan(varied[2, 0])


def test_nothing_set_is_what_was_given() -> None:
    offsets = offsets_of([4, 2])
    rows, labels, spans = numbered(offsets), np.zeros(6), whole(offsets)
    augmentation = Augmentation(columns=(0,))
    assert augmentation.cut(spans, labels, 2, 1) is spans
    varied, found = augmentation.vary(rows, labels, spans, 2, 1)
    assert varied is rows
    assert found is labels


def plan(mode: str, offsets: NDArray[np.int64], augment: Augment, seed: int) -> Batches | Lanes:
    rows = numbered(offsets, 3)
    labels = some_labels(len(rows), 0.5, seed=1)
    windows, augmentation = Windows(25, "random", 2, seed), Augmentation(augment, (0, 1), seed)
    if mode == "lanes":
        return Lanes(rows, offsets, labels, 3, 4, seed, windows, augmentation)
    return Batches(rows, offsets, labels, 60, seed, windows, augmentation)


def events_of(batches: list[Batch]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return the place, the row and the label of each event, by place."""
    places = np.concatenate([batch.events for batch in batches])
    order = places.argsort()
    rows = np.concatenate([batch.rows[batch.real] for batch in batches])
    labels = np.concatenate([batch.labels[batch.real] for batch in batches])
    return places[order], rows[order], labels[order]


@settings(max_examples=30, deadline=None)
@given(LENGTHS, st.integers(1, 4), st.integers(0, 3))
def test_chunks_of_lanes_see_the_sessions_that_whole_batches_see(
    lengths: list[int], epoch: int, seed: int
) -> None:
    offsets = offsets_of(lengths)
    found = [
        events_of(list(plan(mode, offsets, ALL, seed).epoch(epoch))) for mode in ("lanes", "whole")
    ]
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("mode", ["sessions", "lanes"])
def test_an_epoch_repeats_whatever_ran_before_and_differs_from_others(mode: str) -> None:
    offsets = offsets_of([9, 14, 3, 30, 8, 8])
    used = plan(mode, offsets, ALL, 1)
    epochs = [events_of(list(used.epoch(epoch))) for epoch in (2, 3, 4)]
    again = events_of(list(plan(mode, offsets, ALL, 1).epoch(4)))
    for one, other in zip(epochs[2], again, strict=True):
        np.testing.assert_array_equal(one, other)
    other_seed = events_of(list(plan(mode, offsets, ALL, 2).epoch(4)))
    for different in (epochs[0], epochs[1], other_seed):
        assert not np.array_equal(different[1], again[1])


@pytest.mark.parametrize("mode", ["sessions", "lanes"])
def test_a_label_a_session_is_learned_once_an_epoch_at_the_end(mode: str) -> None:
    offsets = offsets_of([9, 14, 3, 30, 1, 8])
    labels = np.full(offsets[-1], np.nan)
    ends = offsets[1:] - 1
    labels[ends] = np.arange(6)
    used = replace(plan(mode, offsets, ALL, 1), labels=labels, windows=Windows(25))
    for epoch in range(1, 6):
        places, _, found = events_of(list(used.epoch(epoch)))
        assert places[~np.isnan(found)].tolist() == ends.tolist()
        assert found[~np.isnan(found)].tolist() == list(range(6))


@pytest.mark.parametrize("mode", ["sessions", "lanes"])
def test_batches_are_counted_as_they_come(mode: str) -> None:
    offsets = offsets_of([19, 24, 13, 30, 28, 18, 22, 7, 16])
    used = plan(mode, offsets, Augment(slice=0.3), 1)
    counts = used.counts(8)
    assert counts == [len(list(used.epoch(epoch))) for epoch in range(1, 9)]
    assert len(set(counts[2:])) > 1


def test_a_session_does_not_depend_on_which_others_wait() -> None:
    offsets = offsets_of([3, 9, 5, 12])
    used = plan("sessions", offsets, ALL, 1)
    assert isinstance(used, Batches)
    some = events_of(list(used.epoch(1)))
    every = events_of(list(replace(used, windows=Windows(25, "random", 0, 1)).epoch(1)))
    shared = np.isin(every[0], some[0])
    assert 0 < len(some[0]) < len(every[0])
    np.testing.assert_array_equal(every[1][shared], some[1])


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("jitter", [-0.1, float("inf"), float("nan")]),
        ("scaling", [-0.1, 1.1, float("nan")]),
        ("warp", [-0.1, 1.1, float("nan")]),
        ("slice", [0.0, -0.5, 1.1, float("nan")]),
        ("feature_dropout", [-0.1, 1.0, float("nan")]),
    ],
)
def test_refused(name: str, values: list[float]) -> None:
    for value in values:
        with pytest.raises(InputError) as caught:
            Augment(**{name: value})
        assert (caught.value.code, caught.value.field) == ("out_of_range", name)
        assert caught.value.hint.startswith("use ")
