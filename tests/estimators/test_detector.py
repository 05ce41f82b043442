from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from streamed import streamed

from tidegate import bundle as bundles
from tidegate import scoring
from tidegate.engine import offline
from tidegate.errors import InputError
from tidegate.estimators import RecurrentAnomalyDetector

SMALL: dict[str, Any] = {"hidden_size": 8, "epochs": 6, "random_state": 0}


def beats(n: int = 20, length: int = 30) -> np.ndarray:
    """Sequences of two features, the second a noise."""
    rng = np.random.default_rng(0)
    first = np.sin(np.arange(length) / 2) + rng.normal(scale=0.1, size=(n, length))
    return np.stack([first, rng.normal(size=(n, length))], axis=2)


def long(X: np.ndarray) -> pl.DataFrame:
    n, length, _ = X.shape
    columns = {"session": np.repeat(np.arange(n), length), "at": np.tile(np.arange(length), n)}
    return pl.DataFrame(columns | {"a": X[..., 0].ravel(), "b": X[..., 1].ravel()})


def test_it_finds_the_event_that_was_put_in() -> None:
    X = beats()
    model = RecurrentAnomalyDetector(**SMALL).fit(X)
    odd = X.copy()
    odd[3, 17, 0] += 4
    found = model.predict(odd)
    assert found.shape == (600,)
    assert found[3 * 30 + 17] == -1
    assert (found == 1).mean() > 0.95
    scores = model.score_samples(odd)
    assert scores.argmin() == 3 * 30 + 17
    np.testing.assert_array_equal(model.decision_function(odd), scores - model.offset_)
    np.testing.assert_array_equal(found == -1, scores < model.offset_)
    assert model.score(X) > model.score(odd)
    assert model.score(odd) == pytest.approx(scores.mean())


def test_a_sequence_is_as_odd_as_its_oddest_event() -> None:
    X = beats()
    X[3, 17, 0] += 4
    by_event = RecurrentAnomalyDetector(**SMALL).fit(beats())
    by_session = RecurrentAnomalyDetector(**SMALL, per="session").fit(beats())
    assert by_session.offset_ == by_event.offset_
    scores = by_session.score_samples(X)
    np.testing.assert_array_equal(scores, by_event.score_samples(X).reshape(20, 30).min(axis=1))
    assert by_session.predict(X)[3] == -1


def test_rows_of_a_frame_are_answered_in_their_order() -> None:
    frame = long(beats()).sample(fraction=1.0, shuffle=True, seed=1)
    for per, size in (("event", 600), ("session", 20)):
        model = RecurrentAnomalyDetector(**SMALL, per=per, time="at").fit(frame)
        scores = model.score_samples(frame)
        assert scores.shape == (size,)
        alone = frame.filter(pl.col("session") == frame["session"][0])
        shown = frame["session"] == frame["session"][0] if per == "event" else [True] + [False] * 19
        np.testing.assert_array_equal(model.score_samples(alone), scores[np.array(shown)])


def test_a_bundle_answers_what_predict_does(tmp_path: Path) -> None:
    X = beats()
    model = RecurrentAnomalyDetector(**SMALL).fit(X)
    X[0, 5, 0] += 9
    model.to_bundle(tmp_path / "b", "beats", "1")
    said = streamed(tmp_path / "b", [{"x0": a, "x1": b} for a, b in X[0].tolist()])
    np.testing.assert_array_equal([-each["score"] for each in said], model.score_samples(X[:1]))
    odd = np.array([each["anomalous"] for each in said])
    np.testing.assert_array_equal(odd, model.predict(X[:1]) == -1)
    assert odd.any()
    loaded = bundles.load(tmp_path / "b")
    frame = long(X).rename({"a": "x0", "b": "x1"})
    scored = scoring.answer(loaded, offline.open(loaded), scoring.read(loaded, frame, "session"))
    np.testing.assert_array_equal(-scored["score"], model.score_samples(X))
    np.testing.assert_array_equal(scored["anomalous"] == 1, model.predict(X) == -1)
    assert {"score of x0", "score of x1"} <= scored.keys()


def test_one_sequence_alone_is_learned_from() -> None:
    series = beats(1, 200)
    model = RecurrentAnomalyDetector(**SMALL | {"epochs": 2}).fit(series)
    assert model.trained_.train.lengths.tolist() == [180]
    assert model.trained_.valid.lengths.tolist() == [20]
    assert model.predict(series).shape == (200,)


def test_labelled_anomalies_are_not_learned_from() -> None:
    frame = long(beats()).with_columns(odd=(pl.col("session") < 10).cast(pl.Int8))
    model = RecurrentAnomalyDetector(**SMALL | {"epochs": 1}, label="odd", time="at").fit(frame)
    assert model.trained_.schema.names == ("a", "b")
    assert model.trained_.train.labels is not None
    assert set(model.trained_.train.labels) == {0.0, 1.0}
    assert model.predict(frame.drop("odd")).shape == (600,)
    wrong = frame.with_columns(odd=pl.lit(3))
    with pytest.raises(InputError, match="wrong_label"):
        RecurrentAnomalyDetector(**SMALL, label="odd", time="at").fit(wrong)
    with pytest.raises(InputError, match="missing_column"):
        RecurrentAnomalyDetector(**SMALL, label="odd").fit(beats())


def test_it_has_fit_predict_and_stands_in_a_pipeline() -> None:
    X = beats()
    model = RecurrentAnomalyDetector(**SMALL | {"epochs": 2}, fields=("x0",))
    assert model.fit_predict(X).shape == (600,)
    piped = make_pipeline(FunctionTransformer(lambda X: X * 2), model).fit(X)
    assert piped.score_samples(X).shape == (600,)
    assert piped.score(X) < 0


@pytest.mark.parametrize(
    ("options", "X", "code"),
    [
        ({}, np.zeros((5, 6)), "constant_series"),
        ({}, [np.ones((1, 1))], "bad_input"),
        ({"per": "row"}, beats(), "out_of_range"),
        ({"false_alarm_rate": 0.0}, beats(), "out_of_range"),
        ({"fields": ("heat",)}, beats(), "bad_config"),
        ({"bidirectional": True}, beats(), "bad_config"),
        ({}, [np.full((4, 1), np.nan)], "not_finite"),
    ],
)
def test_what_cannot_be_learned_is_refused(options: dict[str, Any], X: Any, code: str) -> None:
    with pytest.raises(InputError) as refused:
        RecurrentAnomalyDetector(**SMALL | options).fit(X)
    assert refused.value.code == code
