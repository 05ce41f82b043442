"""The reference arithmetic: the equations, in float64 NumPy, one event at a time.

It is slow and meant to be read. Every other engine is tested against it. The state is kept in
float32, as in the record; everything between two states is float64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.core.quantise import widened
from tidegate.engine.readout import numbers
from tidegate.spec import GATES, LayerSpec, ModelSpec

__all__ = ["ReferenceModel", "gru_step", "layer_norm", "lstm_step", "rnn_step"]

Vector = NDArray[np.float64]


def sigmoid(x: Vector) -> Vector:
    """Return the logistic function, without overflow for large negative `x`."""
    e = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1.0, e) / (1.0 + e))


def gru_step(a: Vector, u: Vector, h: Vector) -> Vector:
    """One step of a gated recurrent unit with the reset gate after the product.

    Parameters
    ----------
    a, u : array (3 * hidden_size,)
        Input and recurrent products, biases included; gates r, z, n.
    h : array (hidden_size,)
        The previous state.

    Returns
    -------
    array (hidden_size,)
        The next state; z is the share of the old state that is kept.

    References
    ----------
    K. Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014, in the form of
    cuDNN and torch.

    Examples
    --------
    >>> gru_step(np.array([0.0, 0.0, 1.0]), np.zeros(3), np.array([0.5])).round(4)
    array([0.6308])
    """
    a_r, a_z, a_n = np.split(a, 3)
    u_r, u_z, u_n = np.split(u, 3)
    r = sigmoid(a_r + u_r)
    z = sigmoid(a_z + u_z)
    n = np.tanh(a_n + r * u_n)
    return np.asarray((1 - z) * n + z * h)


def gru_before_step(
    a: Vector, u: Vector, h: Vector, candidate: Callable[[Vector], Vector]
) -> Vector:
    """One step of a gated recurrent unit with the reset gate before the product.

    Parameters
    ----------
    a : array (3 * hidden_size,)
        Input product, bias included; gates r, z, n.
    u : array (2 * hidden_size,)
        Recurrent product of r and z, biases included.
    h : array (hidden_size,)
        The previous state.
    candidate : callable
        From r * h to n's recurrent product, bias included.

    Returns
    -------
    array (hidden_size,)
        The next state; z is the share of the old state that is kept.

    References
    ----------
    K. Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014.
    """
    a_r, a_z, a_n = np.split(a, 3)
    u_r, u_z = np.split(u, 2)
    r = sigmoid(a_r + u_r)
    z = sigmoid(a_z + u_z)
    n = np.tanh(a_n + candidate(r * h))
    return np.asarray((1 - z) * n + z * h)


def layer_norm(x: Vector, gain: Vector, bias: Vector) -> Vector:
    """Bring a vector to mean 0 and variance 1, then to a learned gain and bias.

    References
    ----------
    J. Ba, J. Kiros, G. Hinton, "Layer normalization", 2016.
    """
    return np.asarray((x - x.mean()) / np.sqrt(x.var() + 1e-5) * gain + bias)


def lstm_step(
    a: Vector,
    u: Vector,
    state: Vector,
    norm: Callable[[Vector], Vector] = lambda c: c,
    peephole: Vector | None = None,
) -> Vector:
    """One step of a long short-term memory with a forget gate.

    Parameters
    ----------
    a, u : array (4 * hidden_size,)
        Input and recurrent products, biases included; gates i, f, g, o.
    state : array (2 * hidden_size,)
        h, then c.
    norm : callable
        What becomes of c where it goes into h.
    peephole : array (3 * hidden_size,), optional
        Of i and f, which see the previous c, and of o, which sees the next.

    Returns
    -------
    array (2 * hidden_size,)
        The next h, then c.

    References
    ----------
    F. Gers, J. Schmidhuber, F. Cummins, "Learning to forget", 2000.
    """
    _, c = np.split(state, 2)
    i, f, g, o = np.split(a + u, 4)
    p_i, p_f, p_o = np.split(np.zeros(3 * len(c)) if peephole is None else peephole, 3)
    i, f = sigmoid(i + p_i * c), sigmoid(f + p_f * c)
    c = f * c + i * np.tanh(g)
    h = sigmoid(o + p_o * c) * np.tanh(norm(c))
    return np.concatenate([h, c])


def rnn_step(a: Vector, u: Vector, activation: str = "tanh") -> Vector:
    """One step of a simple (Elman, 1990) recurrent network.

    Parameters
    ----------
    a, u : array (hidden_size,)
        Input and recurrent products, biases included.
    activation : {"tanh", "relu"}
        What bends their sum.

    Returns
    -------
    array (hidden_size,)
        The next state.
    """
    return np.asarray(np.tanh(a + u) if activation == "tanh" else np.maximum(a + u, 0.0))


def zone_out(old: Vector, new: Vector, share: Vector) -> Vector:
    """Keep a share of a state as it was.

    References
    ----------
    D. Krueger et al., "Zoneout: regularizing RNNs by randomly preserving hidden activations", 2017;
    the mean over what training draws.
    """
    return np.asarray(share * old + (1 - share) * new)


class ReferenceModel:
    """A model's arithmetic in float64, with the same call as the native one.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    weights : mapping of str to array
        Of a bundle. bf16 and int8 matrices are run as the numbers that they stand for; inputs and
        states are not rounded, as the C core does then.
    """

    def __init__(self, spec: ModelSpec, weights: Mapping[str, NDArray[Any]]) -> None:
        self._spec = spec
        self._weights = widened(weights)
        parts = [
            self._weights.get(f"layers.{index}.forward.initial", np.zeros(layer.state_size))
            for index, layer in enumerate(spec.layers)
        ]
        self.initial = np.concatenate(parts).astype(np.float32)

    def step(
        self,
        rows: NDArray[np.float32],
        slots: NDArray[np.int64],
        states: NDArray[np.float32],
        outputs: NDArray[np.float32],
    ) -> None:
        """Step events in order, writing their sessions' states and the outputs.

        Parameters
        ----------
        rows : float32 array (events, row_size)
            Encoded rows.
        slots : int64 array (events,)
            Which state belongs to each event; a slot may occur several times.
        states : float32 array (capacity, state_size)
            Written at the slots.
        outputs : float32 array (events, answer_size)
            Written.
        """
        for row, slot, output in zip(rows, slots, outputs, strict=True):
            states[slot], output[:] = self._step_one(row, states[slot])

    def _step_one(
        self, row: NDArray[np.float32], state: NDArray[np.float32]
    ) -> tuple[Vector, Vector]:
        x = self._inputs(row)
        after: list[Vector] = []
        start = 0
        for index, layer in enumerate(self._spec.layers):
            before = state[start : start + layer.state_size].astype(np.float64)
            start += layer.state_size
            stepped = self._layer(index, layer, x, before)
            share = np.repeat([layer.zoneout, layer.zoneout_cell], layer.hidden_size)
            after.append(zone_out(before, stepped, share[: layer.state_size]))
            h = after[-1][: layer.hidden_size]
            x = h + x if layer.residual else h
        if self._spec.readout == "surprise":
            x = before[: layer.hidden_size]
        # The head reads the state as it is kept: rounded to float32, like the next step will.
        kept = x.astype(np.float32).astype(np.float64)
        output = self._weights["head.weight"] @ kept + self._weights["head.bias"]
        if self._spec.skip:
            output += self._weights["head.skip"] @ row[list(self._spec.number_columns)]
        return np.concatenate(after), numbers(self._spec, output[None], row[None])[0]

    def _inputs(self, row: NDArray[np.float32]) -> Vector:
        numbers = row[list(self._spec.number_columns)].astype(np.float64)
        embedded = [
            self._weights[f"embeddings.{category.column}"][int(row[category.column])]
            for category in self._spec.categories
        ]
        return np.concatenate([numbers, *embedded])

    def _layer(self, index: int, layer: LayerSpec, x: Vector, state: Vector) -> Vector:
        H, G = layer.hidden_size, len(GATES[layer.cell])
        parts = f"layers.{index}.forward"
        w = {
            name.removeprefix(f"{parts}."): array
            for name, array in self._weights.items()
            if name.startswith(parts)
        }
        zero = np.zeros(G * H)
        b_input, b_recurrent = w.get("b_input", zero), w.get("b_recurrent", zero)

        def product(v: Vector, kind: str, bias: Vector, rows: slice) -> Vector:
            found = w[kind][rows] @ v
            if layer.layer_norm:
                return layer_norm(found, w[f"norm_{kind}"][rows], bias[rows])
            return np.asarray(found + bias[rows])

        def recurrent(v: Vector, rows: slice) -> Vector:
            return product(v, "recurrent", b_recurrent, rows)

        h = state[:H]
        a = product(x, "input", b_input, slice(None))
        if layer.cell == "gru" and not layer.reset_after:
            u = recurrent(h, slice(0, 2 * H))
            return gru_before_step(a, u, h, lambda rh: recurrent(rh, slice(2 * H, None)))
        u = recurrent(h, slice(None))
        if layer.cell == "gru":
            return gru_step(a, u, h)
        if layer.cell == "rnn":
            return rnn_step(a, u, layer.activation)
        peephole = w.get("peephole")
        if not layer.layer_norm:
            return lstm_step(a, u, state, peephole=peephole)
        gain, bias = w["norm_cell"], w["b_cell"]
        return lstm_step(a, u, state, lambda c: layer_norm(c, gain, bias), peephole)
