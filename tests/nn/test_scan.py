"""The scan is the loop over its steps, for any length and any share."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tidegate.nn.scan import scan


def loop(a: Tensor, b: Tensor, h: Tensor) -> np.ndarray:
    """Step by step in float64 NumPy."""
    a, b, h = (each.detach().double().numpy() for each in (a, b, h))
    after = np.empty_like(b)
    for t in range(b.shape[1]):
        h = a[:, t] * h + b[:, t]
        after[:, t] = h
    return after


def drawn(sessions: int, steps: int, width: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Shares from almost nothing to almost all, some exactly 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    shape = (sessions, steps, width)
    a = torch.sigmoid(6.0 * torch.randn(shape, generator=generator))
    extreme = torch.rand(shape, generator=generator)
    a = torch.where(extreme < 0.05, 0.0, torch.where(extreme > 0.95, 1.0, a))
    b = (1 - a) * torch.randn(shape, generator=generator)
    return a, b, torch.randn(sessions, width, generator=generator)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 3), st.integers(0, 70), st.integers(1, 5), st.integers(0, 99))
def test_any_length(sessions: int, steps: int, width: int, seed: int) -> None:
    a, b, h = (each.double() for each in drawn(sessions, steps, width, seed))
    np.testing.assert_allclose(scan(a, b, h).numpy(), loop(a, b, h), rtol=0, atol=1e-12)


@pytest.mark.parametrize("keep", [None, 0.0, 1e-30, 0.5, 0.999, 1.0])
def test_long_sessions_in_float32(keep: float | None) -> None:
    a, b, h = drawn(2, 4096, 8, seed=1)
    if keep is not None:
        a = torch.full_like(a, keep)
        b = (1 - a) * b
    np.testing.assert_allclose(scan(a, b, h).numpy(), loop(a, b, h), rtol=0, atol=1e-5)


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 10])
def test_gradients(steps: int) -> None:
    given = tuple(each.double().requires_grad_() for each in drawn(2, steps, 2, seed=2))
    assert torch.autograd.gradcheck(scan, given)
    assert torch.autograd.gradgradcheck(scan, given)


def test_gradients_of_long_sessions_in_float32() -> None:
    grads = []
    for dtype in (torch.float32, torch.float64):
        leaves = [each.to(dtype).requires_grad_() for each in drawn(1, 1000, 4, seed=3)]
        scan(*leaves).sin().sum().backward()
        grads.append([leaf.grad for leaf in leaves])
    for found, wanted in zip(*grads, strict=True):
        torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=1e-5)


def test_what_is_given_stays_as_it_is() -> None:
    given = drawn(2, 16, 3, seed=4)
    before = [each.clone() for each in given]
    scan(*given)
    for one, other in zip(given, before, strict=True):
        assert torch.equal(one, other)
