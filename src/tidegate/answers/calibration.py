"""Temperature scaling: one number that makes a classifier as sure as it is right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["LIMITS", "temperature"]

LIMITS = (0.05, 20.0)
"""Lowest and highest temperature."""

_HALVINGS = 50


def temperature(logits: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    """Return the temperature T at which ``softmax(logits / T)`` has the lowest log loss.

    Dividing all logits by one number changes neither the likeliest class nor, of two classes, the
    order of the scores.

    Parameters
    ----------
    logits : float64 array (events, classes)
        One event at least.
    truth : int64 array (events,)
        The classes.

    Returns
    -------
    float
        Within `LIMITS`. Above 1 where the logits were too sure.

    Notes
    -----
    The loss is convex in 1/T, so that its slope has one zero, which bisection finds. As Platt
    does it, each of n events counts as its class with ``(n + 1) / (n + 2)`` and as the others with
    the rest: a few events that are all told rightly do not make a model sure of everything.

    References
    ----------
    C. Guo et al., "On calibration of modern neural networks", 2017; J. Platt, "Probabilistic
    outputs for support vector machines", 1999.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> logits = rng.normal(0, 2, (5000, 3))
    >>> truth = (logits + rng.gumbel(size=(5000, 3))).argmax(axis=1)  # drawn from the softmax
    >>> round(temperature(logits, truth), 2), round(temperature(5 * logits, truth), 2)
    (1.03, 5.16)
    """
    n_classes = logits.shape[1]
    share = (len(truth) + 1.0) / (len(truth) + 2.0)
    others = (logits.sum(axis=1) - logits[np.arange(len(truth)), truth]) / max(n_classes - 1, 1)
    wanted = share * logits[np.arange(len(truth)), truth] + (1.0 - share) * others
    centred = logits - logits.max(axis=1, keepdims=True)

    def slope(inverse: float) -> float:
        """Derive the loss by 1/T: the logits as the softmax expects them, less those wanted."""
        weights = np.exp(inverse * centred)
        expected = (weights * logits).sum(axis=1) / weights.sum(axis=1)
        return float((expected - wanted).mean())

    low, high = 1 / LIMITS[1], 1 / LIMITS[0]
    for _ in range(_HALVINGS):
        middle = float(np.sqrt(low * high))
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    return 1 / low
