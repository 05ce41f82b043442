"""The arrays of a bundle in each precision: which there must be, and how they are made.

Only the matrices that are multiplied at every step, ``input`` and ``recurrent`` of each layer and
direction, change with the precision; embeddings, biases, norms and the head are float32 always.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from tidegate.core import Precision
from tidegate.core.quantise import LARGEST, to_bf16, to_int8
from tidegate.errors import BundleError
from tidegate.spec import ModelSpec

__all__ = ["Weights", "check_weights", "encode", "layout", "quantised"]

Weights = Mapping[str, NDArray[Any]]

_LARGEST_SCALE = np.finfo(np.float32).max / np.float32(LARGEST)
_MATRIX_TYPES = {"fp32": "float32", "bf16": "uint16", "int8": "int8"}


def layout(spec: ModelSpec, precision: Precision) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return the dtype and shape of every array, by name.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    precision : {"fp32", "bf16", "int8"}
        bf16 is kept as the upper 16 bits of a float32. An int8 matrix NAME has one scale a row
        beside it, ``NAME.scale``: the weight is ``NAME * NAME.scale[:, None]``.

    Examples
    --------
    >>> from tidegate.spec import LayerSpec
    >>> spec = ModelSpec(row_size=2, layers=(LayerSpec("rnn", 3, bias="none"),), output_size=1)
    >>> for name, (dtype, shape) in layout(spec, "int8").items():
    ...     print(name, dtype, shape)
    layers.0.forward.input int8 (3, 2)
    layers.0.forward.input.scale float32 (3,)
    layers.0.forward.recurrent int8 (3, 3)
    layers.0.forward.recurrent.scale float32 (3,)
    head.weight float32 (1, 3)
    head.bias float32 (1,)
    """
    arrays: dict[str, tuple[str, tuple[int, ...]]] = {}
    for name, shape in spec.weight_shapes().items():
        matrix = _is_matrix(name)
        arrays[name] = (_MATRIX_TYPES[precision] if matrix else "float32", shape)
        if matrix and precision == "int8":
            arrays[f"{name}.scale"] = ("float32", shape[:1])
    return arrays


def quantised(spec: ModelSpec, weights: Weights, precision: Precision) -> dict[str, NDArray[Any]]:
    """Convert float32 weights; each is rounded to the nearest there is.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    weights : mapping of str to float32 array
        As in `ModelSpec.weight_shapes`.
    precision : {"fp32", "bf16", "int8"}
        Of what is returned.

    Returns
    -------
    dict of str to array
        As `layout` says. A bf16 weight is off by 0.4 % of itself at most, an int8 weight by 0.4 %
        of the largest of its row.
    """
    converted: dict[str, NDArray[Any]] = {}
    for name in spec.weight_shapes():
        if precision == "int8" and _is_matrix(name):
            converted[name], converted[f"{name}.scale"] = to_int8(weights[name])
        elif precision == "bf16" and _is_matrix(name):
            converted[name] = to_bf16(weights[name])
        else:
            converted[name] = weights[name]
    return converted


def encode(weights: Weights) -> bytes:
    """Return the bytes of a bundle's weight file."""
    return bytes(save(dict(weights)))


def check_weights(spec: ModelSpec, precision: Precision, weights: Weights) -> None:
    """Refuse weights that the model cannot be run with.

    Raises
    ------
    BundleError
        ``bundle_weights``, naming the first array that is missing, unknown, of another dtype or
        shape, not finite or out of range.
    """
    arrays = layout(spec, precision)
    for name in sorted(arrays.keys() | weights.keys()):
        problem = _problem(name, arrays.get(name), weights.get(name))
        if problem:
            raise BundleError(
                "bundle_weights",
                f"{name} {problem}",
                field=name,
                hint="make the bundle again from a model that fits its spec",
            )


def _problem(
    name: str, wanted: tuple[str, tuple[int, ...]] | None, array: NDArray[Any] | None
) -> str:
    if wanted is None:
        return "is no weight of this model"
    if array is None:
        return "is missing"
    if (array.dtype.name, array.shape) != wanted:
        return f"is {array.dtype} {array.shape}, the spec says {wanted[0]} {wanted[1]}"
    if array.dtype == np.uint16:  # bf16: a full exponent is an infinity or a NaN
        finite = bool(((array & 0x7F80) != 0x7F80).all())
    else:
        finite = bool(np.isfinite(array).all())
    if not finite:
        return "holds a value that is not finite"
    if array.dtype == np.int8 and (array < -LARGEST).any():
        return f"holds a value below -{LARGEST}"
    if name.endswith(".scale") and ((array < 0) | (array > _LARGEST_SCALE)).any():
        return "holds a scale that is below 0 or too large"
    return ""


def _is_matrix(name: str) -> bool:
    return name.startswith("layers.") and name.endswith((".input", ".recurrent"))
