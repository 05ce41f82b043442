"""What the head's outputs become, against SciPy; and a state before the event."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_models import random_rows, random_weights, walk
from readouts import mark_missing
from scipy.special import log_softmax
from scipy.stats import norm

from tidegate.engine.readout import numbers
from tidegate.engine.reference import ReferenceModel
from tidegate.spec import CategoryInput, LayerSpec, ModelSpec, SurprisePart

LAYERS = (LayerSpec("gru", 5), LayerSpec("lstm", 4, learned_initial_state=True))
CATEGORIES = (CategoryInput(1, 6, 2),)
PARTS = (
    SurprisePart("gaussian", 0, 0, missing=2),
    SurprisePart("categorical", 1, 2, 6),
    SurprisePart("categorical", 3, 8, 2),
)


def surprise_of(**more) -> ModelSpec:
    return ModelSpec(4, LAYERS, 10, CATEGORIES, **{"readout": "surprise", "parts": PARTS, **more})


def rows_of(n: int) -> np.ndarray:
    rows = mark_missing(surprise_of(), random_rows(surprise_of(), n, 1))
    rows[:, 3] = np.arange(n) % 2
    return rows


def test_surprise_is_minus_the_log_likelihood() -> None:
    rows, outputs = rows_of(50), 3 * np.random.default_rng(0).normal(size=(50, 10))
    outputs[5, 1], outputs[6, 1] = 30, -30  # beyond the bounds of a scale
    found = numbers(surprise_of(), outputs, rows)
    scale = np.exp(np.clip(outputs[:, 1], -5, 5))
    gaussian = -norm.logpdf(rows[:, 0].astype(float), outputs[:, 0], scale)
    gaussian[rows[:, 2] == 1] = 0
    events, index, flag = np.arange(50), rows[:, 1].astype(int), rows[:, 3].astype(int)
    categorical = -log_softmax(outputs[:, 2:8], axis=1)[events, index]
    boolean = -log_softmax(outputs[:, 8:], axis=1)[events, flag]
    parts = np.stack([gaussian, categorical, boolean], axis=1)
    np.testing.assert_allclose(found[:, 1:], parts, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found[:, 0], parts.sum(axis=1), rtol=1e-12, atol=1e-12)
    assert (found[::3, 1] == 0).all()


@pytest.mark.parametrize("index", [0.5, -1.0, 2.0, 1e30])
def test_a_number_that_is_no_index_has_no_likelihood(index) -> None:
    rows = rows_of(2)
    rows[0, 3] = index
    found = numbers(surprise_of(), np.zeros((2, 10)), rows)
    assert np.isnan(found[0, [0, 3]]).all()
    assert np.isfinite(found[0, 1:3]).all()
    assert np.isfinite(found[1]).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_outputs_that_are_not_finite_give_no_number(value) -> None:
    outputs = np.zeros((2, 10))
    outputs[0, 7] = value
    for spec in (surprise_of(), surprise_of(readout="top", top=3, parts=())):
        found = numbers(spec, outputs, rows_of(2))
        assert np.isnan(found[0]).all()
        assert np.isfinite(found[1]).all()


def test_the_largest_are_given_as_they_stand() -> None:
    spec = surprise_of(readout="top", top=4, parts=())
    outputs = np.array([[0, 3, 1, 3, -2, 3, 7, 0, 0, 0], np.arange(10)], dtype=np.float64)
    found = numbers(spec, outputs, rows_of(2))
    assert found.tolist() == [[7, 3, 3, 3, 6, 1, 3, 5], [9, 8, 7, 6, 9, 8, 7, 6]]


def test_outputs_that_round_to_the_same_number_are_equal() -> None:
    spec = surprise_of(readout="top", top=2, parts=())
    outputs = np.array([[1.0, 1.0 + 1e-12, *[0.0] * 8]])
    assert numbers(spec, outputs, rows_of(1)).tolist() == [[1, 1, 0, 1]]


def test_the_head_reads_the_state_before_the_event() -> None:
    spec = surprise_of()
    weights, rows = random_weights(spec, 0), rows_of(8)
    model = ReferenceModel(spec, weights)
    states, at = np.empty((8, spec.state_size), np.float32), model.initial[None].copy()
    expected = []
    for t in range(8):
        states[t] = at[0]
        h = at[0, 5:9].astype(np.float64)
        outputs = weights["head.weight"] @ h + weights["head.bias"]
        expected.append(numbers(spec, outputs[None], rows[t : t + 1])[0])
        walk(model, spec, rows[t : t + 1], [0], at)
    assert (states[0] != 0).any()
    assert (np.diff(states, axis=0) != 0).any(axis=1).all()
    found = walk(model, spec, rows, [0] * 8, model.initial[None].copy())
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_skip_adds_a_product_with_the_rows_numbers() -> None:
    plain = ModelSpec(4, LAYERS, 10, CATEGORIES)
    spec = surprise_of(readout="outputs", parts=(), skip=True)
    weights, rows = random_weights(spec, 0), rows_of(8)
    without = {name: array for name, array in weights.items() if name != "head.skip"}
    found, before = (
        walk(model, spec, rows, range(8), np.zeros((8, spec.state_size), np.float32))
        for model in (ReferenceModel(spec, weights), ReferenceModel(plain, without))
    )
    added = rows[:, [0, 2, 3]] @ weights["head.skip"].T
    np.testing.assert_allclose(found, before + added, rtol=0, atol=1e-6)
