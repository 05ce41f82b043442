"""Problems whose sequences are drawn, not kept: what training on them shares."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import runs
import torch
from rich.progress import Progress
from torch import Tensor, nn

from tidegate.train.repeatable import repeatable

__all__ = ["Problem", "Settings", "SyntheticRun", "error", "make", "train"]


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


class SyntheticRun(runs.Run, frozen=True, kw_only=True):
    """What a model and a seed gave.

    Parameters
    ----------
    settings : Settings
        Of the training.
    steps : int
        Updates made.
    curve : list of (int, float)
        Updates, and the loss on validation after them.
    test : float
        The loss on other sequences.
    """

    settings: Settings
    steps: int
    curve: list[tuple[int, float]]
    test: float


@dataclass(frozen=True)
class Problem:
    """What is asked.

    Parameters
    ----------
    model : callable
        From the name of a cell, units and `Settings.length` to a network; its recurrent layer is
        its `layer`.
    draw : callable
        From a generator, a number of sequences and `Settings.length` to what is given and wanted.
    loss : callable
        From a model's outputs and what is wanted to a mean.
    solved : float
        Below this loss the problem is.
    """

    model: Callable[[str, int, int], nn.Module]
    draw: Callable[[torch.Generator, int, int], tuple[Tensor, Tensor]]
    loss: Callable[[Tensor, Tensor], Tensor]
    solved: float


def make(
    problem: Problem, model: str, units: int, seed: int, settings: Settings, bar: Progress
) -> SyntheticRun:
    """Train a model and test it."""
    began = time.process_time()
    title = f"{settings.length} steps, {model} {units}, seed {seed}"
    with runs.watched(bar, title, settings.steps) as said, repeatable(seed, threads=1):
        network = problem.model(model, units, settings.length)
        # Of its own generator, so that all models see the same sequences.
        generator = torch.Generator().manual_seed(seed)
        test = problem.draw(generator, settings.held_out, settings.length)
        curve = train(network, problem, generator, settings, said)
        return SyntheticRun(
            model=model,
            units=units,
            seed=seed,
            parameters=runs.parameters(network),
            parameters_of_layer=runs.parameters(network.layer),
            path=network.path(test[0]),
            settings=settings,
            steps=curve[-1][0],
            curve=curve,
            test=error(network, problem, *test),
            cpu_seconds=round(time.process_time() - began, 1),
            threads=1,
            place=runs.Place.here(),
        )


@torch.no_grad()
def error(model: nn.Module, problem: Problem, given: Tensor, wanted: Tensor) -> float:
    """Return the loss, of a hundred sequences at a time."""
    parts = zip(given.split(100), wanted.split(100), strict=True)
    return sum(len(x) * float(problem.loss(model(x), y)) for x, y in parts) / len(given)


def said(run: SyntheticRun) -> str:
    """Write the figures of a run in a line."""
    return f"{run.test:.2g} after {run.steps} steps"


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
