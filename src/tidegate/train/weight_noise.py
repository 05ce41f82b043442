"""Gaussian noise on the weights of a step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

__all__ = ["noisy"]


@contextmanager
def noisy(weights: Sequence[torch.Tensor], deviation: float) -> Iterator[None]:
    """Add noise to weights within a ``with`` block; afterwards they are what they were, to the bit.

    A step's loss and gradient are those of the noisy weights, and the update goes to the clean
    ones: what is learned does not hang on exact weights.

    Parameters
    ----------
    weights : sequence of tensors
        Changed in place.
    deviation : float
        Of the noise, from torch's global generator. 0: nothing is drawn.

    References
    ----------
    A. Graves, "Practical variational inference for neural networks", 2011; A. Graves, A. Mohamed,
    G. Hinton, "Speech recognition with deep recurrent neural networks", 2013 (0.075).

    Examples
    --------
    >>> weight = torch.ones(2)
    >>> with noisy([weight], 0.1):
    ...     bool((weight != 1).all())
    True
    >>> weight
    tensor([1., 1.])
    """
    if deviation == 0:
        yield
        return
    # Copies, not a subtraction of the noise: that would round.
    clean = [weight.detach().clone() for weight in weights]
    try:
        with torch.no_grad():
            for weight in weights:
                weight.add_(torch.randn_like(weight), alpha=deviation)
        yield
    finally:
        with torch.no_grad():
            for weight, was in zip(weights, clean, strict=True):
                weight.copy_(was)
