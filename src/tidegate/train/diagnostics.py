"""What gradients, weights, gates and units do, measured on a few sessions at an epoch's end.

The measurement draws nothing at random and leaves weights, gradients and the network's mode alone:
training ends with the same bits with and without it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import cast

import msgspec
import torch
from torch import Tensor

from tidegate.nn import Network, named_weights
from tidegate.nn.layer import Layer
from tidegate.nn.rows import Rows
from tidegate.spec import GATES, LayerSpec
from tidegate.tasks import Task
from tidegate.train.sample import Sample

__all__ = ["Diagnosis", "LayerDiagnosis", "diagnose"]

_SATURATED = 0.95
_STILL = 1e-6


class LayerDiagnosis(msgspec.Struct, frozen=True):
    """What one layer did. A number that is not finite is None.

    Parameters
    ----------
    by_lag : tuple of float
        The vanishing profile: the norm of the gradient of the loss at a session's last labelled
        event with respect to the layer's input so many events before it (`Diagnosis.lags`); mean
        over the sessions that are long enough.
    saturated : dict of str to (float, float)
        Of each direction and gate, ``forward.z``: the share of values at its lower and at its upper
        end. For gates from 0 to 1 that is below 0.05 and above 0.95 (z is the share of the old
        state that is kept), for values from -1 to 1 below -0.95 and above 0.95; of a ReLU, 0 and
        never.
    units, dead : int
        Units, and how many of them said the same at every event.
    smallest, largest : float
        Range of the units' values.
    """

    by_lag: tuple[float | None, ...]
    saturated: dict[str, tuple[float, float]]
    units: int
    dead: int
    smallest: float | None
    largest: float | None


class Diagnosis(msgspec.Struct, frozen=True):
    """What the network did on the sample. A number that is not finite is None.

    Parameters
    ----------
    sessions, events : int
        Of the sample.
    gradients, weights : dict of str to float
        Norm of each weight's gradient, and of the weight, under the bundle's names.
    lags : tuple of int
        Events between cause and effect: 0, 1, 2, 4, 8 and so on.
    layers : tuple of LayerDiagnosis
        From the input up.
    """

    sessions: int
    events: int
    gradients: dict[str, float | None]
    weights: dict[str, float | None]
    lags: tuple[int, ...]
    layers: tuple[LayerDiagnosis, ...]


def diagnose(network: Network, task: Task, sample: Sample) -> Diagnosis:
    """Measure a network on a sample, in float32 and without what training does at random.

    Parameters
    ----------
    network : Network
        Its mode is left as it was.
    task : Task
        Gives the loss.
    sample : Sample
        From `Sample.of`; the same in each epoch.

    References
    ----------
    Y. Bengio, P. Simard, P. Frasconi, "Learning long-term dependencies with gradient descent is
    difficult", 1994: the profile. A. Karpathy, J. Johnson, L. Fei-Fei, "Visualizing and
    understanding recurrent networks", 2016: the saturation of gates.
    """
    was_training = network.training
    network.eval()
    try:
        return _diagnose(network, task, sample.to(next(network.parameters()).device))
    finally:
        network.train(was_training)


def _diagnose(network: Network, task: Task, sample: Sample) -> Diagnosis:
    weights = named_weights(network)
    events = Rows.of(sample.rows, sample.lengths)
    inputs: list[Tensor] = []
    units: list[Tensor] = []
    gates: list[tuple[tuple[Tensor, ...], ...]] = []
    rows = events.pack(sample.rows)
    x = network.inputs(rows)
    for layer in cast("Iterable[Layer]", network.layers):
        inputs.append(x.requires_grad_())
        x, _, found = layer(x, None, events, gates=True)
        units.append((x - inputs[-1] if layer.spec.residual else x).detach())
        gates.append(found)
    outputs = events.unpack(network.outputs(x, rows, events))
    loss = task.loss(outputs, sample.targets)
    gradients = torch.autograd.grad(
        loss, list(weights.values()), retain_graph=True, allow_unused=True
    )
    # The mean over sessions, each with one label, times their number: each session for itself.
    last = task.loss(outputs, sample.last_targets) * len(sample.lengths)
    by_input = torch.autograd.grad(last, inputs)
    lags = _lags(int(sample.lengths.max()))
    return Diagnosis(
        sessions=len(sample.lengths),
        events=int(sample.lengths.sum()),
        gradients={
            name: 0.0 if gradient is None else _number(gradient.norm())
            for name, gradient in zip(weights, gradients, strict=True)
        },
        weights={name: _number(weight.detach().norm()) for name, weight in weights.items()},
        lags=lags,
        layers=tuple(
            LayerDiagnosis(
                by_lag=_profile(gradient, events, lags),
                saturated=_saturated(spec, traces),
                units=values.shape[1],
                dead=int((values.amax(0) - values.amin(0) < _STILL).sum()),
                smallest=_number(values.min()),
                largest=_number(values.max()),
            )
            for spec, gradient, traces, values in zip(
                network.spec.layers, by_input, gates, units, strict=True
            )
        ),
    )


def _lags(steps: int) -> tuple[int, ...]:
    """Return 0 and the powers of two that fit.

    >>> _lags(9), _lags(1)
    ((0, 1, 2, 4, 8), (0,))
    """
    return (0, *(2**power for power in range((steps - 1).bit_length()) if 2**power < steps))


def _profile(gradient: Tensor, events: Rows, lags: Sequence[int]) -> tuple[float | None, ...]:
    """Return the mean norm at each lag; sessions end at their last labelled event."""
    norms = gradient.norm(dim=1).cpu()
    last = events.offsets + events.lengths - 1
    return tuple(_number(norms[last[events.lengths > lag] - lag].mean()) for lag in lags)


def _saturated(
    spec: LayerSpec, traces: Sequence[Sequence[Tensor]]
) -> dict[str, tuple[float, float]]:
    shares = {}
    for direction, values in zip(spec.directions, traces, strict=True):
        for gate, value in zip(GATES[spec.cell], values, strict=True):
            low, high = _ends(spec, gate)
            share = (value <= low).float().mean().item(), (value >= high).float().mean().item()
            shares[f"{direction}.{gate}"] = share
    return shares


def _ends(spec: LayerSpec, gate: str) -> tuple[float, float]:
    """Return from where on a gate is at its ends."""
    if gate in "rzifo":
        return 1 - _SATURATED, _SATURATED
    if spec.cell == "rnn" and spec.activation == "relu":
        return 0.0, math.inf
    return -_SATURATED, _SATURATED


def _number(value: Tensor) -> float | None:
    number = value.item()
    return number if math.isfinite(number) else None
