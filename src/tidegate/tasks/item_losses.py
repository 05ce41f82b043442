"""Losses that compare the right item with some others, where all of them are too many.

A loss reads scores: of each event's right item, and of `negatives`, items that were drawn. The same
ones serve all events of a batch, so that one product scores them. Where a drawn item happens to be
an event's right one (`hits`), it is left out for that event.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

__all__ = ["Sampler", "bpr_max", "sampled_cross_entropy"]


def sampled_cross_entropy(
    positive: Tensor, negatives: Tensor, hits: Tensor, counts: Tensor | None = None
) -> Tensor:
    """Return the cross-entropy of each event's right item among the drawn ones.

    Parameters
    ----------
    positive : float tensor (n,)
        Scores (logits) of the right items.
    negatives : float tensor (n, m)
        Scores of the items that were drawn.
    hits : bool tensor (n, m)
        Which of those are the right item.
    counts : float tensor (m,), optional
        How often each drawn item was to be expected in the draw. Their logarithms are taken off
        the scores (logQ correction), and the loss tends to that among all items as m grows. The
        right item needs no such thing: it is always there, and never as a drawn one. Without
        `counts`, items that are drawn often learn scores that are too low.

    Returns
    -------
    float tensor (n,)
        Nats.

    References
    ----------
    Y. Bengio, J.-S. Senécal, "Adaptive importance sampling to accelerate training of a neural
    probabilistic language model", 2008; on the right item, K. Khrylchenko et al., "Correcting the
    LogQ correction", 2025.

    Examples
    --------
    >>> loss = sampled_cross_entropy(torch.zeros(1), torch.zeros(1, 3), torch.zeros(1, 3).bool())
    >>> round(loss.item(), 4)  # one of four
    1.3863
    """
    if counts is not None:
        negatives = negatives - counts.log()
    others = negatives.masked_fill(hits, -torch.inf)
    everything = torch.cat([positive[:, None], others], dim=1)
    return torch.logsumexp(everything, dim=1) - positive


def bpr_max(positive: Tensor, negatives: Tensor, hits: Tensor, regularisation: float) -> Tensor:
    """Return the BPR-max loss of each event.

    With ``s_j`` the softmax of the drawn items' scores ``r_j``, and r the right one's score, it is
    ``-log(sum_j s_j sigmoid(r - r_j)) + regularisation * sum_j s_j r_j^2``: the right item is to
    stand above those that stand highest, and scores are kept small.

    Parameters
    ----------
    positive, negatives, hits
        As `sampled_cross_entropy` has them.
    regularisation : float
        0 or more.

    Returns
    -------
    float tensor (n,)
        0 for an event of which all drawn items are the right one.

    References
    ----------
    B. Hidasi, A. Karatzoglou, "Recurrent neural networks with top-k gains for session-based
    recommendations", 2018.

    Examples
    --------
    >>> none = torch.zeros(1, 2).bool()
    >>> round(bpr_max(torch.zeros(1), torch.zeros(1, 2), none, regularisation=1.0).item(), 4)
    0.6931
    """
    # Finite, so that an event without others has finite gradients, which are then left out.
    least = torch.finfo(negatives.dtype).min
    weights = functional.log_softmax(negatives.masked_fill(hits, least), dim=1)
    above = functional.logsigmoid(positive[:, None] - negatives)
    small = (weights.exp() * negatives.square()).sum(dim=1)
    losses = regularisation * small - torch.logsumexp(weights + above, dim=1)
    return torch.where(hits.all(dim=1), 0.0, losses)


class Sampler:
    """Draws the items that are compared with the right ones.

    Parameters
    ----------
    shares : float64 array (items,)
        Of the training part's events; an item with none is never drawn but from a batch.
    drawn : int
        Items drawn with a probability that goes as ``shares ** alpha``, with replacement.
    of_batch : int
        Items drawn from the batch's own right ones: as often as they occur.
    alpha : float
        0: all items that occur are equally likely; 1: as they occur.

    Attributes
    ----------
    expected : float32 tensor (items,)
        How often each item is to be expected in a draw.

    Examples
    --------
    >>> sampler = Sampler(np.array([0.0, 0.2, 0.8]), drawn=3, of_batch=1, alpha=0.5)
    >>> sampler.expected
    tensor([0.0000, 1.2000, 2.8000])
    >>> sampler.draw(torch.tensor([2, 2])).shape
    torch.Size([4])
    """

    def __init__(
        self, shares: NDArray[np.float64], drawn: int, of_batch: int, alpha: float
    ) -> None:
        weights = np.power(shares, alpha, where=shares > 0, out=np.zeros_like(shares))
        self._bounds = torch.from_numpy(np.cumsum(weights))
        self._drawn, self._of_batch = drawn, of_batch
        probabilities = weights / weights.sum()
        self.expected = torch.from_numpy(drawn * probabilities + of_batch * shares).float()

    def draw(self, right: Tensor) -> Tensor:
        """Return indices of items, int64 (drawn + of_batch,), from torch's global generator.

        Parameters
        ----------
        right : int64 tensor (n,)
            The batch's right items; at least one.
        """
        places = torch.rand(self._drawn, dtype=torch.float64) * self._bounds[-1]
        # A draw of exactly 0 would be an item that has no share of it.
        drawn = torch.searchsorted(self._bounds, places, right=True)
        return torch.cat([drawn, right[torch.randint(len(right), (self._of_batch,))]])
