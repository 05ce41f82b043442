"""Ranking metrics against a plain sort of all items, event by event."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from numpy.typing import NDArray
from sklearn.metrics import ndcg_score, top_k_accuracy_score

from tidegate.answers import ranking
from tidegate.errors import InputError

# A few values only, so that ties are the rule.
VALUES = st.sampled_from([-1.0, 0.0, 0.5, 2.0, math.nan, math.inf])
SCORES = nps.arrays(np.float32, (3, 5), elements=VALUES)
TRUTH = nps.arrays(np.float64, (3,), elements=st.sampled_from([0.0, 1.0, 2.0, 3.0, 4.0, math.nan]))


def places(scores: list[float], item: float) -> list[int]:
    """All places that an item may have in a falling list of the scores."""
    if math.isnan(item) or math.isnan(scores[int(item)]):
        return []
    mine = scores[int(item)]
    falling = sorted((s for s in scores if not math.isnan(s)), reverse=True)
    return [place for place, score in enumerate(falling, 1) if score == mine]


@given(SCORES, TRUTH)
def test_ranks_are_the_places_of_a_sorted_list(
    scores: NDArray[np.float32], truth: NDArray[np.float64]
) -> None:
    found = [places(s, t) for s, t in zip(scores.tolist(), truth.tolist(), strict=True)]
    for ties, pick in (("standard", min), ("conservative", max), ("median", np.mean)):
        wanted = [float(pick(each)) if each else math.inf for each in found]
        assert ranking.ranks(scores, truth, ties).tolist() == wanted  # type: ignore[arg-type]


@given(SCORES, TRUTH, st.integers(1, 6))
def test_a_place_in_the_list_is_one_that_the_ties_allow(
    scores: NDArray[np.float32], truth: NDArray[np.float64], k: int
) -> None:
    listed = ranking.top(scores, k)
    assert listed.shape == (3, min(k, 5))
    low, high = (ranking.ranks(scores, truth, ties) for ties in ("standard", "conservative"))
    place = ranking.ranks_in_list(listed, truth)
    inside = (place <= k) & np.isfinite(low)
    assert (low[inside] <= place[inside]).all()
    assert (place[inside] <= high[inside]).all()
    assert (high[~np.isfinite(place)] > k).all()


def test_metrics_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    scores, truth = rng.normal(size=(50, 30)), rng.integers(0, 30, 50)
    ranked = ranking.ranks(scores, truth.astype(np.float64))
    for k in (1, 5, 20):
        labels = np.arange(30)
        assert ranking.recall(ranked, k) == top_k_accuracy_score(truth, scores, k=k, labels=labels)
        gains = ndcg_score(labels == truth[:, None], scores, k=k)
        assert ranking.ndcg(ranked, k) == pytest.approx(gains, rel=1e-12)
        reciprocal = [1 / r if r <= k else 0.0 for r in ranked.tolist()]
        assert ranking.mrr(ranked, k) == pytest.approx(sum(reciprocal) / 50, rel=1e-12)


def test_an_item_that_training_never_saw_is_a_miss() -> None:
    ranked = ranking.ranks(np.zeros((3, 4)), np.array([4.0, -1.0, 3.0]))
    assert ranked.tolist() == [math.inf, math.inf, 1.0]
    assert ranking.recall(ranked, 20) == pytest.approx(1 / 3)


def test_a_tie_mode_that_is_none() -> None:
    with pytest.raises(InputError) as caught:
        ranking.ranks(np.zeros((1, 2)), np.zeros(1), "lucky")  # type: ignore[arg-type]
    assert (caught.value.code, caught.value.field) == ("unknown_ties", "ties")
