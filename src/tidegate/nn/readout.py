"""From a network's outputs to the numbers that events are answered with."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tidegate.spec import LOG_SCALES, ModelSpec, SurprisePart

__all__ = ["nats", "numbers"]


def numbers(spec: ModelSpec, outputs: Tensor, rows: Tensor) -> Tensor:
    """Return what `ModelSpec.readout` says of outputs; the engines give these numbers.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    outputs : float32 tensor (..., output_size)
        From `Network.forward`.
    rows : float32 tensor (..., row_size)
        The rows that it was given.

    Returns
    -------
    float32 tensor (..., answer_size)
        Of the padding's rows they mean nothing. ``top`` and ``surprise``: NaN, where an output is
        not finite.

    Examples
    --------
    >>> from tidegate.spec import LayerSpec
    >>> spec = ModelSpec(1, (LayerSpec("gru", 2),), 4, readout="top", top=2)
    >>> numbers(spec, torch.tensor([[0.5, 2.0, -1.0, 2.0]]), torch.zeros(1, 1))
    tensor([[2., 2., 1., 3.]])
    """
    if spec.readout == "outputs":
        return outputs
    if spec.readout == "top":
        falling, order = outputs.sort(dim=-1, descending=True, stable=True)
        found = torch.cat([falling[..., : spec.top], order[..., : spec.top].to(outputs)], dim=-1)
    else:
        parts = torch.stack([nats(part, outputs, rows) for part in spec.parts], dim=-1)
        found = torch.cat([parts.sum(dim=-1, keepdim=True), parts], dim=-1)
    sound = outputs.isfinite().all(dim=-1, keepdim=True)
    return torch.where(sound, found, torch.nan)


def nats(part: SurprisePart, outputs: Tensor, rows: Tensor) -> Tensor:
    """Return how much a part of events' rows surprises: minus its log likelihood.

    Parameters
    ----------
    part : SurprisePart
        Which column, and its prediction.
    outputs : float32 tensor (..., output_size)
        Of the head, before each event.
    rows : float32 tensor (..., row_size)
        The encoded rows.

    Returns
    -------
    float32 tensor (...)
        0 where the row has no value; NaN of an index that is none. Gradients go to the outputs.

    Examples
    --------
    >>> nats(SurprisePart("categorical", 0, 0), torch.zeros(2), torch.tensor([1.0])).exp()
    tensor(2.)
    """
    x, its = rows[..., part.column], outputs[..., part.output : part.output + part.size]
    if part.kind == "gaussian":
        log_scale = its[..., 1].clamp(*LOG_SCALES)
        u = (x - its[..., 0]) * torch.exp(-log_scale)
        found = u.square() / 2 + log_scale + math.log(2 * math.pi) / 2
    else:
        known = (x >= 0) & (x < part.size) & (x == x.floor())
        index = torch.where(known, x, 0.0).long()[..., None]
        likelihood = its.log_softmax(dim=-1).gather(-1, index)[..., 0]
        found = torch.where(known, -likelihood, torch.nan)
    if part.missing is None:
        return found
    return torch.where(rows[..., part.missing] == 1, 0.0, found)
