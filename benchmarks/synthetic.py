"""Problems whose sequences are drawn, not kept: what training on them shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import torch
from torch import Tensor, nn

__all__ = ["Problem", "Settings", "error", "train"]


class Settings(msgspec.Struct, frozen=True):
    """How a model is trained.

    Parameters
    ----------
    length : int
        Of a sequence, as the problem counts it.
    steps : int
        Updates at most.
    batch : int
        Sequences of an update.
    learning_rate : float
        Adam's at the beginning; half a cosine leads it to zero. The same for every model.
    clip_norm : float
        A gradient is scaled down to this norm.
    check : int
        Updates between two validations.
    held_out : int
        Sequences for validation, and for the test.
    """

    length: int = 600
    steps: int = 2500
    batch: int = 32
    learning_rate: float = 3e-3
    clip_norm: float = 1.0
    check: int = 50
    held_out: int = 1000


@dataclass(frozen=True)
class Problem:
    """What is asked.

    Parameters
    ----------
    draw : callable
        From a generator, a number of sequences and `Settings.length` to what is given and wanted.
    loss : callable
        From a model's outputs and what is wanted to a mean.
    solved : float
        Below this loss the problem is.
    """

    draw: Callable[[torch.Generator, int, int], tuple[Tensor, Tensor]]
    loss: Callable[[Tensor, Tensor], Tensor]
    solved: float


@torch.no_grad()
def error(model: nn.Module, problem: Problem, given: Tensor, wanted: Tensor) -> float:
    """Return the loss, of a hundred sequences at a time."""
    parts = zip(given.split(100), wanted.split(100), strict=True)
    return sum(len(x) * float(problem.loss(model(x), y)) for x, y in parts) / len(given)


def train(
    model: nn.Module,
    problem: Problem,
    generator: torch.Generator,
    settings: Settings,
    said: Callable[[int, float], None],
) -> list[tuple[int, float]]:
    """Train until the problem is more than solved, or for all steps; return the validations."""
    weights = list(model.parameters())
    optimizer = torch.optim.Adam(weights, lr=settings.learning_rate)
    held_out = problem.draw(generator, settings.held_out, settings.length)
    curve: list[tuple[int, float]] = []
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
    for step in range(1, settings.steps + 1):
        given, wanted = problem.draw(generator, settings.batch, settings.length)
        optimizer.zero_grad()
        problem.loss(model(given), wanted).backward()
        nn.utils.clip_grad_norm_(weights, settings.clip_norm)
        optimizer.step()
        schedule.step()
        if step % settings.check == 0:
            curve.append((step, error(model, problem, *held_out)))
            said(*curve[-1])
            if curve[-1][1] < problem.solved / 10:
                break
    return curve
