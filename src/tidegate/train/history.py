"""What happened in training, epoch by epoch."""

from __future__ import annotations

import msgspec

from tidegate.train.diagnostics import Diagnosis

__all__ = ["Clipping", "Epoch"]


class Clipping(msgspec.Struct, frozen=True):
    """How the gradient's norm compares with the threshold that it is scaled down to.

    Parameters
    ----------
    share : float
        Share of the steps in which it was larger.
    ratio_mean, ratio_max : float
        Mean and largest, over those steps, of norm / threshold; 1 if there were none.
    """

    share: float = 0.0
    ratio_mean: float = 1.0
    ratio_max: float = 1.0


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
        Mean and largest over the steps, before clipping.
    learning_rate : float
        Of the last step.
    events : int
        Events of the training part, padding not counted.
    events_per_s : float
        Of training alone.
    seconds : float
        Of training, validation and diagnosis.
    clipping : Clipping
        How the gradient's norm compares with `clip_norm`.
    bad_batches : int
        Batches that were skipped, because their loss or gradient is not finite.
    returns : int
        Times that training went back to the epoch's beginning.
    updates : dict of str to float
        Of each parameter, in one step in the middle of the epoch: the norm of its change over its
        norm before. 0.001 is usual. A parameter that was zero is missing.
    diagnosis : Diagnosis, optional
        What gradients, weights and gates did at the epoch's end.
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
    clipping: Clipping = Clipping()
    bad_batches: int = 0
    returns: int = 0
    updates: dict[str, float] = msgspec.field(default_factory=dict)
    diagnosis: Diagnosis | None = None
