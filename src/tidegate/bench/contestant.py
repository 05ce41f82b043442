"""Who is timed: the face that every contestant has."""

from __future__ import annotations

from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tidegate.spec import ModelSpec

__all__ = ["TURNS", "Contestant", "Weights", "draw_inputs", "draw_weights"]

Weights: TypeAlias = dict[str, NDArray[np.float32]]
"""Names and shapes as in `ModelSpec.weight_shapes`."""

TURNS = 16
"""Different inputs, taken in turn. Even: a contestant may keep two states and swap them."""


class Contestant(Protocol):
    """Steps a batch of sessions, one Python call a step.

    Every call takes the next input and the state that the call before left; its result is read.
    """

    def run(self, calls: int) -> None:
        """Step so many times, an even number, from the first input on."""

    def states(self) -> NDArray[np.float32]:
        """Return the sessions' states (batch, state_size): layers in order, an LSTM's h, c."""


def draw_weights(spec: ModelSpec, seed: int = 0) -> Weights:
    """Draw a model's weights as torch begins them: uniform within 1 / sqrt(hidden_size).

    Examples
    --------
    >>> from tidegate.bench.cases import Case
    >>> float(abs(draw_weights(Case("gru", 2, 4).spec)["layers.0.forward.recurrent"]).max()) < 0.5
    True
    """
    rng = np.random.default_rng(seed)
    bound = spec.layers[0].hidden_size ** -0.5
    return {
        name: rng.uniform(-bound, bound, shape).astype(np.float32)
        for name, shape in spec.weight_shapes().items()
    }


def draw_inputs(spec: ModelSpec, batch: int, seed: int = 1) -> NDArray[np.float32]:
    """Draw inputs (TURNS, batch, row_size) from a normal distribution."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(TURNS, batch, spec.row_size)).astype(np.float32)
