"""Tasks: the workshop's half of what a model is for.

A task says which numbers the network learns (`targets`), how wrong it is (`loss`) and which metric
of its answer half tells when to stop. The answer half is in `tidegate.answers`.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.spec import TaskSpec
from tidegate.tasks.classify import Classify
from tidegate.tasks.regress import Regress

__all__ = ["Task", "open"]


class Task(Protocol):
    """A task's training half."""

    @property
    def watch(self) -> str:
        """The metric that early stopping watches unless told otherwise."""

    def targets(self, labels: NDArray[np.float64]) -> NDArray[np.float32]:
        """Turn encoded labels into what the outputs are compared with; NaN stays NaN."""

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean loss of the labelled events.

        Parameters
        ----------
        outputs : float32 tensor (..., output_size)
            Outputs of the head.
        targets : float32 tensor (...)
            From `targets`. Where it is NaN, nothing is contributed: no loss and no gradient.

        Returns
        -------
        float32 tensor ()
            Zero when no event has a label.
        """

    def constant_loss(self, targets: NDArray[np.float32]) -> float:
        """Return the loss, over labelled events, of the best outputs that never change."""


def open(spec: TaskSpec) -> Task:  # noqa: A001 - read as tasks.open(spec)
    """Return the training half of a task."""
    return Classify(spec) if spec.name == "classify" else Regress(spec)
