"""The vocabulary that a language model is fitted to, and the weights that it ties."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tidegate import tasks
from tidegate.errors import InputError
from tidegate.nn import Network, to_bundle
from tidegate.schema import Field, Schema, SchemaConfig
from tidegate.spec import ItemsSpec, LayerSpec, ModelSpec, TaskSpec
from tidegate.tables import EventTable
from tidegate.tasks import TaskConfig

LANGUAGE = TaskConfig("language", field="word")


def fitted(fields: dict[str, Field], words: str = "to be or not to be") -> Schema:
    tokens = np.array(words.split(), dtype=object)
    columns = {
        name: tokens if field.kind == "category" else np.arange(len(tokens), dtype=np.float64)
        for name, field in fields.items()
    }
    return Schema.fit(
        SchemaConfig(fields), columns, np.zeros(len(tokens)), np.array([0, len(tokens)])
    )


def table() -> EventTable:
    return EventTable.__new__(EventTable)  # which the fit does not read


WORD = {"word": Field("category")}
PLACE = {"place": Field("numeric"), "word": Field("category")}


@pytest.mark.parametrize("field", ["word", None])
def test_the_vocabulary_is_the_fields(field: str | None) -> None:
    schema = fitted(PLACE)
    task = tasks.language.fit(TaskConfig("language", field=field), None, table(), schema)
    assert (task.name, task.label) == ("language", "word")
    assert task.classes == ("", *schema.vocabulary("word"))
    assert task.classes[1:3] == ("be", "to")  # the most frequent first
    assert task.output_size == len(task.classes) == 5
    assert schema.vocabulary("place") == ()


@pytest.mark.parametrize(
    ("config", "fields", "words", "code"),
    [
        (TaskConfig("language", field="wrd"), WORD, "a b", "unknown_field"),
        (TaskConfig("language"), {"a": Field("category"), "b": Field("category")}, "a b", None),
        (TaskConfig("language", field="place"), PLACE, "a b", "wrong_type"),
        (LANGUAGE, WORD, "a a a", "one_class"),
        (TaskConfig("language", per="session", field="word"), WORD, "a b", "bad_config"),
    ],
)
def test_what_is_no_text(
    config: TaskConfig, fields: dict[str, Field], words: str, code: str | None
) -> None:
    with pytest.raises(InputError) as refused:
        tasks.language.fit(config, None, table(), fitted(fields, words))
    assert refused.value.code == (code or "unknown_field")


@pytest.mark.parametrize("width", [6, 4])
def test_an_embedding_as_wide_as_the_layer_is_the_heads_weights(width: int) -> None:
    schema = fitted({"word": Field("category", embedding_size=width)})
    spec = ModelSpec(1, (LayerSpec("gru", 6),), 5, schema.categories)
    torch.manual_seed(0)
    network = Network(spec)
    task = TaskSpec("language", "word", classes=("", *"abcd"), items=ItemsSpec())
    tasks.open(task).furnish(network, schema)
    many = sum(weight.numel() for weight in network.parameters())
    assert many == spec.parameters - (30 if width == 6 else 0)
    outputs, _ = network(torch.tensor([[[1.0], [2.0]]]))
    outputs[:, :, 3].sum().backward()
    weights = to_bundle(network)
    same = width == 6 and np.array_equal(weights["embeddings.0"], weights["head.weight"])
    assert same == (width == 6)
    if same:  # one gradient: of what was looked up, and of what was foretold
        gradient = network.head.weight.grad
        assert gradient is not None
        assert (gradient.abs().sum(dim=1) > 0).tolist() == [False, True, True, True, False]
