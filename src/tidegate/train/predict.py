"""What a network answers encoded sessions with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.data.batches import Batches
from tidegate.nn import Network
from tidegate.nn.readout import numbers
from tidegate.tasks import Task

__all__ = ["Measured", "events_of_batch", "measure", "predict"]

_EVENTS, _OUTPUTS = 65_536, 1024


def events_of_batch(outputs: int) -> int:
    """Return how many events, with padding, a batch has that is only measured.

    Examples
    --------
    >>> events_of_batch(1), events_of_batch(100_000)  # so many outputs would not fit into memory
    (65536, 671)
    """
    return max(1, min(_EVENTS, _EVENTS * _OUTPUTS // outputs))


def predict(
    network: Network,
    rows: NDArray[np.float32],
    offsets: NDArray[np.int64],
    *,
    budget: int | None = None,
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
    budget : int, optional
        Events and padding of one batch; as `events_of_batch` says, if left out.

    Returns
    -------
    float32 array (events, answer_size)
        What each event is answered with, in the order of the rows; see `ModelSpec.readout`.
    """
    nothing = np.full(len(rows), np.nan)
    budget = budget or events_of_batch(network.spec.output_size)
    return measure(network, Batches(rows, offsets, nothing, budget)).outputs


@dataclass(frozen=True, eq=False)
class Measured:
    """What a network makes of some sessions.

    Parameters
    ----------
    outputs : float32 array (events, answer_size)
        What each event is answered with, in the order of the rows.
    loss : float
        Mean over the events that something is learned of; 0 if there is none, or no loss.
    """

    outputs: NDArray[np.float32]
    loss: float


def measure(network: Network, batches: Batches, task: Task | None = None) -> Measured:
    """Run sessions through a network, each from its beginning; see `predict`.

    Parameters
    ----------
    network : Network
        Its mode is left as it was.
    batches : Batches
        The sessions and, for the loss, their targets.
    task : Task, optional
        Gives the loss.
    """
    outputs = np.empty((len(batches.rows), network.spec.answer_size), dtype=np.float32)
    losses, counts = [0.0], [0]
    device = network.head.weight.device
    was_training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            for batch in batches.epoch():
                lengths = torch.from_numpy(batch.lengths)
                given = torch.from_numpy(batch.rows).to(device)
                found, _ = network(given, lengths=lengths)
                answered = numbers(network.spec, found, given)
                outputs[batch.events] = answered.cpu().numpy()[batch.real]
                if task is not None:
                    targets = torch.from_numpy(batch.labels.astype(np.float32)).to(device)
                    losses.append(task.loss(found, targets).item())
                    counts.append(batch.learned)
    finally:
        network.train(was_training)
    return Measured(outputs, float(np.dot(losses, counts)) / max(1, sum(counts)))
