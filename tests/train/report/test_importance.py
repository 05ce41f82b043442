"""What fields are worth: against evaluation of a mixed-up table, and scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import reportable
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.inspection import permutation_importance

from tidegate import answers
from tidegate.bundle import Bundle
from tidegate.cli.evaluate import measure as evaluate
from tidegate.engine import offline
from tidegate.spec import LayerSpec
from tidegate.train.report import importance

Make = Callable[..., Bundle]


def truth_of(bundle: Bundle, table: Any) -> np.ndarray:
    return answers.open(bundle.task).truth(table, bundle.schema)


def test_a_loss_is_that_of_the_mixed_up_table(make_bundle: Make, random_events: Any) -> None:
    bundle = make_bundle()
    table = reportable.table_of(bundle, random_events, [5, 1, 9, 30])
    found = importance.measure(bundle, table, truth_of(bundle, table), "auc", seed=4, repeats=2)
    _, metrics = evaluate(bundle, table)
    assert found.value == metrics["auc"]
    names = [*bundle.schema.names, importance.TIME]
    assert sorted(worth.field for worth in found.worths) == sorted(names)
    for worth in found.worths:
        rng = np.random.default_rng([4, names.index(worth.field)])
        mixed = [*importance.permuted(bundle, table, worth.field, rng, 2)]
        losses = [metrics["auc"] - evaluate(bundle, one)[1]["auc"] for one in mixed]
        assert worth.losses.tolist() == losses
    means = [float(worth.losses.mean()) for worth in found.worths]
    assert means == sorted(means, reverse=True)


def test_only_places_change(make_bundle: Make, random_events: Any) -> None:
    bundle = make_bundle()
    drivers = np.repeat(np.array(["ann", "bob", "cy"], dtype=object), [5, 2, 9])
    table = reportable.table_of(bundle, random_events, [5, 2, 9], driver=drivers)
    for name in bundle.schema.names:
        (mixed,) = importance.permuted(bundle, table, name, np.random.default_rng(2), 1)
        changed = [of for of in table.columns if mixed.columns[of] is not table.columns[of]]
        assert changed == [name]
        if name == "driver":  # constant: one of a session, from another session
            parts = [set(mixed.columns[name][a:b]) for a, b in ((0, 5), (5, 7), (7, 16))]
            assert [len(part) for part in parts] == [1, 1, 1]
            assert set().union(*parts) == {"ann", "bob", "cy"}
        else:
            assert sorted(map(str, mixed.columns[name])) == sorted(map(str, table.columns[name]))
    (mixed,) = importance.permuted(bundle, table, importance.TIME, np.random.default_rng(2), 1)
    first = table.offsets[:-1]
    assert sorted(mixed.times[first]) == pytest.approx(sorted(table.times[first]))
    inside = np.setdiff1d(np.arange(15), first[1:] - 1)
    gaps, before = np.diff(mixed.times)[inside], np.diff(table.times)[inside]
    assert sorted(gaps) == pytest.approx(sorted(before), abs=1e-5)


def test_a_field_that_the_model_does_not_see_is_worth_nothing(
    make_bundle: Make, random_events: Any
) -> None:
    bundle = make_bundle()
    weights = dict(bundle.weights)
    weights["layers.0.forward.input"] = weights["layers.0.forward.input"].copy()
    for place, column in enumerate(bundle.schema.columns):  # numbers come first in the input
        if column.startswith("load"):
            weights["layers.0.forward.input"][:, place] = 0.0
    blind = replace(bundle, weights=weights)
    table = reportable.table_of(bundle, random_events, [10] * 10)
    found = importance.measure(blind, table, truth_of(blind, table), "log_loss", repeats=3)
    losses = {worth.field: worth.losses for worth in found.worths}
    assert losses["load"].tolist() == [0.0, 0.0, 0.0]
    assert np.abs(losses["speed"]).min() > 0


def test_as_scikit_learn_does_it(make_bundle: Make, random_events: Any) -> None:
    """Sessions of one event are rows; both take the mean of many permutations."""
    bundle = make_bundle((LayerSpec("gru", 12),), seed=3)
    table = reportable.table_of(bundle, random_events, [1] * 150)
    scorer = offline.open(bundle, replay=False)
    numbers = offline.outputs(scorer, table.columns, table.times, table.offsets)
    centred = {**bundle.weights, "head.bias": bundle.weights["head.bias"] - np.median(numbers)}
    bundle = replace(bundle, weights=centred)  # so that both classes are answered
    scorer = offline.open(bundle, replay=False)
    numbers = offline.outputs(scorer, table.columns, table.times, table.offsets)
    said = (numbers[:, 0] > 0).astype(np.float64)
    table = replace(table, labels=np.array(bundle.task.classes, object)[said.astype(int)])
    names = [*bundle.schema.names]

    class Answers(ClassifierMixin, BaseEstimator):
        classes_ = np.array([0.0, 1.0])

        def fit(self, X: Any, y: Any) -> Answers:
            return self

        def predict(self, X: Any) -> Any:
            columns = {
                name: X[:, i] if table.columns[name].dtype == object else X[:, i].astype(float)
                for i, name in enumerate(names)
            }
            return (offline.outputs(scorer, columns, table.times, table.offsets)[:, 0] > 0) * 1.0

    rows = np.stack([table.columns[name].astype(object) for name in names], axis=1)
    theirs = permutation_importance(
        Answers(), rows, said, scoring="accuracy", n_repeats=40, random_state=0
    )
    ours = importance.measure(bundle, table, said, "accuracy", repeats=40)
    means = {worth.field: worth.losses.mean() for worth in ours.worths}
    assert ours.value == 1.0
    for name, mean, deviation in zip(
        names, theirs.importances_mean, theirs.importances_std, strict=True
    ):
        assert means[name] == pytest.approx(mean, abs=4 * deviation / np.sqrt(20) + 1e-9)
    assert max(means.values()) > 0.05


def test_the_sample_is_of_whole_sessions_with_labels(make_bundle: Make, random_events: Any) -> None:
    table = reportable.table_of(make_bundle(), random_events, [10] * 20)
    labelled = np.repeat(np.arange(20) % 2 == 0, 10)
    chosen = importance.sample(table, labelled, 45, seed=0)
    assert len(chosen) == 4
    assert set(chosen % 2) == {0}
    assert importance.sample(table, labelled, 3, seed=0).shape == (1,)
    assert len(importance.sample(table, labelled, 10**6, seed=0)) == 10
