"""Metrics, each a few lines of NumPy; labels are complete and there is at least one.

Classification metrics take logits, (events, classes), so that no probability is rounded to 0 or 1
before its logarithm is taken.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "HIGHER_IS_BETTER",
    "accuracy",
    "average_precision",
    "brier",
    "log_loss",
    "log_softmax",
    "mae",
    "r2",
    "rmse",
    "roc_auc",
]

HIGHER_IS_BETTER = frozenset(
    {"accuracy", "auc", "average_precision", "f1", "mrr", "ndcg", "precision", "r2", "recall"}
)
"""Of the other metrics, lower is."""

Floats = NDArray[np.float64]
Classes = NDArray[np.int64]


def log_softmax(logits: Floats) -> Floats:
    """Return the logarithm of each class's probability, (events, classes)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def roc_auc(scores: Floats, positive: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve: how often a positive scores above a negative.

    A tie counts half. Both classes must occur.

    Parameters
    ----------
    scores : float64 array (events,)
        Higher means positive.
    positive : bool array (events,)
        The truth.

    References
    ----------
    The rank sum of H. Mann and D. Whitney, 1947.

    Examples
    --------
    >>> roc_auc(np.array([0.1, 0.4, 0.4, 0.8]), np.array([False, False, True, True]))
    0.875
    """
    _, rank, ties = np.unique(scores, return_inverse=True, return_counts=True)
    # Equal scores share the mean of their ranks, which count from 1.
    mean_ranks = np.cumsum(ties) - (ties - 1) / 2
    positives = int(positive.sum())
    negatives = len(positive) - positives
    above = mean_ranks[rank][positive].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def average_precision(scores: Floats, positive: NDArray[np.bool_]) -> float:
    """Return the mean, over positives, of the precision where each is found.

    Events of equal score are found together. A positive must occur.

    Parameters
    ----------
    scores : float64 array (events,)
        Higher means positive.
    positive : bool array (events,)
        The truth.

    Examples
    --------
    >>> average_precision(np.array([0.9, 0.8, 0.1]), np.array([True, False, True])).__round__(4)
    0.8333
    """
    order = np.argsort(-scores, kind="stable")
    ranked, found = scores[order], np.cumsum(positive[order])
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    precision = found[ends] / (ends + 1)
    return float((np.diff(found[ends], prepend=0) * precision).sum() / found[-1])


def log_loss(logits: Floats, truth: Classes) -> float:
    """Return the mean of minus the logarithm of the true class's probability (nats)."""
    return float(-log_softmax(logits)[np.arange(len(truth)), truth].mean())


def brier(logits: Floats, truth: Classes) -> float:
    """Return the mean squared error of the probabilities.

    Of two classes it is the error of the second's probability (0 to 1), of more the sum over the
    classes (0 to 2).

    References
    ----------
    G. Brier, "Verification of forecasts expressed in terms of probability", 1950.
    """
    errors = np.exp(log_softmax(logits))
    errors[np.arange(len(truth)), truth] -= 1.0
    squares = (errors**2).sum(axis=1)
    return float(squares.mean() / (2 if logits.shape[1] == 2 else 1))


def accuracy(logits: Floats, truth: Classes) -> float:
    """Return the share of events whose likeliest class (the first of equals) is the true one."""
    return float((logits.argmax(axis=1) == truth).mean())


def mae(values: Floats, truth: Floats) -> float:
    """Return the mean absolute error, in the label's unit."""
    return float(np.abs(values - truth).mean())


def rmse(values: Floats, truth: Floats) -> float:
    """Return the root of the mean squared error, in the label's unit."""
    return float(np.sqrt(((values - truth) ** 2).mean()))


def r2(values: Floats, truth: Floats) -> float:
    """Return the share of the variance that is explained; the truth must vary."""
    return float(1.0 - ((values - truth) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())
