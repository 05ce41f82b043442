"""A bundle's network, and what its gates did over a session."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.bundle import Bundle
from tidegate.errors import InputError
from tidegate.nn import Network, load_bundle
from tidegate.nn.layer import Layer
from tidegate.nn.rows import Rows
from tidegate.spec import GATES

__all__ = ["gates", "network_of"]

Floats = NDArray[np.float32]


def network_of(bundle: Bundle) -> Network:
    """Return a bundle's network, fit to be looked into.

    Raises
    ------
    InputError
        ``unsupported_precision``: its weights are rounded.
    """
    if bundle.precision != "fp32":
        raise InputError(
            "unsupported_precision",
            f"the weights of {bundle.name} {bundle.version} are {bundle.precision}",
            field="RUN",
            hint="give the fp32 bundle that it was made from",
        )
    network = Network(bundle.spec)
    load_bundle(network, bundle.weights)
    return network.eval()


def gates(network: Network, rows: Floats) -> list[dict[str, Floats]]:
    """Run a session through a network and return what its gates did.

    Parameters
    ----------
    network : Network
        In evaluation mode.
    rows : float32 array (events, row_size)
        The session's encoded rows.

    Returns
    -------
    list of dict of str to float32 array (events, hidden_size)
        Of each layer, by gate (``z``; with two directions ``forward.z``): r, z and the candidate n
        of a GRU (z is the share of the old state that is kept), i, f, g and o of an LSTM, h of an
        RNN.

    Examples
    --------
    >>> from tidegate.spec import LayerSpec, ModelSpec
    >>> network = Network(ModelSpec(2, (LayerSpec("gru", 3),), 1)).eval()
    >>> (layer,) = gates(network, np.zeros((5, 2), np.float32))
    >>> {gate: values.shape for gate, values in layer.items()}
    {'r': (5, 3), 'z': (5, 3), 'n': (5, 3)}
    """
    found = []
    with torch.inference_mode():
        x = network.inputs(torch.from_numpy(rows))
        events = Rows.of(x[None], None)
        for layer in cast("Iterable[Layer]", network.layers):
            x, _, values = layer(x, None, events, gates=True)
            spec = layer.spec
            one = len(spec.directions) == 1
            found.append(
                {
                    gate if one else f"{direction}.{gate}": value.numpy()
                    for direction, part in zip(spec.directions, values, strict=True)
                    for gate, value in zip(GATES[spec.cell], part, strict=True)
                }
            )
    return found
