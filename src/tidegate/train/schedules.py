"""The learning rate of each step: warm-up, then one of five ways to lower it."""

from __future__ import annotations

import math

import msgspec

from tidegate.train.settings import TrainSettings

__all__ = ["Plateau", "learning_rate"]


def learning_rate(step: int, steps: int, settings: TrainSettings) -> float:
    """Return the rate of a step: a linear warm-up, then what the schedule says.

    ``constant`` and ``plateau`` stay at the full rate (`Plateau` scales it beside this function).
    ``cosine`` is half a cosine down to zero at the end. ``exponential`` falls steadily, by
    `schedule_factor` in every `schedule_epochs` epochs after the warm-up. ``step`` falls at once by
    the same factor, each time so many epochs are over.

    Parameters
    ----------
    step : int
        Steps before this one.
    steps : int
        Steps of the whole training.
    settings : TrainSettings
        With `learning_rate`, `warmup_steps`, `epochs` and the schedule.

    References
    ----------
    I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017: the
    cosine (without the restarts).

    Examples
    --------
    >>> settings = TrainSettings(learning_rate=1.0, warmup_steps=4)
    >>> [round(learning_rate(step, 12, settings), 2) for step in range(12)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 0.96, 0.85, 0.69, 0.5, 0.31, 0.15, 0.04]
    """
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    return settings.learning_rate * _share(step, steps, settings)


def _share(step: int, steps: int, settings: TrainSettings) -> float:
    """Return what is left of the full rate after the warm-up."""
    after = step - settings.warmup_steps
    match settings.schedule:
        case "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * after / (steps - settings.warmup_steps)))
        case "exponential":
            epochs = after * settings.epochs / steps
            return math.pow(settings.schedule_factor, epochs / settings.schedule_epochs)
        case "step":
            epoch = step * settings.epochs // steps
            return math.pow(settings.schedule_factor, epoch // settings.schedule_epochs)
        case _:
            return 1.0


class Plateau(msgspec.Struct, frozen=True):
    """Where a schedule stands that lowers the rate when the watched metric no longer improves.

    Parameters
    ----------
    scale : float
        What is left of the rate.
    stale : int
        Epochs without improvement, since the rate was last lowered.

    Examples
    --------
    >>> settings = TrainSettings(schedule="plateau", schedule_epochs=2, schedule_factor=0.1)
    >>> plateau = Plateau()
    >>> for improved in (True, False, False, False):
    ...     plateau = plateau.after(improved, settings)
    ...     print(plateau)
    Plateau(scale=1.0, stale=0)
    Plateau(scale=1.0, stale=1)
    Plateau(scale=0.1, stale=0)
    Plateau(scale=0.1, stale=1)
    """

    scale: float = 1.0
    stale: int = 0

    def after(self, improved: bool, settings: TrainSettings) -> Plateau:
        """Return where it stands after one more epoch; other schedules leave it as it is."""
        if settings.schedule != "plateau":
            return self
        if improved:
            return Plateau(self.scale)
        if self.stale + 1 < settings.schedule_epochs:
            return Plateau(self.scale, self.stale + 1)
        return Plateau(self.scale * settings.schedule_factor)
