"""What counting gives: n-grams of tokens, and the most frequent label of each word."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["FrequentLabel", "NGram"]

Tokens = NDArray[np.int64]


class NGram:
    """The share of each token after the tokens before it, smoothed by those of shorter contexts.

    A context seen ``n`` times, before ``d`` different tokens, leaves the share ``d / (n + d)`` to
    the context that is shorter by one; the shortest, of no token, to all tokens alike.

    Parameters
    ----------
    sequences : sequence of int64 array
        What is counted: tokens from 0 to `size` - 1.
    size : int
        Different tokens.
    order : int
        Tokens of an n-gram: the context and the one foretold.

    References
    ----------
    I. Witten, T. Bell, "The zero-frequency problem", 1991 (method C); S. Chen, J. Goodman, "An
    empirical study of smoothing techniques for language modeling", 1998, for its interpolation.

    Examples
    --------
    >>> model = NGram([np.array([0, 1, 0, 1, 0, 2])], size=4, order=2)
    >>> model.probabilities([np.array([0, 1])]).round(4).tolist()  # (2 + 2 (2 + 3/4) / 9) / 5
    [0.5222]
    """

    def __init__(self, sequences: Sequence[Tokens], size: int, order: int) -> None:
        if size**order > 2**62:
            raise ValueError(f"{size} tokens make more {order}-grams than an int64 tells apart")
        self._size = size
        self._levels = []
        for n in range(order):
            grams, counts = np.unique(
                np.concatenate([_packed(each, n + 1, size)[n:] for each in sequences]),
                return_counts=True,
            )
            contexts, first = np.unique(grams // size, return_index=True)
            totals = np.add.reduceat(counts, first) if len(first) else counts
            distinct = np.diff(np.append(first, len(grams)))
            self._levels.append((grams, counts, contexts, totals, distinct))

    def probabilities(self, sequences: Iterable[Tokens]) -> NDArray[np.float64]:
        """Return the probability of each token but the first of each sequence, in order."""
        return np.concatenate([self._of(np.asarray(each)) for each in sequences])

    def _of(self, tokens: Tokens) -> NDArray[np.float64]:
        shares = np.full(len(tokens), 1 / self._size)
        for n, (grams, counts, contexts, totals, distinct) in enumerate(self._levels):
            packed = _packed(tokens, n + 1, self._size)[n:]
            seen = _found(grams, counts, packed)
            total = _found(contexts, totals, packed // self._size)
            kinds = _found(contexts, distinct, packed // self._size)
            known, shorter = total > 0, shares[n:]
            mixed = (seen + kinds * shorter) / np.maximum(total + kinds, 1)
            shares[n:] = np.where(known, mixed, shorter)
        return shares[1:]


class FrequentLabel:
    """The label that each word has most often; of a word never seen, the one of its ending.

    Parameters
    ----------
    words, endings, labels : sequence of str
        Side by side, of training.

    Examples
    --------
    >>> tagger = FrequentLabel(["a", "cats", "run", "run"], ["a", "ts", "un", "un"], list("dnvn"))
    >>> tagger.of(["run", "rats", "sun"], ["un", "ts", "xx"])
    ['v', 'n', 'n']
    """

    def __init__(self, words: Sequence[str], endings: Sequence[str], labels: Sequence[str]) -> None:
        self._of_word, self._of_ending = _most(words, labels), _most(endings, labels)
        self._of_all = Counter(labels).most_common(1)[0][0]

    def of(self, words: Iterable[str], endings: Iterable[str]) -> list[str]:
        """Return a label for each word."""
        rest = (self._of_ending.get(ending, self._of_all) for ending in endings)
        return [self._of_word.get(word, other) for word, other in zip(words, rest, strict=True)]


def _most(keys: Sequence[str], labels: Sequence[str]) -> dict[str, str]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for key, label in zip(keys, labels, strict=True):
        counts[key][label] += 1
    return {key: each.most_common(1)[0][0] for key, each in counts.items()}


def _packed(tokens: Tokens, many: int, size: int) -> Tokens:
    """Return the last so many tokens at each place as one number; the first places lack some."""
    packed = np.zeros(len(tokens), np.int64)
    for back in range(many):
        packed[back:] += tokens[: len(tokens) - back] * size**back
    return packed


def _found(keys: Tokens, values: Tokens, wanted: Tokens) -> Tokens:
    """Return the values of some keys, 0 of those that are not there."""
    at = np.searchsorted(keys, wanted)
    # One more key that nothing equals: for what is above all, and where there are none.
    return np.where(np.append(keys, -1)[at] == wanted, np.append(values, 0)[at], 0)
