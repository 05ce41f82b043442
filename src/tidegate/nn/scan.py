"""h_t = a_t h_{t-1} + b_t for all t at once."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - as everybody calls it

from tidegate.nn.checks import transforms

__all__ = ["scan"]


def scan(a: Tensor, b: Tensor, h: Tensor) -> Tensor:
    """Return h after every step of a linear recurrence.

    Parameters
    ----------
    a : tensor (B, T, width)
        The share kept at each step, 0 to 1.
    b : tensor (B, T, width)
        What is added.
    h : tensor (B, width)
        Before the first step.

    Returns
    -------
    tensor (B, T, width)
        h after each step: in float32 as close to the truth as a loop over the steps.

    Notes
    -----
    The steps are cut into about sqrt(T) chunks of sqrt(T) steps. All chunks step together, each
    from zero, with the products of their shares beside them; then h goes from chunk to chunk. These
    are 2 sqrt(T) calls of torch instead of T. Only products of shares occur, which at worst vanish
    as they would in a loop: sums of logarithms, as in the paper of `MinGRU`, lose three digits at
    4,096 steps. The gradient is a recurrence of the same kind, backwards.

    Examples
    --------
    >>> scan(torch.full((1, 4, 1), 0.5), torch.ones(1, 4, 1), torch.zeros(1, 1))[0, :, 0]
    tensor([1.0000, 1.5000, 1.7500, 1.8750])
    """
    if not b.shape[1]:
        return b
    if transforms():
        return _in_turn(a, b, h)
    return cast("Tensor", _Scan.apply(a, b, h))  # type: ignore[no-untyped-call]


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, h: Tensor) -> Tensor:
        after = _in_chunks(a, b, h)
        ctx.save_for_backward(a, h, after)
        return after

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients: what reaches h_t is its own and a_{t+1} of what reaches h_{t+1}."""
        a, h, after = ctx.saved_tensors
        later = F.pad(a[:, 1:], (0, 0, 0, 1)).flip(1)
        reached = scan(later, grads[0].flip(1), torch.zeros_like(h)).flip(1)
        before = torch.cat([h[:, None], after[:, :-1]], dim=1)
        return reached * before, reached, reached[:, 0] * a[:, 0]


def _in_turn(a: Tensor, b: Tensor, h: Tensor) -> Tensor:
    """Take one step after the other: of this, torch.func makes whatever it is asked for."""
    found = [h := share * h + more for share, more in zip(a.unbind(1), b.unbind(1), strict=True)]
    return torch.stack(found, dim=1)


def _in_chunks(a: Tensor, b: Tensor, h: Tensor) -> Tensor:
    sessions, steps, width = b.shape
    size = math.isqrt(steps)
    count = -(-steps // size)
    padding = (0, 0, 0, count * size - steps)
    shares = F.pad(a, padding).reshape(sessions, count, size, width)
    after = F.pad(b, padding).reshape(sessions, count, size, width).clone()
    kept = shares.clone()
    after[:, 0, 0].addcmul_(shares[:, 0, 0], h)
    for t in range(1, size):
        after[:, :, t].addcmul_(shares[:, :, t], after[:, :, t - 1])
        kept[:, :, t].mul_(kept[:, :, t - 1])
    for chunk in range(1, count):
        after[:, chunk].addcmul_(kept[:, chunk], after[:, chunk - 1, -1:])
    return after.reshape(sessions, count * size, width)[:, :steps]
