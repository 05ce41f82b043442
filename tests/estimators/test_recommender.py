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
from tidegate.estimators import RecurrentRecommender

SMALL: dict[str, Any] = {"hidden_size": 16, "epochs": 8, "random_state": 0, "k": 3}


def walks(n: int = 80, items: int = 9) -> list[list[int]]:
    """Sessions that go one item on at each step."""
    rng = np.random.default_rng(0)
    return [
        [int((at + step) % items) for step in range(rng.integers(2, 7))]
        for at in rng.integers(items, size=n)
    ]


def long(X: list[list[int]]) -> pl.DataFrame:
    rows = [(f"s{at}", item) for at, session in enumerate(X) for item in session]
    return pl.DataFrame(rows, schema=["session", "item"], orient="row")


def test_it_names_what_comes_next() -> None:
    X = walks()
    model = RecurrentRecommender(**SMALL).fit(X)
    found = model.predict([[0, 1, 2], [7]])
    assert found.shape == (2, 3)
    assert found[:, 0].tolist() == [3, 8]
    assert sorted(model.items_.tolist()) == list(range(9))
    assert model.score(X) > 0.9
    np.testing.assert_array_equal(model.recommend(X, 1), model.predict(X)[:, :1])
    assert sorted(model.recommend([[4]], 9)[0].tolist()) == list(range(9))


def test_items_are_named_as_they_were_given() -> None:
    X = walks()
    words = [[f"item {item}" for item in session] for session in X]
    whole = RecurrentRecommender(**SMALL).fit(X)
    forms: list[Any] = [
        [np.array(session) for session in X],
        tuple(tuple(session) for session in X),
        long(X),
        pd.DataFrame(long(X).to_dict(as_series=False)),
    ]
    for form in forms:
        found = RecurrentRecommender(**SMALL).fit(form).predict(form)
        np.testing.assert_array_equal(found, whole.predict(X))
        assert found.dtype == int
    named = RecurrentRecommender(**SMALL).fit(words).predict(words)
    assert named.shape == (80, 3)
    assert set(named.ravel()) <= {f"item {item}" for item in range(9)}


def test_a_bundle_answers_what_predict_does(tmp_path: Path) -> None:
    X = walks()
    model = RecurrentRecommender(**SMALL).fit(long(X))
    model.to_bundle(tmp_path / "b", "walks", "1")
    expected = model.predict(X_long := long(X[:5]))
    for session, best in zip(X[:5], expected, strict=True):
        *_, said = streamed(tmp_path / "b", [{"item": str(item)} for item in session])
        assert [each["item"] for each in said["items"]] == [str(item) for item in best]
    loaded = bundles.load(tmp_path / "b")
    scored = scoring.answer(loaded, offline.open(loaded), scoring.read(loaded, X_long))
    last = np.cumsum([len(session) for session in X[:5]]) - 1
    assert scored["item_1"][last].tolist() == [str(item) for item in expected[:, 0]]


def test_unknown_items_are_read_and_never_named() -> None:
    X = walks()
    model = RecurrentRecommender(**SMALL).fit(X)
    assert set(model.predict([[1, 99], [99]]).ravel()) <= set(range(9))
    assert model.score([[1, 99]]) == 0.0


def test_options_of_the_task_are_those_of_a_configuration() -> None:
    X = walks()
    options = {"items": {"loss": "sampled", "negatives": 4, "shared_embedding": True}}
    items = RecurrentRecommender(**SMALL, task=options).fit(X).trained_.task.items
    assert (items.loss, items.negatives, items.top) == ("sampled", 4, 3)


def test_it_is_searched_by_sessions() -> None:
    model = RecurrentRecommender(**SMALL | {"epochs": 1})
    search = GridSearchCV(model, {"cell": ["gru", "lstm"]}, cv=2).fit(walks())
    assert search.predict([[1]]).shape == (1, 3)


@pytest.mark.parametrize(
    ("X", "code"),
    [
        ([], "no_events"),
        ([["a"], []], "no_events"),
        ("abc", "wrong_type"),
        (["abc", "de"], "wrong_type"),
        ([["a", None]], "wrong_type"),
        ([[1.5, 2.5]], "wrong_type"),
        ([[1, "1"], ["2"]], "wrong_type"),
        ([["a", "a"], ["a"]], "one_class"),
        ([["a"], ["b"], ["c"]], "no_labels"),
        (pl.DataFrame({"visit": ["a"], "item": ["b"]}), "missing_column"),
        (pl.DataFrame({"session": ["a"], "page": ["b"]}), "missing_column"),
    ],
)
def test_what_makes_no_sessions_is_refused(X: Any, code: str) -> None:
    with pytest.raises(InputError) as refused:
        RecurrentRecommender(**SMALL).fit(X)
    assert refused.value.code == code


def test_what_cannot_be_asked_is_refused() -> None:
    with pytest.raises(InputError, match="bidirectional"):
        RecurrentRecommender(**SMALL, bidirectional=True).fit(walks())
    with pytest.raises(InputError, match=r"k: 2\.5 has a wrong type"):
        RecurrentRecommender(**SMALL | {"k": 2.5}).fit(walks())
    with pytest.raises(InputError, match="k: 0"):
        RecurrentRecommender(**SMALL | {"k": 0}).fit(walks())
    model = RecurrentRecommender(**SMALL | {"epochs": 1}).fit(walks())
    for k in (0, 10):
        with pytest.raises(InputError, match="9 are known"):
            model.recommend([[1]], k)
    with pytest.raises(InputError, match="fitted on"):
        model.predict(long(walks()))
    with pytest.raises(InputError, match="no_labels"):
        model.score([[1], [2]])
