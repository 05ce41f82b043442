from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from streamed import streamed

from tidegate import estimators, scoring
from tidegate.engine import offline
from tidegate.engine.embed import embedder
from tidegate.errors import InputError
from tidegate.estimators import (
    RecurrentAnomalyDetector,
    RecurrentClassifier,
    RecurrentEmbedder,
    RecurrentForecaster,
    RecurrentLanguageModel,
    RecurrentRecommender,
    RecurrentRegressor,
    RecurrentTagger,
)

SMALL: dict[str, Any] = {"hidden_size": 4, "epochs": 2, "random_state": 0}


def walks(n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    X = np.random.default_rng(0).normal(size=(n, 5, 2)).cumsum(axis=1)
    return X, (X[:, -1, 0] > 0).astype(int)


WORDS = [["a", "b", "a"], ["b", "a"], ["b", "b", "a", "a"]] * 10


@pytest.mark.parametrize(
    ("estimator", "X", "y"),
    [
        (RecurrentClassifier(**SMALL), *walks()),
        (RecurrentClassifier(**SMALL, bidirectional=True), *walks()),
        (RecurrentRegressor(**SMALL, num_layers=2), *walks()),
        (RecurrentForecaster(**SMALL, horizons=1), walks()[0], None),
        (RecurrentAnomalyDetector(**SMALL), walks()[0], None),
        (RecurrentRecommender(**SMALL), WORDS, None),
        (RecurrentLanguageModel(**SMALL), WORDS, None),
        (RecurrentTagger(**SMALL), WORDS, WORDS),
        (None, walks()[0], None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_estimator_gives_its_state(estimator: Any, X: Any, y: Any) -> None:
    made = RecurrentEmbedder(estimator).fit(X, y)
    size = 32 if estimator is None else 8 if estimator.bidirectional else 4
    assert made.transform(X).shape == (len(X), size)
    assert made.get_feature_names_out().tolist() == [f"h{at}" for at in range(size)]
    by_event = made.set_params(per="event").transform(X)
    ends = np.cumsum([len(x) for x in X]) - 1
    np.testing.assert_array_equal(by_event[ends], made.set_params(per="session").transform(X))
    again = pickle.loads(pickle.dumps(made))
    np.testing.assert_array_equal(again.transform(X), made.transform(X))
    assert not hasattr(estimator, "trained_")  # it was cloned


def test_every_estimator_is_among_those() -> None:
    marks = test_every_estimator_gives_its_state.pytestmark  # type: ignore[attr-defined]
    given = {type(case[0]).__name__ for case in marks[0].args[1]}
    assert given - {"NoneType"} == set(estimators.__all__) - {"RecurrentEmbedder"}


def test_it_stands_before_another_model() -> None:
    X, y = walks(120)
    detector = RecurrentAnomalyDetector(**SMALL)
    piped = make_pipeline(
        RecurrentEmbedder(detector), HistGradientBoostingClassifier(min_samples_leaf=5)
    )
    assert piped.fit(X[:80], y[:80]).score(X[80:], y[80:]) > 0.6
    names = {"recurrentembedder__estimator__hidden_size": [2, 4]}
    search = GridSearchCV(piped, names, cv=2).fit(X, y)
    assert search.predict(X).shape == (120,)
    frozen = RecurrentEmbedder(FrozenEstimator(detector.fit(X[:60])))
    again = make_pipeline(frozen, RandomForestRegressor(5)).fit(X[60:], y[60:])
    np.testing.assert_array_equal(again[0].transform(X), detector.states(X, "session"))
    with pytest.raises(InputError, match="per"):
        detector.states(X, "sequence")


def test_its_bundle_answers_with_the_state(tmp_path: Path) -> None:
    X, y = walks()
    made = RecurrentEmbedder(RecurrentClassifier(**SMALL), per="event").fit(X, y)
    saved = made.to_bundle(tmp_path / "b", "state", "1")
    assert saved.task.name == "embed"
    said = streamed(tmp_path / "b", [{"x0": a, "x1": b} for a, b in X[0].tolist()])
    np.testing.assert_array_equal([each["state"] for each in said], made.transform(X[:1]))
    frame = pl.DataFrame({"session": ["s"] * 5, "x0": X[0, :, 0], "x1": X[0, :, 1]})
    scored = scoring.answer(saved, offline.open(saved), scoring.read(saved, frame, "session"))
    assert scored["h3"].tolist() == made.transform(X[:1])[:, 3].tolist()
    # And what `tidegate embed` makes of the model's own bundle is the same.
    source = made.estimator_.to_bundle(tmp_path / "source", "walks", "1")
    typed = {"x0": X[0, :, 0].copy(), "x1": X[0, :, 1].copy()}
    found = offline.outputs(
        offline.open(embedder(source)), typed, np.zeros(5), np.array([0, 5], dtype=np.int64)
    )
    np.testing.assert_array_equal(found, made.transform(X[:1]))


def test_sessions_of_a_frame_stand_in_their_order() -> None:
    X, _ = walks(10)
    columns = {"session": np.repeat(np.arange(10), 5), "a": X[..., 0].ravel()}
    frame = pl.DataFrame(columns).sample(fraction=1.0, shuffle=True, seed=1)
    made = RecurrentEmbedder(RecurrentAnomalyDetector(**SMALL)).fit(frame)
    first = frame.filter(pl.col("session") == frame["session"][0])
    np.testing.assert_array_equal(made.transform(frame)[:1], made.transform(first))


def test_what_gives_no_states_is_refused() -> None:
    X, y = walks()
    with pytest.raises(InputError, match="RandomForestRegressor has no states"):
        RecurrentEmbedder(RandomForestRegressor()).fit(X, y)
    with pytest.raises(InputError, match="per"):
        RecurrentEmbedder(RecurrentClassifier(**SMALL), per="day").fit(X, y)
