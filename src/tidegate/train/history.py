"""What happened in training, epoch by epoch."""

from __future__ import annotations

import msgspec

__all__ = ["Epoch"]


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
