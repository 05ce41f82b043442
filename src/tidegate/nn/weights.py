"""Weights between a network and the bundle's layout.

torch stacks gates as the bundle does (r, z, n and i, f, g, o), and its z, too, is the share of the
old state that is kept: arrays are renamed, never rearranged.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.errors import BundleError
from tidegate.nn.model import Network

__all__ = ["load_bundle", "to_bundle"]

_PARTS = {
    "input": "weight_ih_l0",
    "recurrent": "weight_hh_l0",
    "b_input": "bias_ih_l0",
    "b_recurrent": "bias_hh_l0",
}


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
        for name, parameter in _parameters(network).items()
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
        for name, parameter in _parameters(network).items():
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(weights[name])))


def _parameters(network: Network) -> dict[str, torch.Tensor]:
    """Return a network's parameters under the bundle's names."""
    named: dict[str, torch.Tensor] = {
        f"embeddings.{category.column}": embedding.get_parameter("weight")
        for category, embedding in zip(network.spec.categories, network.embeddings, strict=True)
    }
    for index, layer in enumerate(network.layers):
        for part, name in _PARTS.items():
            named[f"layers.{index}.forward.{part}"] = layer.get_parameter(name)
    return {**named, "head.weight": network.head.weight, "head.bias": network.head.bias}
