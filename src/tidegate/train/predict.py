"""What a network answers encoded sessions with."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.data.batches import Batches
from tidegate.nn import Network
from tidegate.nn.readout import numbers

__all__ = ["predict"]


def predict(
    network: Network,
    rows: NDArray[np.float32],
    offsets: NDArray[np.int64],
    *,
    budget: int = 65_536,
) -> NDArray[np.float32]:
    """Run sessions through a network, each from its beginning.

    Parameters
    ----------
    network : Network
        Its mode (training or not) is left as it was; dropout is off meanwhile.
    rows : float32 array (events, row_size)
        Encoded rows.
    offsets : int64 array (sessions + 1,)
        Session i is events ``offsets[i]:offsets[i + 1]``; at least one event each.
    budget : int
        Events and padding of one batch.

    Returns
    -------
    float32 array (events, answer_size)
        What each event is answered with, in the order of the rows; see `ModelSpec.readout`.
    """
    outputs = np.empty((len(rows), network.spec.answer_size), dtype=np.float32)
    batches = Batches(rows, offsets, np.full(len(rows), np.nan), budget)
    device = network.head.weight.device
    was_training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            for batch in batches.epoch():
                lengths = torch.from_numpy(batch.lengths)
                given = torch.from_numpy(batch.rows).to(device)
                found, _ = network(given, lengths=lengths)
                found = numbers(network.spec, found, given)
                outputs[batch.events] = found.cpu().numpy()[batch.real]
    finally:
        network.train(was_training)
    return outputs
