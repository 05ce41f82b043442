"""The Python face of the C core: kernels, checksums and what the processor can do at most.

`pack` turns a bundle's weights into a `Model` whose `step` runs in C, without the
interpreter's lock.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tidegate._core import Model, crc32c, peak_gops, read_gbps
from tidegate.spec import LayerSpec, ModelSpec

__all__ = ["Model", "crc32c", "pack", "peak_gops", "read_gbps"]


def pack(spec: ModelSpec, weights: Mapping[str, NDArray[np.float32]]) -> Model:
    """Lay a model's weights out for the C kernels.

    Weights are transposed, so that the units of one input lie side by side. The embedding table of
    a category column is multiplied into the first layer's input weights: its product becomes one
    row to add, and no index ever becomes a long one-hot vector.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    weights : mapping of str to float32 array
        Names and shapes as in `ModelSpec.weight_shapes`.

    Returns
    -------
    Model
        Owns copies of everything; `weights` may be dropped.
    """
    model = Model(spec.row_size, list(spec.number_columns))
    n_numbers = len(spec.number_columns)
    for index, layer in enumerate(spec.layers):
        prefix = f"layers.{index}.forward"
        input_weight = weights[f"{prefix}.input"]
        dense = input_weight[:, :n_numbers] if index == 0 else input_weight
        model.add_layer(
            _kernel(layer),
            _transposed(dense),
            _transposed(weights[f"{prefix}.recurrent"]),
            weights[f"{prefix}.b_input"],
            weights[f"{prefix}.b_recurrent"],
        )
        if index == 0:
            first = n_numbers
            for category in spec.categories:
                columns = input_weight[:, first : first + category.embedding_size]
                table = weights[f"embeddings.{category.column}"].astype(np.float64) @ columns.T
                model.add_category(category.column, np.ascontiguousarray(table, dtype=np.float32))
                first += category.embedding_size
    model.set_head(_transposed(weights["head.weight"]), weights["head.bias"])
    return model


def _kernel(layer: LayerSpec) -> str:
    return f"rnn_{layer.activation}" if layer.cell == "rnn" else layer.cell


def _transposed(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(weight.T, dtype=np.float32)
