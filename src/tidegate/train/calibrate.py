"""Calibration: after a fit, a classifier's head is scaled so that it is as sure as it is right."""

from __future__ import annotations

import msgspec
import numpy as np
import torch

from tidegate import answers
from tidegate.answers import calibration
from tidegate.nn import Network
from tidegate.spec import TaskSpec
from tidegate.train.predict import predict
from tidegate.train.sequences import Sequences

__all__ = ["Calibration", "calibrate"]


class Calibration(msgspec.Struct, frozen=True):
    """What calibrating a classifier did.

    Parameters
    ----------
    temperature : float
        What the head's weights were divided by.
    before, after : dict of str to float
        The task's metrics on the validation part.
    """

    temperature: float
    before: dict[str, float]
    after: dict[str, float]

    def __str__(self) -> str:
        told = ", ".join(
            f"{name} {self.before[name]:.4f} to {self.after[name]:.4f}"
            for name in ("log_loss", "ece")
        )
        return f"calibrated with temperature {self.temperature:.3f}: {told} on validation"


def calibrate(network: Network, task: TaskSpec, valid: Sequences) -> Calibration:
    """Divide the head of a classifier by the temperature that suits the validation part best.

    The temperature goes into the weights, so that whatever runs the model gives calibrated
    probabilities and none needs to know.

    Parameters
    ----------
    network : Network
        Changed in place: its head alone.
    task : TaskSpec
        A ``classify`` task.
    valid : Sequences
        With a label at least.
    """
    outputs = predict(network, valid.rows, valid.offsets)
    opened = answers.Classify(task)
    known = ~np.isnan(valid.labels)
    logits, truth = opened.logits(outputs[known]), valid.labels[known].astype(np.int64)
    found = calibration.temperature(logits, truth)
    with torch.no_grad():
        for weight in network.head.parameters():
            weight /= found
    before = opened.metrics(outputs, valid.labels)
    outputs = predict(network, valid.rows, valid.offsets)
    return Calibration(found, before, opened.metrics(outputs, valid.labels))
