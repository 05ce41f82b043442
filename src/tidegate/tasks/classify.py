"""Learn to name a class."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from tidegate.data.targets import Targets
from tidegate.spec import TaskSpec
from tidegate.tasks.base import Task

__all__ = ["Classify"]


class Classify(Task):
    """Cross-entropy: of one logit for two classes, of one logit each for more.

    Parameters
    ----------
    spec : TaskSpec
        With its `classes`.

    Examples
    --------
    >>> task = Classify(TaskSpec("classify", "outcome", classes=("on_time", "late")))
    >>> round(float(task.loss(torch.zeros(2, 1), torch.tensor([1.0, torch.nan]))), 4)
    0.6931
    """

    watch = "log_loss"

    def __init__(self, spec: TaskSpec) -> None:
        super().__init__(spec)
        self._many = len(spec.classes) > 2

    def targets(
        self,
        truth: NDArray[np.float64],
        rows: NDArray[np.float32],  # noqa: ARG002
    ) -> NDArray[np.float32]:
        """Return the classes' indices."""
        return truth.astype(np.float32)

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean cross-entropy of the labelled events (nats)."""
        known = ~torch.isnan(targets)
        count = known.sum().clamp(min=1)
        outputs, targets = outputs[known], targets[known]
        if self._many:
            return cross_entropy(outputs, targets.long(), reduction="sum") / count
        return binary_cross_entropy_with_logits(outputs[:, 0], targets, reduction="sum") / count

    def constant_loss(self, targets: NDArray[np.float32] | Targets) -> float:
        """Return the entropy of the classes' shares (nats)."""
        assert isinstance(targets, np.ndarray)
        _, counts = np.unique(targets[~np.isnan(targets)], return_counts=True)
        shares = counts / counts.sum()
        return float((shares * -np.log(shares)).sum())
