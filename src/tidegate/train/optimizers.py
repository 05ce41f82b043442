"""The rule that turns gradients into updates, and which weights it lets decay."""

from __future__ import annotations

import torch

from tidegate.nn import Network
from tidegate.train.settings import TrainSettings

__all__ = ["make_optimizer", "matrices"]


def matrices(network: Network, *, embeddings: bool = True) -> list[torch.nn.Parameter]:
    """Return a network's weight matrices: no biases, gains, peepholes or initial states.

    Parameters
    ----------
    network : Network
        The network.
    embeddings : bool
        Whether the embedding tables are among them.
    """
    tables = {id(table) for table in network.embeddings.parameters()}
    return [
        parameter
        for parameter in network.parameters()
        if parameter.dim() >= 2 and (embeddings or id(parameter) not in tables)
    ]


def make_optimizer(network: Network, settings: TrainSettings) -> torch.optim.Optimizer:
    """Return the optimiser that the settings name; its learning rate is set at each step.

    Parameters
    ----------
    network : Network
        Whose parameters it updates.
    settings : TrainSettings
        With `optimizer`, `momentum`, `weight_decay` and `decay_embeddings`.

    References
    ----------
    I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", 2019 (AdamW);
    A. Graves, "Generating sequences with recurrent neural networks", 2013 (RMSprop).
    """
    decaying = matrices(network, embeddings=settings.decay_embeddings)
    known = {id(parameter) for parameter in decaying}
    others = [p for p in network.parameters() if id(p) not in known]
    groups = [
        {"params": decaying, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    match settings.optimizer:
        case "sgd":
            return torch.optim.SGD(groups, momentum=settings.momentum)
        case "rmsprop":
            return torch.optim.RMSprop(groups, alpha=0.95, momentum=settings.momentum)
        case _:
            return torch.optim.AdamW(groups)
