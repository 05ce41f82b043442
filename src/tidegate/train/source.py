"""Where numbers that are not finite come from: an input, a layer, the head."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch

from tidegate.data.batches import Batch
from tidegate.nn import Network, named_weights
from tidegate.nn.layer import Layer
from tidegate.nn.rows import Rows

__all__ = ["of_gradients", "of_outputs"]


@torch.no_grad()
def of_outputs(network: Network, batch: Batch) -> str | None:
    """Take a batch up the network until something is not finite.

    Nothing is drawn at random, and sessions begin anew.

    Parameters
    ----------
    network : Network
        Its mode is left as it was.
    batch : Batch
        The batch.

    Returns
    -------
    str or None
        ``input``, ``layers.0`` and so on, ``head``; None: all is finite.
    """
    was_training = network.training
    network.eval()
    try:
        rows = torch.from_numpy(batch.rows).to(network.head.weight.device)
        events = Rows.of(rows, torch.from_numpy(batch.lengths))
        packed = events.pack(rows)
        if not _finite(packed):
            return "input"
        x = network.inputs(packed)
        for index, layer in enumerate(cast("Iterable[Layer]", network.layers)):
            x, _, _ = layer(x, None, events)
            if not _finite(x):
                return f"layers.{index}"
        return None if _finite(network.outputs(x, packed, events)) else "head"
    finally:
        network.train(was_training)


def of_gradients(network: Network) -> str | None:
    """Go down the network, as gradients do, until the norm of a weight's is not finite.

    Returns
    -------
    str or None
        ``head``, ``layers.1``, ``layers.0`` and so on, ``embeddings``; None: each is finite.

    Examples
    --------
    >>> from tidegate.spec import LayerSpec, ModelSpec
    >>> network = Network(ModelSpec(2, (LayerSpec("gru", 3), LayerSpec("gru", 3)), 1))
    >>> for weight in network.parameters():
    ...     weight.grad = torch.zeros_like(weight)
    >>> of_gradients(network)
    >>> for weight in network.layers[0].parameters():
    ...     weight.grad += torch.inf
    >>> of_gradients(network)
    'layers.0'
    """
    for name, weight in reversed(named_weights(network).items()):
        if weight.grad is not None and not _finite(weight.grad.norm()):
            part, _, number = name.partition(".")
            return f"layers.{number.partition('.')[0]}" if part == "layers" else part
    return None


def _finite(values: torch.Tensor) -> bool:
    return bool(torch.isfinite(values).all())
