"""What the steps of an epoch add up to."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tidegate.train.history import Clipping
from tidegate.train.learner import Outcome

__all__ = ["Tally"]


@dataclass
class Tally:
    """Adds up the steps that were learned from.

    Parameters
    ----------
    clip_norm : float
        What gradients are scaled down to.

    Examples
    --------
    >>> tally = Tally(clip_norm=2.0)
    >>> tally.norms += [1.0, 3.0, 5.0, 1.5]
    >>> tally.clipping
    Clipping(share=0.5, ratio_mean=2.0, ratio_max=2.5)
    """

    clip_norm: float
    losses: list[float] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    updates: dict[str, float] = field(default_factory=dict)
    rate: float = 0.0
    events: int = 0

    def add(self, outcome: Outcome, labels: int) -> None:
        """Take in a step and how many labelled events it had."""
        self.losses.append(outcome.loss)
        self.labels.append(labels)
        self.norms.append(outcome.norm)
        self.updates = outcome.updates or self.updates

    @property
    def loss(self) -> float:
        """Mean over the labelled events."""
        return float(np.average(self.losses, weights=self.labels))

    @property
    def clipping(self) -> Clipping:
        """How often the gradient was scaled down, and how far."""
        ratios = [norm / self.clip_norm for norm in self.norms if norm > self.clip_norm]
        if not ratios:
            return Clipping()
        return Clipping(len(ratios) / len(self.norms), float(np.mean(ratios)), max(ratios))
