"""What happened in training, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

__all__ = ["Epoch", "write"]


class Epoch(msgspec.Struct, frozen=True):
    """One pass over the training part.

    Parameters
    ----------
    epoch : int
        From 1.
    train_loss : float
        Mean over the labelled events, dropout included, while the weights were changing.
    valid_loss : float
        Mean over the labelled events of the validation part, after the epoch.
    metrics : dict of str to float
        The task's metrics on the validation part.
    gradient_norm, gradient_norm_max : float
        Mean and largest over the batches, before clipping.
    learning_rate : float
        Of the last batch.
    events : int
        Events of the training part, padding not counted.
    events_per_s : float
        Of training alone.
    seconds : float
        Of training and validation.
    """

    epoch: int
    train_loss: float
    valid_loss: float
    metrics: dict[str, float]
    gradient_norm: float
    gradient_norm_max: float
    learning_rate: float
    events: int
    events_per_s: float
    seconds: float


def write(history: Sequence[Epoch], path: str | Path) -> None:
    """Write a history as JSON: a list with one object an epoch."""
    Path(path).write_bytes(msgspec.json.format(msgspec.json.encode(history), indent=2))
