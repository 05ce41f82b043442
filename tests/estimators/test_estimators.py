from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from tidegate import answers
from tidegate import bundle as bundles
from tidegate.engine import Engine
from tidegate.errors import InputError
from tidegate.estimators import (
    RecurrentAnomalyDetector,
    RecurrentClassifier,
    RecurrentForecaster,
    RecurrentRecommender,
    RecurrentRegressor,
)
from tidegate.estimators.events import held_out
from tidegate.schema import Field, SchemaConfig
from tidegate.train import Augment

SMALL: dict[str, Any] = {"hidden_size": 8, "epochs": 8, "batch_tokens": 128, "random_state": 0}


def ragged(n: int, seed: int = 0) -> tuple[list[np.ndarray], np.ndarray]:
    """Sequences of two features, and whether the first feature ends above its beginning."""
    rng = np.random.default_rng(seed)
    X = [rng.normal(size=(int(rng.integers(2, 7)), 2)) for _ in range(n)]
    return X, np.array(["up" if x[-1, 0] > x[0, 0] else "down" for x in X])


def long(X: list[np.ndarray], seed: int = 0) -> pl.DataFrame:
    """The same as a long frame whose rows are mixed, with times; sequence i is called ``s{i}``."""
    rows = [
        {"session": f"s{i}", "at": float(at), "a": x[at, 0], "b": x[at, 1]}
        for i, x in enumerate(X)
        for at in range(len(x))
    ]
    return pl.DataFrame(rows).sample(fraction=1.0, shuffle=True, seed=seed)


def test_all_forms_of_sequences_give_the_same_model() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4, 1))
    y = (X[:, -1, 0] > X[:, 0, 0]).astype(int)
    forms = [X, list(X), [x[:, 0] for x in X], X[:, :, 0], X[:, :, 0].tolist()]
    found = [RecurrentClassifier(**SMALL).fit(form, y).predict_proba(form) for form in forms]
    for each in found[1:]:
        np.testing.assert_array_equal(each, found[0])


@pytest.mark.parametrize("pandas", [False, True])
def test_a_long_frame_is_answered_in_the_order_of_its_sequences(pandas: bool) -> None:
    X, y = ragged(80)
    frame = long(X)
    order = [int(name[1:]) for name in frame["session"].unique(maintain_order=True)]
    given: Any = pd.DataFrame(frame.to_dict(as_series=False)) if pandas else frame
    model = RecurrentClassifier(**SMALL, time="at").fit(given, y[order])
    found = model.predict_proba(given)
    assert found.shape == (80, 2)
    alone = [model.predict_proba(frame.filter(session=f"s{i}"))[0] for i in order[:5]]
    np.testing.assert_array_equal(found[:5], alone)


def test_labels_of_events_are_answered_event_by_event() -> None:
    X, _ = ragged(60)
    frame = long(X)
    y = (frame["a"] > 0).to_numpy()
    model = RecurrentClassifier(**SMALL | {"epochs": 25}, time="at").fit(frame, y)
    assert model.predict(frame).shape == (len(frame),)
    assert model.score(frame, y) > 0.9
    assert model.trained_.task.per == "event"


def test_a_bundle_answers_what_predict_does(tmp_path: Path) -> None:
    X, y = ragged(60)
    model = RecurrentClassifier(**SMALL).fit(X, y)
    model.to_bundle(tmp_path / "b", "ups", "1")
    bundle = bundles.load(tmp_path / "b")
    engine = Engine.open(bundle)
    expected = model.predict_proba(X[:5])
    for place, x in enumerate(X[:5]):
        for event in x:
            typed = bundle.schema.stack([tuple(event.tolist())])
            stepped = engine.step_events([f"s{place}"], typed, np.zeros(1))
        (answer,) = answers.open(bundle.task).answer(stepped.outputs)
        assert list(answer["probabilities"]) == ["down", "up"]
        np.testing.assert_allclose(list(answer["probabilities"].values()), expected[place], 1e-12)
        assert answer["label"] == model.predict(X[place : place + 1])[0]
    with pytest.raises(InputError, match="is there already"):
        model.to_bundle(tmp_path / "b", "ups", "2")


def test_a_bidirectional_model_scores_sequences() -> None:
    X, y = ragged(60)
    model = RecurrentClassifier(**SMALL, bidirectional=True, model={"layer_norm": True}).fit(X, y)
    assert model.trained_.spec.layers[0].layer_norm
    assert model.predict(X).shape == (60,)


def test_options_of_the_task_are_those_of_a_configuration() -> None:
    X, y = ragged(60)
    options = {"class_weight": {"up": 3.0}, "calibrate": False}
    task = RecurrentClassifier(**SMALL, task=options).fit(X, y).trained_.task
    assert (task.class_weights, task.temperature) == ((1.0, 3.0), None)
    assert RecurrentClassifier(**SMALL).fit(X, y).trained_.task.temperature not in (None, 1.0)


def test_it_is_cloned_pickled_searched_and_put_into_a_pipeline() -> None:
    X, y = ragged(60)
    model = RecurrentClassifier(**SMALL | {"epochs": 2})
    fitted = clone(model).set_params(hidden_size=4).fit(X, y)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    assert fitted.trained_.spec.layers[0].hidden_size == 4
    doubled = FunctionTransformer(lambda X: [2 * x for x in X])
    searched = GridSearchCV(
        make_pipeline(doubled, model), {"recurrentclassifier__cell": ["gru", "rnn"]}, cv=2
    ).fit(X, y)
    assert searched.predict(X).shape == (60,)
    cubes = np.stack([x[:2] for x in X])
    by_score = GridSearchCV(RecurrentRegressor(**SMALL | {"epochs": 2}), {"cell": ["gru"]}, cv=2)
    assert by_score.fit(cubes, cubes[:, 0, 0]).predict(cubes).shape == (60,)


def test_missing_values_are_what_the_schema_says() -> None:
    X, y = ragged(40)
    frame = long(X).with_columns(b=pl.when(pl.col("a") > 1).then(None).otherwise("b"))
    order = [int(name[1:]) for name in frame["session"].unique(maintain_order=True)]
    with pytest.raises(InputError, match="missing"):
        RecurrentClassifier(**SMALL, time="at").fit(frame, y[order])
    schema = SchemaConfig({"a": Field("numeric"), "b": Field("numeric", missing="mean")})
    model = RecurrentClassifier(**SMALL, time="at", schema=schema).fit(frame, y[order])
    assert model.predict(frame).shape == (40,)


@pytest.mark.parametrize(
    ("X", "y", "said"),
    [
        ([np.zeros((2, 1)), np.zeros((0, 1))], ["a", "b"], "sequence 1"),
        ([np.zeros((2, 1)), np.zeros((2, 2))], ["a", "b"], "sequence 1"),
        ([np.zeros((2, 1)), np.full((2, 1), np.nan)], ["a", "b"], "NaN"),
        (np.zeros((4, 3, 1)), ["a", "b", "a"], "3 labels of 4 sequences with 12 events"),
        (np.zeros((4, 3, 1)), ["a", "a", "a", "a"], "every label is 'a'"),
        (np.zeros((2, 3, 1)), ["a", "b"], "none is left for validation"),
    ],
)
def test_what_makes_no_sequences_or_labels_is_refused(X: Any, y: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        RecurrentClassifier(**SMALL).fit(X, y)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"task": {"class_wait": "balanced"}}, "task.class_wait: unknown key .* class_weight"),
        ({"model": {"zoneouts": 0.1}}, "model.zoneouts: unknown key .* zoneout"),
        ({"train": {"optimiser": "adamw"}}, "train.optimiser: unknown key .* optimizer"),
    ],
)
def test_options_of_no_section_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        RecurrentClassifier(**options).fit(np.zeros((4, 3)), [0, 1, 0, 1])


def test_other_sequences_than_those_of_fit_are_refused() -> None:
    X, y = ragged(40)
    model = RecurrentClassifier(**SMALL | {"epochs": 1}).fit(X, y)
    for other in ([x[:, :1] for x in X], np.zeros((3, 2)), long(X)):
        with pytest.raises(InputError, match="fitted on"):
            model.predict(other)


def test_each_class_keeps_a_sequence_for_training() -> None:
    labels = np.array(["a"] * 40 + ["b"] * 20 + ["c"] * 2 + ["d"], dtype=object)
    for seed in range(20):
        chosen = held_out(labels, 0.25, seed)
        assert set(labels[~chosen]) == {"a", "b", "c", "d"}
        assert 9 <= (labels[chosen] == "a").sum() <= 11
        assert 4 <= (labels[chosen] == "b").sum() <= 6


def test_the_search_of_a_notebook_can_print_its_parameters() -> None:
    json.dumps(RecurrentRegressor(**SMALL).get_params())


def test_what_a_search_drew_with_numpy_goes_into_a_bundle(tmp_path: Path) -> None:
    drawn = {"hidden_size": np.int64(4), "epochs": np.int64(1), "learning_rate": np.float64(0.01)}
    X = np.random.default_rng(0).normal(size=(20, 6)).cumsum(axis=1)
    models = [
        RecurrentRegressor(**drawn).fit(X, X[:, 0]),
        RecurrentAnomalyDetector(**drawn, false_alarm_rate=np.float64(0.1)).fit(X),
        RecurrentForecaster(**drawn, horizons=np.array([1, 2]), season=np.int64(2)).fit(X),
        RecurrentRecommender(**drawn, k=np.int64(2)).fit([[1, 2, 3], [3, 1, 2]] * 5),
    ]
    for at, model in enumerate(models):
        model.to_bundle(tmp_path / str(at), "drawn", "1")
        assert bundles.load(tmp_path / str(at)).spec.layers[0].hidden_size == 4


@pytest.mark.parametrize(
    "options",
    [{"session": "car"}, {"time": "at"}, {"schema": SchemaConfig({"speed": Field("numeric")})}],
)
def test_a_frame_without_its_column_of_sessions_is_no_array(options: dict[str, Any]) -> None:
    frame = pd.DataFrame({"cra": np.repeat(np.arange(10), 4), "speed": np.arange(40.0)})
    with pytest.raises(InputError, match="missing_column"):
        RecurrentClassifier(**SMALL | options).fit(frame, np.arange(40) % 2)


@pytest.mark.parametrize(
    ("options", "field", "code"),
    [
        ({"cell": "gruu"}, "cell", "wrong_type"),
        ({"hidden_size": 8.5}, "hidden_size", "wrong_type"),
        ({"learning_rate": "fast"}, "learning_rate", "wrong_type"),
        ({"train": {"stride": "long"}}, "stride", "wrong_type"),
        ({"model": {"init": "none"}}, "init", "wrong_type"),
        ({"model": {"bias": "some"}}, "bias", "wrong_type"),
        ({"cell": "rnn", "model": {"activation": "sin"}}, "activation", "wrong_type"),
        ({"task": {"class_weight": "even"}}, "class_weight", "out_of_range"),
    ],
)
def test_a_choice_that_there_is_not_is_refused(
    options: dict[str, Any], field: str, code: str
) -> None:
    with pytest.raises(InputError) as refused:
        RecurrentClassifier(**SMALL | options).fit(np.zeros((4, 3)), [0, 1, 0, 1])
    assert (refused.value.code, refused.value.field) == (code, field)


def test_options_may_be_structs() -> None:
    settings = {"augment": Augment(jitter=0.1)}
    model = RecurrentClassifier(**SMALL | {"train": settings}).fit(np.eye(8), np.arange(8) % 2)
    assert model.train["augment"].jitter == 0.1
