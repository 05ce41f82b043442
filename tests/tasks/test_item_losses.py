"""Losses against their equations, written out in float64, and against what they tend to."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional

from tidegate.tasks.item_losses import Sampler, bpr_max, sampled_cross_entropy

Floats = NDArray[np.float64]


def example() -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Scores of the right items (n,) and of others (n, m), and which of these are the right one."""
    rng = np.random.default_rng(2)
    hits = rng.random((6, 4)) < 0.3
    hits[0] = True  # nothing to compare with
    hits[1] = False
    return rng.normal(0, 2, 6), rng.normal(0, 2, (6, 4)), hits


def sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


@pytest.mark.parametrize("corrected", [False, True])
def test_sampled_cross_entropy_is_its_equation(corrected: bool) -> None:
    positive, negatives, hits = example()
    counts = np.random.default_rng(4).uniform(0.01, 3, 4)
    wanted = []
    for n in range(6):
        total = math.exp(positive[n])
        for m in range(4):
            if not hits[n, m]:
                total += math.exp(negatives[n, m]) / (counts[m] if corrected else 1.0)
        wanted.append(math.log(total) - positive[n])
    found = sampled_cross_entropy(
        torch.from_numpy(positive),
        torch.from_numpy(negatives),
        torch.from_numpy(hits),
        torch.from_numpy(counts) if corrected else None,
    )
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("regularisation", [0.0, 0.7])
def test_bpr_max_is_its_equation(regularisation: float) -> None:
    positive, negatives, hits = example()
    wanted = [0.0]
    for n in range(1, 6):
        rest = negatives[n, ~hits[n]]
        s = np.exp(rest) / np.exp(rest).sum()
        above = sum(w * sigmoid(positive[n] - r) for w, r in zip(s, rest, strict=True))
        wanted.append(-math.log(above) + regularisation * float((s * rest**2).sum()))
    found = bpr_max(
        torch.from_numpy(positive),
        torch.from_numpy(negatives),
        torch.from_numpy(hits),
        regularisation,
    )
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-12)


@pytest.mark.parametrize("loss", ["cross_entropy", "bpr_max"])
def test_hits_get_no_gradient_and_extreme_scores_none_that_is_not_finite(loss: str) -> None:
    scores, rest, hits = (torch.from_numpy(array) for array in example())
    for scale in (1.0, 1e4):
        positive = (scores * scale).float().requires_grad_()
        negatives = (rest * scale).float().requires_grad_()
        found = (
            sampled_cross_entropy(positive, negatives, hits)
            if loss == "cross_entropy"
            else bpr_max(positive, negatives, hits, 0.5)
        )
        found.sum().backward()
        assert positive.grad is not None
        assert negatives.grad is not None
        for array in (found, positive.grad, negatives.grad):
            assert torch.isfinite(array).all()
        assert not negatives.grad[hits].any()
        if scale == 1.0:
            assert (positive.grad[1:] < 0).all()
            assert (negatives.grad[~hits] != 0).all()


def test_draws_come_as_often_as_expected() -> None:
    shares = np.array([0.0, 0.5, 0.3, 0.2, 0.0])
    sampler = Sampler(shares, drawn=30_000, of_batch=10_000, alpha=0.5)
    weights = np.sqrt(shares)
    wanted = 30_000 * weights / weights.sum() + 10_000 * shares
    np.testing.assert_allclose(sampler.expected.numpy(), wanted, rtol=1e-6)
    torch.manual_seed(1)
    right = torch.multinomial(torch.from_numpy(shares), 50_000, replacement=True)
    drawn = np.bincount(sampler.draw(right).numpy(), minlength=5)
    assert drawn.sum() == 40_000
    assert (np.abs(drawn - wanted) <= 5 * np.sqrt(wanted)).all()


@pytest.mark.parametrize("alpha", [0.0, 0.75, 1.0])
def test_the_corrected_gradient_tends_to_that_of_all_items(alpha: float) -> None:
    rng = np.random.default_rng(6)
    shares = rng.dirichlet(np.full(40, 5.0))
    logits = torch.from_numpy(rng.normal(0, 1.5, 40))
    torch.manual_seed(3)
    right = torch.tensor([7])
    sampler = Sampler(shares, drawn=200_000, of_batch=0, alpha=alpha)

    def gradient(corrected: bool) -> torch.Tensor:
        leaf = logits.clone().requires_grad_()
        drawn = sampler.draw(right)
        counts = sampler.expected[drawn] if corrected else None
        hits = (drawn == right)[None]
        sampled_cross_entropy(leaf[right], leaf[drawn][None], hits, counts).sum().backward()
        assert leaf.grad is not None
        return leaf.grad

    leaf = logits.clone().requires_grad_()
    functional.cross_entropy(leaf[None], right).backward()
    assert leaf.grad is not None
    torch.testing.assert_close(gradient(corrected=True), leaf.grad, atol=4e-3, rtol=0)
    assert (gradient(corrected=False) - leaf.grad).abs().max() > 1e-2
