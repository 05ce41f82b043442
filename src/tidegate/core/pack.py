"""A bundle's weights, laid out for the kernels.

Units lie in panels of 16, all gates of a panel side by side. A panel holds one step of its inputs
after the other; a step is 64 bytes a gate: one input of the 16 units (fp32), two (bf16) or four
(int8). That is what one FMA, one dot product or one row of a tile takes at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tidegate._core import Model
from tidegate.core.quantise import from_bf16, to_bf16, to_int8
from tidegate.spec import GATES, LayerSpec, ModelSpec

__all__ = ["FEW_OUTPUTS", "Head", "Precision", "Weights", "pack"]

Precision = Literal["fp32", "bf16", "int8"]

Head = Literal["linear", "sigmoid", "softmax"]

UNITS = 16
"""Units of a panel."""

FEW_OUTPUTS = 7
"""Outputs of which as many at most have a row of weights each; of more, panels."""

INPUT_STEPS = 127
"""Steps of a quantised input or state from 0 to 1, where it lies in -1 to 1."""

_PER_STEP = {"fp32": 1, "bf16": 2, "int8": 4}

Weights = Mapping[str, NDArray[Any]]


def pack(
    spec: ModelSpec,
    weights: Weights,
    precision: Precision = "fp32",
    *,
    head: Head = "linear",
    fast_activations: bool = False,
    threads: int = 1,
) -> Model:
    """Lay a model's weights out for the C kernels.

    The embedding table of a category column is multiplied into the first layer's input weights: its
    product becomes one row to add, and no index ever becomes a long one-hot vector.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    weights : mapping of str to array
        Names and shapes as in `ModelSpec.weight_shapes`. A matrix may be int8 already: then
        ``NAME.scale`` is the scale of its rows; or uint16: then it is bf16.
    precision : {"fp32", "bf16", "int8"}
        Of the products. The state, biases, activations, category tables and the head are fp32
        always. bf16 rounds weights, inputs and the state to 8 bits of mantissa. int8 gives each
        output's weights a scale of their own, the state 127 steps to each side, and inputs without
        bounds 14 bits beside a scale of each event.
    head : {"linear", "sigmoid", "softmax"}
        What becomes of the head's outputs. (`Model.step_top` gives linear ones.)
    fast_activations : bool
        Evaluate exponentials with a polynomial of degree 3: logistic functions are off by up to
        2.6e-5 and tanh by up to 5.1e-5, instead of 1e-7 and 2e-7. Not with LayerNorm.
    threads : int
        How many threads may share a call of many sessions, the caller's included. A call while
        another is at work has its caller's thread alone.

    Returns
    -------
    Model
        Owns copies of everything; `weights` may be dropped.

    Raises
    ------
    ValueError
        Weights that do not fit the spec or are not finite.
    """
    model = Model(precision, spec.row_size, list(spec.number_columns), fast_activations, threads)
    n_numbers = len(spec.number_columns)
    for index, layer in enumerate(spec.layers):
        prefix = f"layers.{index}.forward"
        inputs = _matrix(weights, f"{prefix}.input", precision)
        model.add_layer(
            _kernel(layer),
            layer.hidden_size,
            layer.residual,
            **_products(spec, index, weights, inputs, precision),
            norms=_norms(layer, weights, prefix) if layer.layer_norm else None,
            zoneout=layer.zoneout,
            zoneout_cell=layer.zoneout_cell,
            peephole=_rows(weights[f"{prefix}.peephole"][None], 3)[0] if layer.peephole else None,
            initial=weights[f"{prefix}.initial"] if layer.learned_initial_state else None,
        )
        if index == 0:
            first = n_numbers
            whole = _dequantised(*inputs)
            for category in spec.categories:
                columns = whole[:, first : first + category.embedding_size]
                table = weights[f"embeddings.{category.column}"].astype(np.float64) @ columns.T
                model.add_category(category.column, _rows(table, len(GATES[layer.cell])))
                first += category.embedding_size
    model.set_head(head, _head(spec, weights), **_readout(spec, weights))
    return model


def _head(spec: ModelSpec, weights: Weights) -> dict[str, Any]:
    """Return rows for a few outputs, panels for many: the head of a catalogue is a product."""
    weight, bias = weights["head.weight"], weights["head.bias"]
    if spec.output_size > FEW_OUTPUTS:
        return {"outputs": len(weight), **_product(weight, None, bias, 1, "fp32", False)}
    padded = np.pad(weight, ((0, 0), (0, -weight.shape[1] % UNITS)))
    return {"outputs": len(weight), "weight": np.ascontiguousarray(padded), "bias": bias}


def _readout(spec: ModelSpec, weights: Weights) -> dict[str, Any]:
    parts = [(p.kind == "categorical", p.column, p.output, p.size, p.missing) for p in spec.parts]
    # The other way round, all outputs of a number lie side by side.
    skip = np.ascontiguousarray(weights["head.skip"].T) if spec.skip else None
    return {"skip": skip, "top": spec.top, "surprise": parts}


def _products(
    spec: ModelSpec,
    index: int,
    weights: Weights,
    inputs: tuple[NDArray[Any], NDArray[np.float32] | None],
    precision: Precision,
) -> dict[str, Any]:
    layer, prefix = spec.layers[index], f"layers.{index}.forward"
    gates, H = len(GATES[layer.cell]), layer.hidden_size
    dense = len(spec.number_columns) if index == 0 else spec.input_sizes[index]
    weight, scale = inputs
    recurrent, recurrent_scale = _matrix(weights, f"{prefix}.recurrent", precision)
    b_input, b_recurrent = _biases(layer, weights, prefix)
    if layer.layer_norm:  # there a bias follows the normalisation: see _norms
        b_input, b_recurrent = np.zeros_like(b_input), np.zeros_like(b_recurrent)
    bounded = _is_bounded(layer, weights, prefix)

    def product(rows: slice, count: int) -> dict[str, Any]:
        part = None if recurrent_scale is None else recurrent_scale[rows]
        return _product(recurrent[rows], part, b_recurrent[rows], count, precision, bounded)

    whole = slice(0, gates * H)
    before = layer.cell == "gru" and not layer.reset_after
    return {
        "input": _product(
            weight[:, :dense],
            scale,
            b_input,
            gates,
            precision,
            index > 0 and _goes_up_bounded(spec.layers[index - 1], weights, index - 1),
        ),
        "recurrent": product(slice(0, 2 * H) if before else whole, 2 if before else gates),
        "candidate": product(slice(2 * H, 3 * H), 1) if before else None,
    }


def _is_bounded(layer: LayerSpec, weights: Weights, prefix: str) -> bool:
    """Say whether the layer's h lies in -1 to 1: from a state there, no step leads out."""
    if layer.learned_initial_state:
        h = weights[f"{prefix}.initial"][: layer.hidden_size]
        if not (np.abs(h) <= 1.0).all():
            return False
    return layer.cell != "rnn" or layer.activation == "tanh"


def _goes_up_bounded(layer: LayerSpec, weights: Weights, index: int) -> bool:
    return not layer.residual and _is_bounded(layer, weights, f"layers.{index}.forward")


def _biases(
    layer: LayerSpec, weights: Weights, prefix: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    none = np.zeros(layer.hidden_size * len(GATES[layer.cell]), dtype=np.float32)
    return (
        weights[f"{prefix}.b_input"] if layer.bias != "none" else none,
        weights[f"{prefix}.b_recurrent"] if layer.bias == "double" else none,
    )


def _norms(layer: LayerSpec, weights: Weights, prefix: str) -> dict[str, NDArray[np.float32]]:
    gates, H = len(GATES[layer.cell]), layer.hidden_size
    b_input, b_recurrent = _biases(layer, weights, prefix)
    gain = weights[f"{prefix}.norm_recurrent"]
    before = layer.cell == "gru" and not layer.reset_after
    split = 2 * H if before else gates * H
    parts = {
        "gain_input": (weights[f"{prefix}.norm_input"], gates),
        "shift_input": (b_input, gates),
        "gain_recurrent": (gain[:split], split // H),
        "shift_recurrent": (b_recurrent[:split], split // H),
    }
    if before:
        parts |= {"gain_candidate": (gain[split:], 1), "shift_candidate": (b_recurrent[split:], 1)}
    if layer.cell == "lstm":
        parts |= {
            "gain_cell": (weights[f"{prefix}.norm_cell"], 1),
            "bias_cell": (weights[f"{prefix}.b_cell"], 1),
        }
    return {name: _rows(values[None], count)[0] for name, (values, count) in parts.items()}


def _matrix(
    weights: Weights, name: str, precision: Precision
) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
    """Return a matrix in the precision: int8 with the scales of its rows, or float32.

    It is rounded as a whole, the columns of embeddings included, so that a bundle of the precision
    gives the bits of the one that it was made from.
    """
    weight, scale = weights[name], weights.get(f"{name}.scale")
    if weight.dtype == np.uint16:
        weight = from_bf16(weight)
    if precision == "int8":
        return (weight, scale) if scale is not None else to_int8(weight)
    weight = _dequantised(weight, scale).astype(np.float32)
    return from_bf16(to_bf16(weight)) if precision == "bf16" else weight, None


def _dequantised(weight: NDArray[Any], scale: NDArray[np.float32] | None) -> NDArray[np.float64]:
    whole = weight.astype(np.float64)
    return whole if scale is None else whole * scale[:, None]


def _product(
    weight: NDArray[Any],
    scale: NDArray[np.float32] | None,
    bias: NDArray[np.float32],
    gates: int,
    precision: Precision,
    bounded: bool,
) -> dict[str, Any]:
    if scale is not None:
        if bounded:
            scale = scale / np.float32(INPUT_STEPS)
        # What the bytes that stand for inputs of 0 would add.
        start = (-INPUT_STEPS if bounded else -128) * weight.astype(np.int64).sum(axis=1)
        return {
            "weights": _panels(weight, gates, precision),
            "bias": _rows(bias[None], gates)[0],
            "scale": _rows(scale[None], gates)[0],
            "start": _rows(start[None], gates, np.int32)[0],
            "bounded": bounded,
        }
    converted = to_bf16(weight) if precision == "bf16" else weight
    return {
        "weights": _panels(converted, gates, precision),
        "bias": _rows(bias[None], gates)[0],
    }


def _panels(weight: NDArray[Any], gates: int, precision: Precision) -> NDArray[np.uint8]:
    """Arrange (gates * hidden, inputs) as bytes (panels, steps, gates, 64)."""
    together = _PER_STEP[precision]
    hidden, inputs = len(weight) // gates, weight.shape[1]
    padded = np.pad(
        weight.reshape(gates, hidden, inputs),
        ((0, 0), (0, -hidden % UNITS), (0, -inputs % together)),
    )
    panels, steps = padded.shape[1] // UNITS, padded.shape[2] // together
    parts = padded.reshape(gates, panels, UNITS, steps, together).transpose(1, 3, 0, 2, 4)
    arranged = np.ascontiguousarray(parts).reshape(panels, steps, gates, UNITS * together)
    return arranged.view(np.uint8)


def _rows(values: NDArray[Any], gates: int, dtype: type = np.float32) -> NDArray[Any]:
    """Arrange (n, gates * hidden) as (n, panels * gates * 16)."""
    n, columns = values.shape
    hidden = columns // gates
    padded = np.pad(values.reshape(n, gates, hidden), ((0, 0), (0, 0), (0, -hidden % UNITS)))
    panels = padded.reshape(n, gates, -1, UNITS).transpose(0, 2, 1, 3)
    with np.errstate(over="ignore"):  # the core refuses what is not finite
        return np.ascontiguousarray(panels.reshape(n, -1), dtype=dtype)


def _kernel(layer: LayerSpec) -> str:
    if layer.cell == "rnn":
        return f"rnn_{layer.activation}"
    return "gru_before" if layer.cell == "gru" and not layer.reset_after else layer.cell
