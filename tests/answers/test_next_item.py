from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from tidegate import answers, tables
from tidegate.answers import ranking
from tidegate.schema import Field, Schema, SchemaConfig
from tidegate.spec import ItemsSpec, LayerSpec, ModelSpec, TaskSpec
from tidegate.tables import EventTable

ITEMS = ("", "tea", "rum", "ale")
TASK = TaskSpec("next_item", "drink", classes=ITEMS, items=ItemsSpec(top=2))


@pytest.fixture
def read() -> Callable[[list[tuple[str, str | None]]], tuple[EventTable, Schema]]:
    def made(events: list[tuple[str, str | None]]) -> tuple[EventTable, Schema]:
        frame = pl.DataFrame(events, schema=["guest", "drink"], orient="row")
        table = tables.read(frame, session="guest", fields={"drink": "category"})
        config = SchemaConfig({"drink": Field("category", missing="zero")})
        return table, Schema.fit(config, table.columns, table.times, table.offsets)

    return made


def test_the_truth_is_the_next_item_of_the_session(
    read: Callable[[list[tuple[str, str | None]]], tuple[EventTable, Schema]],
) -> None:
    events = [("a", "tea"), ("a", "ale"), ("b", "rum"), ("a", "gin"), ("a", None), ("a", "tea")]
    table, schema = read(events)
    assert table.sessions == ["a", "b"]
    truth = answers.open(TASK).truth(table, schema)
    # b is one event alone: nothing follows
    np.testing.assert_array_equal(truth, [3, 0, math.nan, 1, math.nan, math.nan])


def test_metrics_are_those_of_all_scores() -> None:
    rng = np.random.default_rng(7)
    scores = rng.integers(0, 4, (200, 12)).astype(np.float32)  # with ties
    scores[:, 0] = -1e4
    truth = rng.integers(0, 12, 200).astype(np.float64)
    truth[rng.random(200) < 0.2] = np.nan
    listed = ranking.top(scores, 5)
    outputs = np.concatenate([np.take_along_axis(scores, listed, 1), listed], axis=1)
    task = TaskSpec("next_item", "x", classes=("", *"abcdefghijk"), items=ItemsSpec(top=5))
    found = answers.open(task).metrics(outputs.astype(np.float32), truth)

    # ties go to the lower index: a score that falls a little with it says the same
    ordered = scores.astype(np.float64) - np.arange(12) * 1e-6
    known = ~np.isnan(truth)
    ranks = ranking.ranks(ordered[known], np.where(truth > 0, truth, np.nan)[known])
    assert found["n"] == known.sum()
    assert (truth == 0).any()  # unknown items are misses
    assert found["recall"] == pytest.approx(ranking.recall(ranks, 5))
    assert found["mrr"] == pytest.approx(ranking.mrr(ranks, 5))
    assert found["ndcg"] == pytest.approx(ranking.ndcg(ranks, 5))


def test_without_truth_there_is_nothing_to_measure() -> None:
    half = answers.open(TASK)
    assert half.metrics(np.zeros((2, 4), np.float32), np.full(2, math.nan)) == {"n": 0}


def test_columns_are_the_answers() -> None:
    outputs = np.array([[3.5, 0.1, 2, 1], [math.nan, math.nan, math.nan, math.nan]], np.float32)
    half = answers.open(TASK)
    columns = half.columns(outputs)
    assert [*columns] == ["item_1", "score_1", "item_2", "score_2"]
    for place, item in enumerate(half.answer(outputs[:1])[0]["items"], 1):
        indices, texts = columns[f"item_{place}"]
        scores = columns[f"score_{place}"]
        assert isinstance(scores, np.ndarray)
        assert item == {"item": texts[indices[0]], "score": scores[0]}
        assert math.isnan(scores[1])


def test_what_the_readout_gives_is_worded() -> None:
    spec = ModelSpec(1, (LayerSpec("gru", 2),), len(ITEMS), readout="top", top=2)
    assert spec.answer_size == 4
    half = answers.open(TASK)
    outputs = np.array([[2.0, 1.0, 3, 1]], dtype=np.float32)
    [answer] = half.answer(outputs)
    assert answer == {"items": [{"item": "ale", "score": 2.0}, {"item": "tea", "score": 1.0}]}
    best = half.schema()["properties"]["items"]
    assert (best["minItems"], best["maxItems"]) == (2, 2)
    assert [*best["items"]["properties"]] == best["items"]["required"] == ["item", "score"]
    assert half.scores(outputs).tolist() == [2.0]
    assert half.summary == "names the 2 likeliest next 'drink', of 3"
