from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.model_selection import GridSearchCV
from streamed import streamed

from tidegate import bundle as bundles
from tidegate import scoring
from tidegate.engine import offline
from tidegate.errors import InputError
from tidegate.estimators import RecurrentTagger

SMALL: dict[str, Any] = {"hidden_size": 8, "epochs": 16, "batch_tokens": 64, "random_state": 0}
KINDS = {"Ann": "B-PER", "Bo": "B-PER", "Rio": "B-LOC", "Oslo": "B-LOC"}


def sentences(n: int = 80) -> tuple[list[list[str]], list[list[str]]]:
    rng = np.random.default_rng(0)
    words = [*KINDS, "met", "in"]
    X = [rng.choice(words, size=rng.integers(1, 6)).tolist() for _ in range(n)]
    return X, [[KINDS.get(word, "O") for word in sentence] for sentence in X]


def long(X: list[list[str]]) -> pl.DataFrame:
    rows = [(f"s{at}", word) for at, sentence in enumerate(X) for word in sentence]
    return pl.DataFrame(rows, schema=["session", "word"], orient="row")


def test_it_labels_each_word() -> None:
    X, y = sentences()
    model = RecurrentTagger(**SMALL).fit(X, y)
    assert model.predict([["Bo", "in", "Rio"], ["Oslo"]]) == [["B-PER", "O", "B-LOC"], ["B-LOC"]]
    assert model.classes_.tolist() == ["B-LOC", "B-PER", "O"]
    chances = model.predict_proba(X[:2])
    assert [each.shape for each in chances] == [(len(X[0]), 3), (len(X[1]), 3)]
    np.testing.assert_allclose(chances[0].sum(axis=1), 1.0)
    assert model.trained_.result.watch == "f1"
    assert model.score(X, y) > 0.9


def test_rows_of_a_frame_are_labelled_in_their_order() -> None:
    X, y = sentences()
    flat = [label for labels in y for label in labels]
    frame = long(X)
    model = RecurrentTagger(**SMALL).fit(frame, flat)
    found = model.predict(frame)
    assert found.shape == (len(frame),)
    assert model.score(frame, pl.Series(flat)) > 0.9
    assert model.predict_proba(frame).shape == (len(frame), 3)


def test_features_are_labelled_and_labels_keep_their_kind() -> None:
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(int(rng.integers(2, 6)), 2)) for _ in range(80)]
    y = [(x[:, 0] > 0) for x in X]
    model = RecurrentTagger(**SMALL).fit(X, y)
    assert model.classes_.tolist() == [False, True]
    assert type(model.predict(X)[0][0]) is bool
    assert model.score(X, y) > 0.9
    numbers = RecurrentTagger(**SMALL, bidirectional=True).fit(X, [each.astype(int) for each in y])
    assert set(numbers.predict(X)[0]) <= {0, 1}
    cube = np.stack([x[:2] for x in X])
    flat = RecurrentTagger(**SMALL).fit(cube, (cube[..., 0] > 0).astype(int))
    assert np.array(flat.predict(cube)).shape == (80, 2)


def test_a_label_may_be_missing() -> None:
    X, y = sentences()
    some: list[list[Any]] = [[None, *labels[1:]] for labels in y]
    model = RecurrentTagger(**SMALL).fit(X, some)
    assert None not in model.classes_
    assert model.score(X, some) > 0.5
    flat = pd.Series([label for labels in some for label in labels], dtype="string")
    assert RecurrentTagger(**SMALL | {"epochs": 1}).fit(long(X), flat).classes_.tolist() == [
        "B-LOC",
        "B-PER",
        "O",
    ]


def test_a_bundle_answers_what_predict_does(tmp_path: Path) -> None:
    X, y = sentences()
    frame = long(X)
    model = RecurrentTagger(**SMALL).fit(frame, [label for labels in y for label in labels])
    model.to_bundle(tmp_path / "b", "names", "1")
    expected = model.predict(frame).tolist()
    said = [
        each["label"]
        for sentence in X[:10]
        for each in streamed(tmp_path / "b", [{"word": word} for word in sentence])
    ]
    assert said == expected[: len(said)]
    loaded = bundles.load(tmp_path / "b")
    scored = scoring.answer(loaded, offline.open(loaded), scoring.read(loaded, frame))
    assert scored["label"].tolist() == expected


def test_it_is_searched_by_sequences() -> None:
    X, y = sentences(40)
    model = RecurrentTagger(**SMALL | {"epochs": 1})
    assert GridSearchCV(model, {"cell": ["gru"]}, cv=2).fit(X, y).best_score_ >= 0


@pytest.mark.parametrize(
    ("X", "y", "code"),
    [
        ([], [], "no_events"),
        ([["a"], []], [["x"], []], "no_events"),
        ([[], ["a"]], [[], ["x"]], "no_events"),
        ([["a", 1.5]], [["x", "y"]], "wrong_type"),
        ([["a", "b"]], [["x"]], "bad_labels"),
        ([["a", "b"]], [["x", "y"], ["x"]], "bad_labels"),
        ([["a", "b"]], ["x", 3], "bad_labels"),
        ([["a", "b"]], [[None, None]], "bad_labels"),
        ([["a", "b"]], [["x", 1]], "bad_labels"),
        ([["a", "b"], ["b"]], [["x", "x"], ["x"]], "one_class"),
        (pl.DataFrame({"session": ["a", "a"], "word": ["b", "c"]}), ["x"], "bad_labels"),
    ],
)
def test_what_makes_no_labelled_sequences_is_refused(X: Any, y: Any, code: str) -> None:
    with pytest.raises(InputError) as refused:
        RecurrentTagger(**SMALL).fit(X, y)
    assert refused.value.code == code


def test_a_label_that_training_never_saw_is_refused() -> None:
    X, y = sentences(40)
    model = RecurrentTagger(**SMALL | {"epochs": 1}).fit(X, y)
    with pytest.raises(InputError, match="unknown_class"):
        model.score([["Ann"]], [["B-ORG"]])
    named = {"classes": ["O", "B-PER", "B-LOC", "B-ORG"]}
    model = RecurrentTagger(**SMALL, task=named).fit(X, y)
    assert model.classes_.tolist() == named["classes"]
    assert model.score([["Ann"]], [["B-ORG"]]) == 0.0
