"""Learn to go on with a text: the next token, from all before it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tidegate.data.targets import Targets
from tidegate.errors import InputError
from tidegate.nn import Network
from tidegate.schema import Schema
from tidegate.spec import ItemsSpec, TaskSpec
from tidegate.tables import EventTable
from tidegate.tasks.base import Task
from tidegate.tasks.config import TaskConfig

__all__ = ["Language", "fit"]

TOP = 10
"""How many of the likeliest tokens an answer names."""


def fit(
    config: TaskConfig,
    label: str | None,  # noqa: ARG001
    table: EventTable,  # noqa: ARG001
    schema: Schema,
) -> TaskSpec:
    """Take the vocabulary of the field that holds the tokens.

    Raises
    ------
    InputError
        ``unknown_field``, ``wrong_type``: the field is no category; ``one_class``: it has one value
        alone; ``bad_config``: answers for each session.
    """
    fields = schema.config.fields
    categories = [name for name, field in fields.items() if field.kind == "category"]
    name = config.field or (categories[0] if len(categories) == 1 else None)
    if name is None or name not in fields:
        raise InputError(
            "unknown_field",
            "which field holds the tokens is not said" if name is None else f"there is no {name!r}",
            field="task.field",
            hint=f"name one of the categories: {', '.join(categories) or 'there is none'}",
        )
    if name not in categories:
        raise InputError(
            "wrong_type",
            f"{name!r} is {fields[name].kind}, and tokens are categories",
            field="task.field",
            hint='give the field kind = "category"',
        )
    if config.per == "session":
        raise InputError(
            "bad_config",
            "every event has a next one to foretell, not every session",
            field="task.per",
            hint="leave it out",
        )
    vocabulary = schema.vocabulary(name)
    if len(vocabulary) < 2:
        raise InputError(
            "one_class",
            f"the training part has {len(vocabulary)} different tokens",
            field=name,
            hint="an event is a token, such as a character or a word: see that the column has them",
        )
    return TaskSpec("language", name, classes=("", *vocabulary), items=ItemsSpec(top=TOP))


class Language(Task):
    """Cross-entropy of the next token, over the whole vocabulary.

    Where the token's embedding is as wide as the last layer, the head's weights are the embedding's
    (Press, Wolf 2017; Inan et al. 2017).

    Parameters
    ----------
    spec : TaskSpec
        With its `classes`, the vocabulary.

    Examples
    --------
    >>> task = Language(TaskSpec("language", "word", classes=("", "a", "b"), items=ItemsSpec()))
    >>> round(float(task.loss(torch.zeros(2, 3), torch.tensor([1.0, torch.nan]))), 4)
    1.0986
    """

    watch = "perplexity"

    def targets(
        self,
        truth: NDArray[np.float64],
        rows: NDArray[np.float32],  # noqa: ARG002
    ) -> NDArray[np.float32]:
        """Return the index of each event's next token."""
        return truth.astype(np.float32)

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean cross-entropy of the tokens that follow (nats)."""
        known = ~torch.isnan(targets)
        nats = nn.functional.cross_entropy(outputs[known], targets[known].long(), reduction="sum")
        return nats / known.sum().clamp(min=1)

    def constant_loss(self, targets: NDArray[np.float32] | Targets) -> float:
        """Return the entropy of the tokens' shares (nats)."""
        assert isinstance(targets, np.ndarray)
        _, counts = np.unique(targets[~np.isnan(targets)], return_counts=True)
        shares = counts / counts.sum()
        return float((shares * -np.log(shares)).sum())

    def furnish(self, network: Network, schema: Schema) -> None:
        """Let head and embedding be one matrix, where both have the same shape."""
        columns = [category.column for category in network.spec.categories]
        embedding = network.embeddings[columns.index(schema.columns.index(self.spec.label))]
        assert isinstance(embedding, nn.Embedding)
        if embedding.weight.shape == network.head.weight.shape:
            # The head's first weights: the embedding's would be far too large for logits.
            embedding.weight = network.head.weight
