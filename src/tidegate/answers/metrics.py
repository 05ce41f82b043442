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
    "ece",
    "log_loss",
    "log_softmax",
    "mae",
    "precision_at_k",
    "r2",
    "rmse",
    "roc_auc",
]

HIGHER_IS_BETTER = frozenset(
    {
        *("accuracy", "auc", "average_precision", "f1", "mrr", "ndcg"),
        *("precision", "precision_at_k", "r2", "recall"),
    }
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
    """Return the mean precision over the positives, each at the threshold that just finds it.

    What the AUC is for even classes, this is for rare ones: an answer by chance scores the share of
    positives. Equal scores are found together.

    Parameters
    ----------
    scores : float64 array (events,)
        Higher means positive.
    positive : bool array (events,)
        The truth; at least one is.

    Examples
    --------
    >>> average_precision(np.array([0.9, 0.8, 0.7]), np.array([True, False, True]))
    0.8333333333333333
    """
    looked, found = _found(scores, positive)
    gained = np.diff(found, prepend=0.0)
    return float((gained * found / looked).sum() / positive.sum())


def precision_at_k(scores: Floats, positive: NDArray[np.bool_], k: int) -> float:
    """Return the share of positives among the k events that score highest.

    Of equal scores at the edge each counts for its share of the places that are left: the mean over
    all orders.

    Parameters
    ----------
    scores : float64 array (events,)
        Higher means positive.
    positive : bool array (events,)
        The truth.
    k : int
        1 to the number of events.

    Examples
    --------
    >>> precision_at_k(np.array([0.9, 0.8, 0.8, 0.1]), np.array([True, False, True, False]), 2)
    0.75
    """
    looked, found = _found(scores, positive)
    return float(np.interp(k, np.append(0.0, looked), np.append(0.0, found)) / k)


def _found(scores: Floats, positive: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return, for falling thresholds, how many events are above, and how many positives."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, [True]))
    return ends.astype(np.float64) + 1.0, np.cumsum(positive[order])[ends].astype(np.float64)


def ece(logits: Floats, truth: Classes, bins: int = 15) -> float:
    """Return the expected calibration error: how far confidence is from accuracy.

    Events are binned by the probability of their likeliest class, in bins of equal width; the
    differences of mean probability and accuracy are averaged, each bin weighing its events.

    References
    ----------
    C. Guo et al., "On calibration of modern neural networks", 2017.

    Examples
    --------
    >>> round(ece(np.log([[0.75, 0.25], [0.25, 0.75]]), np.array([0, 0])), 9)
    0.25
    """
    confidence = np.exp(log_softmax(logits).max(axis=1))
    if not np.isfinite(confidence).all():
        return float("nan")
    right = logits.argmax(axis=1) == truth
    # Bin i is (i / bins, (i + 1) / bins].
    chosen = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps = np.bincount(chosen, confidence - right, minlength=bins)
    return float(np.abs(gaps).sum() / len(truth))


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
