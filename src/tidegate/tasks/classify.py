"""Learn to name a class."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from tidegate.spec import TaskSpec

__all__ = ["Classify"]


class Classify:
    """Cross-entropy: of one logit for two classes, of one logit each for more.

    With `class_weights` it is the weighted mean of torch and scikit-learn: each labelled event's,
    times the weight of its class, divided by the sum of those weights in the batch.

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
        self._many = len(spec.classes) > 2
        self._weights = torch.tensor(spec.class_weights or [1.0] * len(spec.classes))

    def targets(self, labels: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the classes' indices."""
        return labels.astype(np.float32)

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the (weighted) mean cross-entropy of the labelled events (nats)."""
        known = ~torch.isnan(targets)
        outputs, classes = outputs[known], targets[known].long()
        weights = self._weights.to(outputs.device)[classes]
        total = weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)
        if self._many:
            losses = cross_entropy(outputs, classes, reduction="none")
        else:
            wanted = classes.to(outputs.dtype)
            losses = binary_cross_entropy_with_logits(outputs[:, 0], wanted, reduction="none")
        return (weights * losses).sum() / total

    def constant_loss(self, targets: NDArray[np.float32]) -> float:
        """Return the entropy of the classes' shares (nats), each class with its weight."""
        found, counts = np.unique(targets[~np.isnan(targets)], return_counts=True)
        weighed = counts * self._weights.numpy()[found.astype(np.int64)]
        shares = weighed / weighed.sum()
        return float((shares * -np.log(shares)).sum())
