from __future__ import annotations

import pytest
import torch

from tidegate.train.weight_noise import noisy


def test_the_noise_has_its_deviation_and_goes_away_to_the_bit() -> None:
    torch.manual_seed(0)
    weights = [torch.randn(200, 100) * 1e-3, torch.randn(3) * 1e6]
    before = [weight.clone() for weight in weights]
    with noisy(weights, 0.075):
        noise = weights[0] - before[0]
        assert noise.std().item() == pytest.approx(0.075, rel=0.02)
        assert abs(noise.mean().item()) < 0.002
    assert all(torch.equal(weight, was) for weight, was in zip(weights, before, strict=True))
    with noisy(weights, 0.075):
        assert not torch.equal(weights[0] - before[0], noise)  # drawn anew


def test_it_goes_away_after_an_error_too() -> None:
    weight = torch.ones(5)
    with pytest.raises(KeyboardInterrupt), noisy([weight], 0.1):
        raise KeyboardInterrupt
    assert torch.equal(weight, torch.ones(5))


def test_without_noise_nothing_is_drawn() -> None:
    state = torch.get_rng_state()
    with noisy([torch.ones(5)], 0.0):
        pass
    assert torch.equal(torch.get_rng_state(), state)
