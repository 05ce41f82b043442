"""The next item, from a table of sessions to a network that names it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from tidegate import answers, tables, tasks
from tidegate.answers import ranking
from tidegate.engine import offline
from tidegate.errors import InputError
from tidegate.nn import Network
from tidegate.schema import Field, Schema, SchemaConfig
from tidegate.tables import EventTable
from tidegate.tasks.config import ItemsConfig, TaskConfig
from tidegate.tasks.item_baselines import Markov
from tidegate.train import ModelSettings, TrainSettings, predict, save_bundle, train_model
from tidegate.train.compare.baselines import baselines
from tidegate.train.parts import Prepared
from tidegate.train.predict import events_of_batch
from tidegate.train.trained import Trained

ITEMS = 20
SETTINGS = TrainSettings(
    epochs=10, batch_tokens=300, learning_rate=0.02, warmup_steps=5, lanes=16, chunk=6, seed=2
)


def walks(sessions: int, seed: int) -> EventTable:
    """Sessions that go on by a step of their own: one item does not tell the next, two do."""
    rng = np.random.default_rng(seed)
    events = []
    for session in range(sessions):
        at, step = rng.integers(ITEMS), rng.choice([1, 3, 8])
        films = (at + step * np.arange(rng.integers(1, 14))) % ITEMS
        events += [(f"{seed}/{session}", f"film {film}") for film in films]
    frame = pl.DataFrame(events, schema=["user", "item"], orient="row")
    return tables.read(frame, session="user", fields={"item": "category"})


def learn(items: ItemsConfig, settings: TrainSettings = SETTINGS) -> Trained:
    return learn_from(walks(200, seed=1), walks(50, seed=2), items, settings)


def learn_from(
    train: EventTable, valid: EventTable, items: ItemsConfig, settings: TrainSettings = SETTINGS
) -> Trained:
    config = SchemaConfig({"item": Field("category", embedding_size=24)})
    schema = Schema.fit(config, train.columns, train.times, train.offsets)
    task = tasks.fit(TaskConfig("next_item", field="item", items=items), None, train, schema)
    model = ModelSettings(hidden_size=24, embedding_dropout=0.05)
    return train_model(train, valid, schema=schema, task=task, model=model, settings=settings)


def markov(trained: Trained, k: int) -> float:
    """Recall of what one item alone tells."""
    rows, offsets = {}, {}
    for name, table in (("train", trained.train), ("valid", trained.valid)):
        encoded = trained.schema.encode(table.columns, table.times, table.offsets)
        rows[name], offsets[name] = encoded.rows[:, 0].astype(np.int64), table.offsets
    rule = Markov.fit(rows["train"], offsets["train"], ITEMS + 1)
    events = np.arange(len(rows["valid"]))
    scores = rule.scores(rows["valid"], offsets["valid"], events)
    truth = answers.open(trained.task).truth(trained.valid, trained.schema)
    known = ~np.isnan(truth)
    return ranking.recall(ranking.ranks(scores[known], truth[known]), k)


@pytest.mark.parametrize("mode", ["sessions", "lanes"])
@pytest.mark.parametrize("loss", ["cross_entropy", "sampled", "bpr_max"])
def test_it_learns_what_one_item_does_not_tell(loss: str, mode: str) -> None:
    items = ItemsConfig(
        k=1, loss=loss, negatives=24, batch_negatives=8, bpr_reg=0.01, shared_embedding=True
    )
    settings = msgspec.structs.replace(SETTINGS, mode=mode)
    trained = learn(items, settings)
    found = trained.evaluate(trained.valid)
    assert found["recall"] == trained.result.metrics["recall"]
    assert found["recall"] > markov(trained, 1) + 0.2


def test_a_bundle_answers_as_the_network_does(tmp_path: Path) -> None:
    trained = learn(ItemsConfig(k=4, shared_embedding=True), SETTINGS)
    table = trained.valid
    outputs = trained.outputs(table)
    rows = trained.schema.encode(table.columns, table.times, table.offsets).rows
    scores = full(trained.network, rows, table.offsets)
    np.testing.assert_array_equal(outputs[:, 4:], ranking.top(scores, 4))
    made = save_bundle(trained, tmp_path / "bundle", name="films", version="1")
    for backend in ("native", "reference"):
        scorer = offline.open(made, backend)
        scored = offline.outputs(scorer, table.columns, table.times, table.offsets)
        np.testing.assert_allclose(scored[:, :4], outputs[:, :4], rtol=0, atol=1e-5)
        assert (scored[:, 4:] == outputs[:, 4:]).mean() > 0.99  # rounding may swap near equals
    words = answers.open(made.task).answer(outputs)
    named = {item["item"] for answer in words for item in answer["items"]}
    assert named <= set(made.task.classes[1:])


def full(network: Network, rows: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The scores of all items."""
    plain = msgspec.structs.replace(network.spec, readout="outputs", top=0)
    copy = Network(plain)
    copy.load_state_dict(network.state_dict())
    return predict(copy, rows, offsets)


def test_a_comparison_has_the_rules_beside_the_network() -> None:
    table, valid = walks(60, seed=1), walks(20, seed=2)
    config = SchemaConfig({"item": Field("category")})
    schema = Schema.fit(config, table.columns, table.times, table.offsets)
    items = ItemsConfig(k=3)
    task = tasks.fit(TaskConfig("next_item", field="item", items=items), None, table, schema)
    half = answers.open(task)
    prepared = Prepared(table, valid, None, schema, task)
    found = {
        name: half.metrics(outputs, half.truth(valid, schema), valid.offsets)
        for name, outputs in baselines(prepared, valid, watch="recall")
    }
    assert list(found) == ["popularity", "markov", "item-knn"]
    assert found["markov"]["recall"] > found["popularity"]["recall"] + 0.3


def test_sessions_of_one_event_have_nothing_to_learn() -> None:
    frame = pl.DataFrame({"user": list("abcd"), "item": ["x", "y", "x", "y"]})
    lonely = tables.read(frame, session="user", fields={"item": "category"})
    with pytest.raises(InputError) as caught:
        learn_from(lonely, walks(5, seed=1), ItemsConfig(k=1))
    assert (caught.value.code, caught.value.field) == ("no_labels", "item")
    assert "follows" in caught.value.hint


def test_a_large_head_is_measured_in_small_batches() -> None:
    assert events_of_batch(100) == events_of_batch(1024) == 65_536
    assert events_of_batch(1_000_000) * 1_000_000 <= 65_536 * 1024
    assert events_of_batch(2**24) >= 1
