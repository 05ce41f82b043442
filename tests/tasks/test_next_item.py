from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch

from tidegate import tables, tasks
from tidegate.errors import InputError
from tidegate.nn import Network
from tidegate.schema import Field, Schema, SchemaConfig
from tidegate.spec import ItemsSpec, LayerSpec, ModelSpec, TaskSpec
from tidegate.tables import EventTable
from tidegate.tasks.config import ItemsConfig, TaskConfig
from tidegate.tasks.item_losses import bpr_max, sampled_cross_entropy

CONFIG = SchemaConfig(
    {"item": Field("category", embedding_size=6), "price": Field("numeric", missing="zero")}
)
CLASSES = ("", *"abcdefg")


def read(items: list[str], config: SchemaConfig = CONFIG) -> tuple[EventTable, Schema]:
    """Events of one session, and their schema."""
    frame = pl.DataFrame({"id": ["s"] * len(items), "item": items, "price": [1.0] * len(items)})
    kinds = {name: field.kind for name, field in config.fields.items()}
    table = tables.read(frame, session="id", fields=kinds)
    return table, Schema.fit(config, table.columns, table.times, table.offsets)


def network(schema: Schema, task: TaskSpec, hidden: int = 6) -> Network:
    half = tasks.open(task)
    spec = ModelSpec(
        schema.width,
        (LayerSpec("gru", hidden),),
        task.output_size,
        schema.categories,
        **half.readout(schema),
    )
    made = Network(spec)
    half.furnish(made, schema)
    return made


def test_the_items_are_the_vocabulary() -> None:
    table, schema = read(list("abcacab"))
    task = tasks.fit(TaskConfig("next_item", field="item"), None, table, schema)
    assert task.classes == ("", "a", "b", "c")  # the most frequent first; of equals, in order
    assert task.items == ItemsSpec(top=3)  # not more than there are
    sampled = ItemsConfig(k=2, loss="bpr_max", sample_alpha=0.25, bpr_reg=0.5)
    task = tasks.fit(TaskConfig("next_item", field="item", items=sampled), None, table, schema)
    assert task.items == ItemsSpec(
        top=2, loss="bpr_max", sample_alpha=0.25, bpr_reg=0.5, counts=(0, 3, 2, 2)
    )


@pytest.mark.parametrize(
    ("config", "code", "field"),
    [
        (TaskConfig("next_item"), "missing_key", "task.field"),
        (TaskConfig("next_item", field="itme"), "unknown_field", "task.field"),
        (TaskConfig("next_item", field="price"), "wrong_type", "task.field"),
        (TaskConfig("next_item", field="item", per="session"), "bad_config", "task.per"),
    ],
)
def test_what_is_no_item_is_refused(config: TaskConfig, code: str, field: str) -> None:
    with pytest.raises(InputError) as caught:
        tasks.fit(config, None, *read(list("abab")))
    assert (caught.value.code, caught.value.field) == (code, field)


def test_one_item_is_no_choice() -> None:
    with pytest.raises(InputError) as caught:
        tasks.fit(TaskConfig("next_item", field="item"), None, *read(list("aaa")))
    assert (caught.value.code, caught.value.field) == ("one_class", "item")


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"k": 0}, "k"),
        ({"negatives": -1}, "negatives"),
        ({"batch_negatives": -1}, "batch_negatives"),
        ({"loss": "sampled", "negatives": 0, "batch_negatives": 0}, "negatives"),
        ({"sample_alpha": 1.5}, "sample_alpha"),
        ({"bpr_reg": -0.1}, "bpr_reg"),
        ({"loss": "top1"}, "loss"),
    ],
)
def test_settings_out_of_range(options: dict[str, object], field: str) -> None:
    with pytest.raises(InputError) as caught:
        ItemsConfig(**options)  # type: ignore[arg-type]
    assert (caught.value.code, caught.value.field) == ("out_of_range", field)


def test_a_million_items_are_cut_by_max_size() -> None:
    names = np.char.add("item ", np.arange(1_000_000).astype(str)).tolist()
    config = SchemaConfig({"item": Field("category", max_size=1000)})
    table, schema = read([*names, *names[-3:]], config)
    task = tasks.fit(TaskConfig("next_item", field="item"), None, table, schema)
    assert len(task.classes) == 1001
    assert set(task.classes[1:4]) == set(names[-3:])  # the most frequent are kept


def test_unknown_items_are_never_named_and_never_learned() -> None:
    _, schema = read(list("abcdefg"))
    for loss in ("cross_entropy", "sampled"):
        items = ItemsSpec(top=7, loss=loss, negatives=20, counts=(0, *[1] * 7))
        task = TaskSpec("next_item", "item", classes=CLASSES, items=items)
        half, made = tasks.open(task), network(schema, task)
        targets = torch.tensor([[3.0, np.nan, 7.0]])
        rows = torch.zeros(1, 3, schema.width)
        states, _ = made(rows, head=False)
        found = (
            half.states_loss(states, made.head, targets)
            if half.reads_states
            else half.loss(made.head(states), targets)
        )
        found.backward()
        assert made.head.weight.grad is not None
        assert made.head.bias.grad is not None
        assert made.head.bias.grad[0] == 0.0
        assert not made.head.weight.grad[0].any()
        assert (made.head.bias.grad[1:] != 0).any()
        named = made.head(states)[..., 1:].amin()
        assert (made.head(states)[..., 0] < named - 1000).all()


@pytest.mark.parametrize("loss", ["sampled", "bpr_max"])
def test_states_are_scored_against_drawn_items(loss: str) -> None:
    _, schema = read(list("abcdefg"))
    items = ItemsSpec(
        top=2,
        loss=loss,
        negatives=9,
        batch_negatives=4,
        bpr_reg=0.3,
        counts=(0, 9, 5, 5, 2, 2, 1, 1),
    )
    task = TaskSpec("next_item", "item", classes=CLASSES, items=items)
    half, made = tasks.open(task), network(schema, task)
    states = torch.randn(2, 4, 6)
    targets = torch.tensor([[1.0, 2.0, torch.nan, 4.0], [5.0, torch.nan, 7.0, 1.0]])
    torch.manual_seed(11)
    found = half.states_loss(states, made.head, targets)
    # the same draw, and every event for itself
    torch.manual_seed(11)
    known = ~torch.isnan(targets)
    right = targets[known].long()
    drawn = half._sampler.draw(right)
    logits = made.head(states[known])
    terms = []
    for row, item in zip(logits, right, strict=True):
        hits = (drawn == item)[None]
        positive, negatives = row[item][None], row[drawn][None]
        terms.append(
            bpr_max(positive, negatives, hits, 0.3)
            if loss == "bpr_max"
            else sampled_cross_entropy(positive, negatives, hits, half._sampler.expected[drawn])
        )
    assert found.item() == pytest.approx(torch.stack(terms).mean().item(), rel=1e-5)
    assert half.constant_loss(np.zeros(3, np.float32)) is None


def test_shared_weights_are_one_matrix() -> None:
    _, schema = read(list("abcdefg"))
    items = ItemsSpec(top=2, shared_embedding=True)
    task = TaskSpec("next_item", "item", classes=CLASSES, items=items)
    made = network(schema, task)
    assert made.embeddings[0].weight is made.head.weight
    assert not made.head.weight[0].any()
    names = [name for name, _ in made.named_parameters()]
    assert len(names) == len(set(names)) == 2 + 4  # one table, one bias, four of the layer
    with pytest.raises(InputError) as caught:
        network(schema, task, hidden=5)
    assert (caught.value.code, caught.value.field) == ("bad_config", "task.items.shared_embedding")
    assert "embedding_size = 5" in caught.value.hint
