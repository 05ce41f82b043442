"""Weights between a network and the bundle's layout.

Both have the same names, gate orders and shapes; z is the share of the old state that is kept.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.errors import BundleError
from tidegate.nn.layer import Layer
from tidegate.nn.model import Network

__all__ = ["load_bundle", "named_weights", "to_bundle"]


def to_bundle(network: Network) -> dict[str, NDArray[np.float32]]:
    """Copy a network's weights into the bundle's layout.

    Parameters
    ----------
    network : Network
        On any device.

    Returns
    -------
    dict of str to float32 array
        Names and shapes as in `ModelSpec.weight_shapes`.

    Examples
    --------
    >>> from tidegate.spec import LayerSpec, ModelSpec
    >>> to_bundle(Network(ModelSpec(2, (LayerSpec("gru", 3),), 1)))["head.bias"]
    array([0.], dtype=float32)
    """
    return {
        name: parameter.detach().cpu().numpy().astype(np.float32)
        for name, parameter in named_weights(network).items()
    }


def load_bundle(network: Network, weights: Mapping[str, NDArray[np.float32]]) -> None:
    """Copy weights of the bundle's layout into a network.

    Parameters
    ----------
    network : Network
        Of the same spec; changed in place.
    weights : mapping of str to float32 array
        Names and shapes as in `ModelSpec.weight_shapes`.

    Raises
    ------
    BundleError
        ``bundle_weights``: an array is missing, too many, or of another shape. Nothing changes.
    """
    shapes = network.spec.weight_shapes()
    for name in sorted(shapes.keys() | weights.keys()):
        found = weights[name].shape if name in weights else "missing"
        if found != shapes.get(name):
            raise BundleError(
                "bundle_weights",
                f"{name} is {found}, the network's is {shapes.get(name, 'unknown')}",
                field=name,
                hint="load weights into a network of the spec they were trained with",
            )
    with torch.no_grad():
        for name, parameter in named_weights(network).items():
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(weights[name])))


def named_weights(network: Network) -> dict[str, torch.Tensor]:
    """Return a network's parameters under the bundle's names.

    Those of layers that no bundle has (see `Peer`) keep the names that torch gives them.
    """
    if not network.layers:
        return dict(network.named_parameters())
    named: dict[str, torch.Tensor] = {
        f"embeddings.{category.column}": embedding.get_parameter("weight")
        for category, embedding in zip(network.spec.categories, network.embeddings, strict=True)
    }
    for index, (spec, layer) in enumerate(zip(network.spec.layers, network.layers, strict=True)):
        assert isinstance(layer, Layer)
        for number, (direction, cell) in enumerate(zip(spec.directions, layer.cells, strict=True)):
            for part in spec.weight_shapes(layer.input_size):
                found = layer.initial[number] if part == "initial" else cell.get_parameter(part)
                named[f"layers.{index}.{direction}.{part}"] = found
    named |= {"head.weight": network.head.weight, "head.bias": network.head.bias}
    return named if network.skip is None else {**named, "head.skip": network.skip}
