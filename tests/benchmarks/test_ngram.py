"""n-grams against a definition that counts with dictionaries."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ngram import FrequentLabel, NGram

SIZE = 3
SEQUENCES = st.lists(
    st.lists(st.integers(0, SIZE - 1), min_size=1, max_size=12).map(np.array),
    min_size=1,
    max_size=4,
)


def share(sequences: list[np.ndarray], context: tuple[int, ...], token: int) -> float:
    after = [
        int(sequence[at])
        for sequence in sequences
        for at in range(len(context), len(sequence))
        if tuple(sequence[at - len(context) : at].tolist()) == context
    ]
    shorter = share(sequences, context[1:], token) if context else 1 / SIZE
    kinds = len(set(after))
    return (after.count(token) + kinds * shorter) / (len(after) + kinds) if after else shorter


@given(SEQUENCES, SEQUENCES, st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_shares_are_those_of_the_definition(
    counted: list[np.ndarray], asked: list[np.ndarray], order: int
) -> None:
    found = NGram(counted, SIZE, order).probabilities(asked)
    expected = [
        share(counted, tuple(sequence[max(0, at - order + 1) : at].tolist()), int(sequence[at]))
        for sequence in asked
        for at in range(1, len(sequence))
    ]
    assert found.tolist() == pytest.approx(expected, rel=1e-12)


def test_the_shares_of_all_tokens_are_one() -> None:
    rng = np.random.default_rng(0)
    model = NGram([rng.integers(0, SIZE, 30)], SIZE, 3)
    for context in ([0, 1], [2, 2], [1]):
        each = [model.probabilities([np.array([*context, t])])[-1] for t in range(SIZE)]
        assert sum(each) == pytest.approx(1.0, abs=1e-12)


def test_more_grams_than_numbers() -> None:
    with pytest.raises(ValueError, match="int64"):
        NGram([np.array([0])], 1000, 7)


def test_a_word_never_seen_has_the_label_of_its_ending() -> None:
    tagger = FrequentLabel(["cats", "dogs", "dogs"], ["ts", "gs", "gs"], ["n", "v", "n"])
    assert tagger.of(["dogs", "logs", "x"], ["gs", "gs", "x"]) == ["v", "v", "n"]
