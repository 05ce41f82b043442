"""Next tokens: which they are, how well they were foretold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from tidegate import answers
from tidegate.answers.language import _PART
from tidegate.schema import Field, Schema, SchemaConfig
from tidegate.spec import ItemsSpec, TaskSpec

TASK = TaskSpec("language", "c", classes=("", "a", "b", "c"), items=ItemsSpec(top=3))
WORDS = TaskSpec("language", "c", classes=("", "the", "b", "c"), items=ItemsSpec(top=3))


@dataclass
class Table:
    columns: dict[str, np.ndarray]
    times: np.ndarray
    offsets: np.ndarray
    labels: None = None


def table(*texts: str) -> tuple[Table, Schema]:
    tokens = np.array(list("".join(texts)), dtype=object)
    offsets = np.cumsum([0, *map(len, texts)])
    found = Table({"c": tokens}, np.zeros(len(tokens)), offsets)
    config = SchemaConfig({"c": Field("category")})
    return found, Schema.fit(config, found.columns, found.times, offsets)


def test_the_truth_is_the_next_token_of_the_session() -> None:
    truth = answers.open(TASK).truth(*table("abz", "", "c", "ba"))
    np.testing.assert_array_equal(truth, [2, 0, np.nan, np.nan, 1, np.nan])


def test_a_missing_token_is_nothing_to_foretell() -> None:
    events, schema = table("abc")
    events.columns["c"][1] = None
    np.testing.assert_array_equal(answers.open(TASK).truth(events, schema), [np.nan, 3, np.nan])


def test_perplexity_and_bits_are_those_of_the_probabilities() -> None:
    rng = np.random.default_rng(0)
    n = _PART + 100  # more than are measured at a time
    outputs = rng.standard_normal((n, 4)).astype(np.float32)
    truth = rng.integers(0, 4, n).astype(np.float64)
    truth[::7] = np.nan
    known = ~np.isnan(truth)
    exps = np.exp(outputs[known].astype(np.float64))
    shares = (exps / exps.sum(axis=1, keepdims=True))[
        np.arange(known.sum()), truth[known].astype(int)
    ]
    found = answers.open(TASK).metrics(outputs, truth)
    assert found == pytest.approx(
        {
            "n": known.sum(),
            "log_loss": -np.log(shares).mean(),
            "perplexity": np.exp(-np.log(shares).mean()),
            "accuracy": (outputs[known].argmax(axis=1) == truth[known]).mean(),
            "bits_per_character": -np.log2(shares).mean(),
        },
        rel=1e-12,
    )
    assert "bits_per_character" not in answers.open(WORDS).metrics(outputs[:5], truth[:5])
    highest = (np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)).max(axis=1)
    np.testing.assert_allclose(answers.open(TASK).scores(outputs), highest, rtol=1e-5)


def test_nothing_foretold_has_no_metrics() -> None:
    opened = answers.open(TASK)
    assert opened.metrics(np.zeros((2, 4), np.float32), np.full(2, np.nan)) == {"n": 0}
    assert len(opened.scores(np.zeros((0, 4), np.float32))) == 0


def test_answers_name_the_likeliest() -> None:
    (answer,) = answers.open(TASK).answer(np.array([[0.0, 1.0, -1.0, 1.0]], np.float32))
    assert answer["token"] == "a"
    assert list(answer["probabilities"]) == ["a", "c", ""]
    schema = answers.open(TASK).schema()
    assert schema["properties"]["probabilities"]["maxProperties"] == 3
    assert schema["properties"]["token"]["type"] == "string"
    assert answers.open(TASK).summary == "foretells the next 'c', one of 4"
