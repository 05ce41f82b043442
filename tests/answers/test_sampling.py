"""Chances against definitions that enumerate, and draws against chances."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.answers.sampling import Sampling, likeliest
from tidegate.errors import InputError

# Few values, so that scores tie.
SCORES = st.lists(st.integers(-12, 12).map(lambda n: n / 4), min_size=1, max_size=7)
TEMPERATURE = st.sampled_from([0.25, 0.7, 1.0, 3.0])


def softmax(scores: list[float], temperature: float) -> list[float]:
    weights = [math.exp(score / temperature) for score in scores]
    return [weight / math.fsum(weights) for weight in weights]


def by_definition(
    scores: list[float], temperature: float, top_k: int | None, top_p: float | None
) -> list[float]:
    """Take tokens one at a time, the likeliest first, until a rule says stop."""
    left, taken = list(range(len(scores))), []
    while left and len(taken) < (top_k or len(scores)):
        best = max(left, key=lambda at: (scores[at], -at))
        left.remove(best)
        taken.append(best)
    shares = dict(zip(taken, softmax([scores[at] for at in taken], temperature), strict=True))
    if top_p is not None:
        nucleus = []
        while math.fsum(shares[at] for at in nucleus) < top_p - 1e-12:
            nucleus.append(taken[len(nucleus)])
        total = math.fsum(shares[at] for at in nucleus)
        shares = {at: shares[at] / total for at in nucleus}
    return [shares.get(at, 0.0) for at in range(len(scores))]


@given(SCORES, TEMPERATURE, st.none() | st.integers(1, 9), st.none() | st.floats(0.01, 1.0))
@settings(max_examples=300, deadline=None)
def test_chances_are_those_of_the_definition(
    scores: list[float], temperature: float, top_k: int | None, top_p: float | None
) -> None:
    shares = softmax(scores, temperature) if top_k is None else []
    if (
        top_p is not None
        and any(  # at a border of the nucleus, rounding decides
            abs(math.fsum(sorted(shares)[::-1][:n]) - top_p) < 1e-9 for n in range(len(shares))
        )
    ):
        top_p = None
    found = Sampling(temperature, top_k, top_p).probabilities(np.array(scores))
    assert found.sum() == pytest.approx(1.0, abs=1e-12)
    expected = by_definition(scores, temperature, top_k, top_p)
    assert found.tolist() == pytest.approx(expected, abs=1e-12)


@given(SCORES, TEMPERATURE)
@settings(max_examples=100, deadline=None)
def test_wider_rules_never_lose_a_token(scores: list[float], temperature: float) -> None:
    values = np.array(scores)

    def support(**rules: float) -> set[int]:
        return {*np.flatnonzero(Sampling(temperature, **rules).probabilities(values)).tolist()}

    for one, other in ((1, 2), (2, 5)):
        assert support(top_k=one) <= support(top_k=other)
        assert len(support(top_k=one)) == min(one, len(scores))
    for small, large in ((0.1, 0.5), (0.5, 0.9), (0.9, 1.0)):
        assert support(top_p=small) <= support(top_p=large)


@given(SCORES)
@settings(max_examples=100, deadline=None)
def test_towards_no_temperature_the_likeliest_is_certain(scores: list[float]) -> None:
    values = np.array(scores)
    best = values == values.max()
    assert Sampling(0.0).probabilities(values).tolist() == [
        float(at == values.argmax()) for at in range(len(values))
    ]
    cold = Sampling(1e-4).probabilities(values)
    assert cold[best].sum() == pytest.approx(1.0, abs=1e-12)
    highest = [Sampling(t).probabilities(values)[best].sum() for t in (3.0, 1.0, 0.3, 0.1)]
    assert highest == sorted(highest)


@given(SCORES, st.integers(-1000, 1000))
@settings(max_examples=100, deadline=None)
def test_what_is_added_to_all_scores_changes_nothing(scores: list[float], shift: int) -> None:
    rules = Sampling(0.7, top_k=4, top_p=0.83)
    values = np.array(scores)
    np.testing.assert_allclose(
        rules.probabilities(values + shift), rules.probabilities(values), atol=1e-9
    )


def test_draws_come_as_often_as_their_chances_say() -> None:
    rules, scores = Sampling(1.5, top_k=4, top_p=0.95), np.array([0.3, -2.0, 2.0, 0.9, 0.9, -9.0])
    rng = np.random.default_rng(3)
    n = 20_000
    counts = np.bincount([rules.draw(scores, rng) for _ in range(n)], minlength=len(scores))
    chances = rules.probabilities(scores)
    assert (counts[chances == 0] == 0).all()
    deviation = np.sqrt(chances * (1 - chances) / n)
    assert (np.abs(counts / n - chances) <= 4 * deviation).all()


def test_the_same_seed_draws_the_same() -> None:
    scores = np.random.default_rng(0).standard_normal(50)
    drawn = [
        [Sampling(top_p=0.9).draw(scores, rng) for _ in range(20)]
        for rng in (np.random.default_rng(7), np.random.default_rng(7), np.random.default_rng(8))
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_what_is_impossible_is_never_drawn() -> None:
    scores = np.array([-np.inf, 0.0, -np.inf, 0.0])
    assert Sampling(2.0).probabilities(scores).tolist() == [0.0, 0.5, 0.0, 0.5]
    assert likeliest(scores, 2).tolist() == [1, 3]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -0.1),
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("top_k", 0),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("top_p", math.nan),
    ],
)
def test_rules_that_make_no_sense(field: str, value: float) -> None:
    with pytest.raises(InputError) as refused:
        Sampling(**{field: value})
    assert (refused.value.code, refused.value.field) == ("out_of_range", field)
