from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.model_selection import GridSearchCV
from streamed import streamed

from tidegate import bundle as bundles
from tidegate import scoring
from tidegate.answers.sampling import Sampling
from tidegate.engine import offline
from tidegate.engine.generation import generate
from tidegate.errors import InputError
from tidegate.estimators import RecurrentLanguageModel

SMALL: dict[str, Any] = {"hidden_size": 16, "epochs": 12, "random_state": 0}
TEXTS = ["tick tock " * 20] * 20


def test_it_goes_on_with_a_text() -> None:
    model = RecurrentLanguageModel(**SMALL).fit(TEXTS)
    assert model.generate("tick t", 8, temperature=0) == "ock tick"
    assert model.generate("tick t", 8, seed=3) == model.generate("tick t", 8, seed=3)
    assert model.predict(["tick to", "ti"]).tolist() == ["c", "c"]
    assert model.vocabulary_.tolist()[0] == ""
    assert set(model.vocabulary_) == {"", *"tick tock"}
    chances = model.predict_proba(["tick to", "ti"])
    assert chances.shape == (2, len(model.vocabulary_))
    np.testing.assert_allclose(chances.sum(axis=1), 1.0)


def test_what_it_knows_is_likelier_than_what_it_does_not() -> None:
    model = RecurrentLanguageModel(**SMALL).fit(TEXTS)
    assert 0 > model.score(["tick tock"]) > model.score(["kcit kcot"])
    assert model.perplexity(["tick tock"]) == pytest.approx(math.exp(-model.score(["tick tock"])))
    weights = model.trained_.network
    assert weights.embeddings[0].weight is weights.head.weight  # both ends share one matrix


def test_words_and_numbers_are_tokens_too() -> None:
    words = RecurrentLanguageModel(**SMALL | {"epochs": 2}, unit="word").fit(TEXTS)
    assert words.vocabulary_.tolist() == ["", "tick", "tock"]
    assert set(words.generate("tick", 3).split()) <= {"tick", "tock"}
    split = RecurrentLanguageModel(**SMALL | {"epochs": 2}).fit([text.split() for text in TEXTS])
    np.testing.assert_array_equal(split.predict_proba([["tick"]]), words.predict_proba(["tick"]))
    chords = RecurrentLanguageModel(**SMALL | {"epochs": 2}).fit([[60, 64, 67] * 5] * 10)
    assert set(chords.generate([60], 4)) <= {60, 64, 67}
    assert set(chords.predict([[60]]).tolist()) <= {"", 60, 64, 67}


def test_a_bundle_answers_what_predict_does(tmp_path: Path) -> None:
    rows = [(at, token) for at, text in enumerate(TEXTS) for token in text]
    frame = pl.DataFrame(rows, schema=["session", "token"], orient="row")
    model = RecurrentLanguageModel(**SMALL | {"epochs": 3}).fit(frame)
    model.to_bundle(tmp_path / "b", "clock", "1")
    part = frame.filter(pl.col("session") < 3)
    *_, said = streamed(tmp_path / "b", [{"token": token} for token in TEXTS[0]])
    assert said["token"] == model.predict(part)[0]
    chances = dict(zip(model.vocabulary_, model.predict_proba(part)[0].tolist(), strict=True))
    for token, chance in said["probabilities"].items():
        assert chances[token] == pytest.approx(chance, rel=1e-12)
    loaded = bundles.load(tmp_path / "b")
    scored = scoring.answer(loaded, offline.open(loaded), scoring.read(loaded, part))
    assert scored["token"][-1] == model.predict(part)[-1]
    drawn = generate(loaded, list("ti"), Sampling(0.7), seed=1)
    expected = model.generate("ti", 20, temperature=0.7, seed=1)
    assert "".join(next(drawn) for _ in range(20)) == expected


def test_it_is_searched_by_texts() -> None:
    model = RecurrentLanguageModel(**SMALL | {"epochs": 1})
    search = GridSearchCV(model, {"hidden_size": [4, 8]}, cv=2).fit(TEXTS)
    assert search.best_score_ < 0


@pytest.mark.parametrize(
    ("options", "X", "code"),
    [
        ({}, "one text", "wrong_type"),
        ({}, [], "no_events"),
        ({}, ["text", ""], "no_events"),
        ({"unit": "word"}, ["  "], "no_events"),
        ({}, [["a", None]], "wrong_type"),
        ({}, [3, 4], "wrong_type"),
        ({}, ["aaaa", "aa"], "one_class"),
        ({}, ["a", "b", "c"], "no_labels"),
        ({"unit": "line"}, ["a b"], "out_of_range"),
        ({"bidirectional": True}, TEXTS, "bad_config"),
        ({}, pl.DataFrame({"session": ["a"], "word": ["b"]}), "missing_column"),
    ],
)
def test_what_makes_no_texts_is_refused(options: dict[str, Any], X: Any, code: str) -> None:
    with pytest.raises(InputError) as refused:
        RecurrentLanguageModel(**SMALL | options).fit(X)
    assert refused.value.code == code


def test_what_cannot_be_gone_on_with_is_refused() -> None:
    model = RecurrentLanguageModel(**SMALL | {"epochs": 1}).fit(TEXTS)
    with pytest.raises(InputError, match="empty_prompt"):
        model.generate("")
    with pytest.raises(InputError, match="temperature"):
        model.generate("t", temperature=-1)
    with pytest.raises(InputError, match="no_labels"):
        model.score(["t"])
