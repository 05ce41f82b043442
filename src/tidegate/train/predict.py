"""A network's outputs for encoded sessions."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.nn import Network
from tidegate.train.sequences import Sequences

__all__ = ["predict"]


def predict(
    network: Network, sequences: Sequences, *, batch_tokens: int = 65_536
) -> NDArray[np.float32]:
    """Run sessions through a network, each from its beginning.

    Parameters
    ----------
    network : Network
        Its mode (training or not) is left as it was; dropout is off meanwhile.
    sequences : Sequences
        The sessions.
    batch_tokens : int
        Places of one batch at most, padding included.

    Returns
    -------
    float32 array (events, output_size)
        Outputs of the head after each event, in the order of the sequences.
    """
    outputs = np.empty((len(sequences.rows), network.spec.output_size), dtype=np.float32)
    was_training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            for batch in sequences.batches(batch_tokens):
                found, _ = network(batch.rows)
                outputs[batch.events[batch.real]] = found.numpy()[batch.real]
    finally:
        network.train(was_training)
    return outputs
