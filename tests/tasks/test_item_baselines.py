"""Each rule against a loop that counts event by event."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from tidegate.tasks import item_baselines as baselines

SIZE = 9
Items = NDArray[np.int64]


@pytest.fixture
def sessions() -> tuple[Items, Items]:
    """Items of 12 sessions, some unknown (0), and their offsets; item 8 never occurs."""
    rng = np.random.default_rng(5)
    lengths = np.array([1, 2, *rng.integers(1, 8, 10)])
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return rng.integers(0, SIZE - 1, offsets[-1]), offsets


def split(items: Items, offsets: Items) -> list[list[int]]:
    return [items[a:b].tolist() for a, b in pairwise(offsets)]


def pasts(items: Items, offsets: Items) -> list[list[int]]:
    """What each event's session has had, the event included."""
    return [session[: at + 1] for session in split(items, offsets) for at in range(len(session))]


def shares(items: Items) -> list[float]:
    counts = Counter(items[items > 0].tolist())
    return [counts[item] / counts.total() for item in range(SIZE)]


def found(rule: baselines.Baseline, items: Items, offsets: Items) -> list[list[float]]:
    scores = rule.scores(items, offsets, np.arange(len(items)))
    assert scores.shape == (len(items), SIZE)
    assert (scores[:, 0] == -math.inf).all()
    return scores[:, 1:].tolist()  # type: ignore[no-any-return]


def test_popularity(sessions: tuple[Items, Items]) -> None:
    items, offsets = sessions
    rule = baselines.Popularity.fit(items, offsets, SIZE)
    for scores in found(rule, items, offsets):
        assert scores == pytest.approx(shares(items)[1:])


def test_session_popularity(sessions: tuple[Items, Items]) -> None:
    items, offsets = sessions
    rule = baselines.SessionPopularity.fit(items, offsets, SIZE)
    for scores, past in zip(found(rule, items, offsets), pasts(items, offsets), strict=True):
        assert scores == pytest.approx([past.count(i) + shares(items)[i] for i in range(1, SIZE)])


@pytest.mark.parametrize("last", [1, 3])
@pytest.mark.parametrize("neighbours", [2, 100])
def test_item_knn(sessions: tuple[Items, Items], last: int, neighbours: int) -> None:
    items, offsets = sessions
    events = Counter(items.tolist())

    def likeness(i: int, j: int) -> float:
        pairs = sum(session.count(i) * session.count(j) for session in split(items, offsets))
        return pairs / math.sqrt((events[i] + 20) * (events[j] + 20)) if i and i != j else 0.0

    near = {}
    for i in range(SIZE):
        order = sorted(range(1, SIZE), key=lambda j: (-likeness(i, j), j))
        near[i] = {j: likeness(i, j) for j in order[:neighbours]}
    rule = baselines.ItemKNN.fit(items, offsets, SIZE, neighbours=neighbours, last=last)
    for scores, past in zip(found(rule, items, offsets), pasts(items, offsets), strict=True):
        wanted = [
            sum(near[i].get(j, 0.0) for i in past[-last:]) + 1e-9 * shares(items)[j]
            for j in range(1, SIZE)
        ]
        assert scores == pytest.approx(wanted, rel=1e-12)


def test_markov(sessions: tuple[Items, Items]) -> None:
    items, offsets = sessions
    follows = Counter(
        (i, j) for session in split(items, offsets) for i, j in pairwise(session) if i and j
    )
    rule = baselines.Markov.fit(items, offsets, SIZE, backoff=3.0)
    for scores, item in zip(found(rule, items, offsets), items.tolist(), strict=True):
        counts = [follows[item, j] for j in range(SIZE)]
        prior = [3.0 * share for share in shares(items)]
        wanted = [(counts[j] + prior[j]) / (sum(counts) + 3.0) for j in range(1, SIZE)]
        assert scores == pytest.approx(wanted)
        assert sum(scores) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "rule",
    [
        baselines.Popularity,
        baselines.SessionPopularity,
        baselines.ItemKNN,
        baselines.Markov,
    ],
)
def test_what_comes_later_changes_nothing(rule: type, sessions: tuple[Items, Items]) -> None:
    items, offsets = sessions
    fitted = rule.fit(items, offsets, SIZE)
    start, end = offsets[-2:]
    events = np.arange(start, end - 1)
    whole = fitted.scores(items, offsets, events)
    changed = items.copy()
    changed[end - 1] = 8
    np.testing.assert_array_equal(fitted.scores(changed, offsets, events), whole)
    # and an event's scores are the same alone
    for at, event in enumerate(events):
        alone = fitted.scores(items[: event + 1], np.append(offsets[:-1], event + 1), events[[at]])
        np.testing.assert_array_equal(alone[0], whole[at])


def test_what_was_seen_is_left_out(sessions: tuple[Items, Items]) -> None:
    items, offsets = sessions
    events = np.arange(len(items))
    left = baselines.without_seen(np.ones((len(items), SIZE)), items, offsets, events)
    for row, past in zip(left.tolist(), pasts(items, offsets), strict=True):
        assert row == [-math.inf if item in past else 1.0 for item in range(SIZE)]


def test_sessions_of_unknown_items_alone() -> None:
    items, offsets = np.zeros(3, np.int64), np.array([0, 3])
    for rule in (baselines.Popularity, baselines.ItemKNN, baselines.Markov):
        scores = rule.fit(items, offsets, SIZE).scores(items, offsets, np.arange(3))
        assert scores[:, 1:].tolist() == np.zeros((3, SIZE - 1)).tolist()
