"""Learn to name a class."""

from __future__ import annotations

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from tidegate import answers
from tidegate.answers.calibration import temperature
from tidegate.data.targets import Targets
from tidegate.nn import Network
from tidegate.spec import TaskSpec
from tidegate.tasks.base import Task

__all__ = ["Classify"]


class Classify(Task):
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
        super().__init__(spec)
        self._many = len(spec.classes) > 2
        self._weights = torch.tensor(spec.class_weights or [1.0] * len(spec.classes))

    def targets(
        self,
        truth: NDArray[np.float64],
        rows: NDArray[np.float32],  # noqa: ARG002
    ) -> NDArray[np.float32]:
        """Return the classes' indices."""
        return truth.astype(np.float32)

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

    def constant_loss(self, targets: NDArray[np.float32] | Targets) -> float:
        """Return the entropy of the classes' shares (nats), each class with its weight."""
        assert isinstance(targets, np.ndarray)
        found, counts = np.unique(targets[~np.isnan(targets)], return_counts=True)
        weighed = counts * self._weights.numpy()[found.astype(np.int64)]
        shares = weighed / weighed.sum()
        return float((shares * -np.log(shares)).sum())

    def finish(
        self, network: Network, outputs: NDArray[np.float32], truth: NDArray[np.float64]
    ) -> TaskSpec:
        """Divide the head by the temperature that suits the validation part best.

        It goes into the weights, so that whatever runs the model gives calibrated probabilities,
        and none needs to know. Neither the likeliest class nor, of two, the order of the scores is
        another one.
        """
        if self.spec.temperature is None:
            return self.spec
        known = ~np.isnan(truth)
        logits = answers.Classify(self.spec).logits(outputs[known])
        found = temperature(logits, truth[known].astype(np.int64))
        with torch.no_grad():
            for weight in network.head.parameters():
                weight.div_(found)
            if network.skip is not None:
                network.skip.div_(found)
        return msgspec.structs.replace(self.spec, temperature=found)
