"""Learn to estimate a number."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.data.targets import Targets
from tidegate.spec import TaskSpec
from tidegate.tasks.base import Task

__all__ = ["Regress"]


class Regress(Task):
    """Mean squared error of the standardised label.

    Parameters
    ----------
    spec : TaskSpec
        With `target_mean` and `target_scale`.

    Examples
    --------
    >>> task = Regress(TaskSpec("regress", "delay", target_mean=10.0, target_scale=4.0))
    >>> task.targets(np.array([12.0, np.nan]), np.ones((2, 1), np.float32))
    array([0.5, nan], dtype=float32)
    >>> float(task.loss(torch.tensor([[1.5], [9.0]]), torch.tensor([0.5, torch.nan])))
    1.0
    """

    watch = "rmse"

    def __init__(self, spec: TaskSpec) -> None:
        super().__init__(spec)
        self._mean = spec.target_mean
        self._scale = spec.target_scale

    def targets(
        self,
        truth: NDArray[np.float64],
        rows: NDArray[np.float32],  # noqa: ARG002
    ) -> NDArray[np.float32]:
        """Return the standardised labels."""
        return ((truth - self._mean) / self._scale).astype(np.float32)

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean squared error of the labelled events, in units of the target's scale."""
        known = ~torch.isnan(targets)
        errors = outputs[known][:, 0] - targets[known]
        return errors.square().sum() / known.sum().clamp(min=1)

    def constant_loss(self, targets: NDArray[np.float32] | Targets) -> float:
        """Return the variance of the targets: 1, if they were standardised by these labels."""
        assert isinstance(targets, np.ndarray)
        known = targets[~np.isnan(targets)]
        return float(known.var(dtype=np.float64)) if len(known) else 0.0
