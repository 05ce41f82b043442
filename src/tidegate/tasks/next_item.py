"""Learn what comes next in a session: which item, of many."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tidegate.data.targets import Targets
from tidegate.errors import InputError
from tidegate.nn import Network
from tidegate.schema import Schema
from tidegate.spec import MOST_INDICES, ItemsSpec, TaskSpec
from tidegate.tables import EventTable
from tidegate.tasks.base import Task
from tidegate.tasks.config import TaskConfig
from tidegate.tasks.item_losses import Sampler, bpr_max, sampled_cross_entropy

__all__ = ["NextItem", "fit"]

_NEVER = -1e4
"""The head's bias of items that training does not know: no answer names them, no loss sees them."""


def fit(
    config: TaskConfig,
    label: str | None,  # noqa: ARG001
    table: EventTable,
    schema: Schema,
) -> TaskSpec:
    """Take the items that the schema knows, and how often the training part has each.

    Raises
    ------
    InputError
        ``missing_key``, ``unknown_field``, ``wrong_type``: `config` names no category;
        ``bad_config``: answers for each session; ``one_class``: fewer than two items.
    """
    field = _category(config, schema)
    items = schema.vocabulary(field)
    if len(items) < 2:
        raise InputError(
            "one_class",
            f"the training part has {len(items)} different items",
            field=field,
            hint="see that the column holds items, two or more",
        )
    if len(items) >= MOST_INDICES:
        raise InputError(
            "too_many_items",
            f"the training part has {len(items):,} different items",
            field=field,
            hint=f"give the field a max_size below {MOST_INDICES:,}",
        )
    counts = Counter(table.columns[field].tolist())
    return TaskSpec(
        "next_item",
        field,
        classes=("", *items),
        items=config.items.spec(len(items), (0, *(counts[item] for item in items))),
    )


def _category(config: TaskConfig, schema: Schema) -> str:
    fields = schema.config.fields
    categories = [name for name, field in fields.items() if field.kind == "category"]
    hint = f"name one of the categories: {', '.join(categories) or 'there is none'}"
    if config.field is None:
        raise InputError(
            "missing_key", "which field holds the item is not said", field="task.field", hint=hint
        )
    if config.field not in fields:
        raise InputError(
            "unknown_field", f"there is no {config.field!r}", field="task.field", hint=hint
        )
    if config.field not in categories:
        kind = fields[config.field].kind
        raise InputError(
            "wrong_type",
            f"{config.field!r} is {kind}, and items are categories",
            field="task.field",
            hint='give the field kind = "category"',
        )
    if config.per == "session":
        raise InputError(
            "bad_config",
            "each event has a next one, not each session",
            field="task.per",
            hint="leave it out",
        )
    return config.field


class NextItem(Task):
    """Cross-entropy over all items, or a loss among drawn ones.

    Parameters
    ----------
    spec : TaskSpec
        With its `classes`, the items, and its `items`.

    References
    ----------
    B. Hidasi et al., "Session-based recommendations with recurrent neural networks", 2016;
    B. Hidasi, A. Karatzoglou, "Recurrent neural networks with top-k gains for session-based
    recommendations", 2018.

    Examples
    --------
    >>> task = NextItem(TaskSpec("next_item", "item", classes=("", "rum", "tea")))
    >>> targets = task.targets(np.array([2.0, 0.0, np.nan]), np.zeros((3, 1), np.float32))
    >>> targets  # of an item that is not known, nothing is learned
    array([ 2., nan, nan], dtype=float32)
    >>> round(task.loss(torch.zeros(3, 3), torch.from_numpy(targets)).item(), 4)
    1.0986
    """

    watch = "recall"

    def __init__(self, spec: TaskSpec) -> None:
        super().__init__(spec)
        self._items = items = spec.items or ItemsSpec()
        self.reads_states = items.loss != "cross_entropy"
        if self.reads_states:
            counts = np.array(items.counts, dtype=np.float64)
            self._sampler = Sampler(
                counts / counts.sum(), items.negatives, items.batch_negatives, items.sample_alpha
            )

    def targets(
        self,
        truth: NDArray[np.float64],
        rows: NDArray[np.float32],  # noqa: ARG002
    ) -> NDArray[np.float32]:
        """Return the next item's index, NaN where it is not known."""
        return np.where(truth > 0, truth, np.nan).astype(np.float32)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross-entropy over all items (nats)."""
        known = ~torch.isnan(targets)
        total = cross_entropy(outputs[known], targets[known].long(), reduction="sum")
        return total / known.sum().clamp(min=1)

    def states_loss(self, states: Tensor, head: nn.Linear, targets: Tensor) -> Tensor:
        """Return the mean loss among drawn items; one draw serves the batch."""
        known = ~torch.isnan(targets)
        right, states = targets[known].long(), states[known]
        drawn = self._sampler.draw(right.cpu()).to(right.device)
        positive = (states * head.weight[right]).sum(dim=1) + head.bias[right]
        negatives = states @ head.weight[drawn].T + head.bias[drawn]
        hits = drawn == right[:, None]
        if self._items.loss == "bpr_max":
            return bpr_max(positive, negatives, hits, self._items.bpr_reg).mean()
        counts = self._sampler.expected.to(drawn.device)[drawn]
        return sampled_cross_entropy(positive, negatives, hits, counts).mean()

    def constant_loss(self, targets: NDArray[np.float32] | Targets) -> float | None:
        """Return the entropy of the items' shares (nats), if that is what training lowers."""
        assert isinstance(targets, np.ndarray)
        if self.reads_states:
            return None
        _, counts = np.unique(targets[~np.isnan(targets)], return_counts=True)
        shares = counts / counts.sum()
        return float((shares * -np.log(shares)).sum())

    def readout(self, schema: Schema) -> dict[str, Any]:  # noqa: ARG002
        """Answer with the likeliest items."""
        return {"readout": "top", "top": self._items.top}

    def furnish(self, network: Network, schema: Schema) -> None:
        """Rule unknown items out, and let head and embedding be one matrix, if that is wanted.

        Raises
        ------
        InputError
            ``bad_config``: they have different sizes.
        """
        with torch.no_grad():
            network.head.bias[0] = _NEVER
        if not self._items.shared_embedding:
            return
        columns = [category.column for category in network.spec.categories]
        embedding = network.embeddings[columns.index(schema.columns.index(self.spec.label))]
        assert isinstance(embedding, nn.Embedding)
        if embedding.weight.shape != network.head.weight.shape:
            width = network.head.weight.shape[1]
            raise InputError(
                "bad_config",
                f"the embedding has {embedding.weight.shape[1]} numbers an item, the head {width}",
                field="task.items.shared_embedding",
                hint=f"give {self.spec.label!r} embedding_size = {width}, or share nothing",
            )
        with torch.no_grad():  # as embeddings begin, products with states would be far too large
            embedding.weight *= embedding.weight.shape[1] ** -0.5
        network.head.weight = embedding.weight
