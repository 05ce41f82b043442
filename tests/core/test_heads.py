"""What becomes of the last layer's state: few outputs and many, bent or sorted."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_models import random_rows, random_weights, walk

from tidegate import core
from tidegate.engine.reference import ReferenceModel
from tidegate.spec import LayerSpec, ModelSpec

SIZES = [1, 3, 7, 8, 16, 300, 1000]


def model_of(outputs: int, hidden: int = 21, **options):
    spec = ModelSpec(4, (LayerSpec("gru", hidden),), outputs)
    weights = random_weights(spec, outputs)
    return spec, weights, core.pack(spec, weights, **options)


@pytest.mark.parametrize("outputs", SIZES)
def test_linear_outputs_are_those_of_the_equations(isa, outputs) -> None:
    spec, weights, model = model_of(outputs)
    rows, slots = random_rows(spec, 20, 1), np.arange(20) % 9
    states = [np.zeros((9, spec.state_size), dtype=np.float32) for _ in range(2)]
    found = walk(model, spec, rows, slots, states[0])
    truth = walk(ReferenceModel(spec, weights), spec, rows, slots, states[1])
    np.testing.assert_allclose(found, truth, rtol=0, atol=1e-5)


@pytest.mark.parametrize("outputs", SIZES)
def test_outputs_have_the_same_bits_in_any_company(isa, outputs) -> None:
    spec, _, model = model_of(outputs)
    rows = random_rows(spec, 70, 1)
    together = walk(model, spec, rows, range(70), np.zeros((70, spec.state_size), np.float32))
    for i in range(0, 70, 7):
        alone = walk(model, spec, rows[i : i + 1], [0], np.zeros((1, spec.state_size), np.float32))
        assert alone.tobytes() == together[i : i + 1].tobytes()


@pytest.mark.parametrize("outputs", [1, 40])
def test_int8_outputs_have_the_same_bits_on_every_set(isa_of_the_machine, outputs) -> None:
    spec, _, model = model_of(outputs, precision="int8")
    rows, found = random_rows(spec, 30, 1), set()
    for isa in core.isas():
        core.use_isa(isa)
        states = np.zeros((30, spec.state_size), np.float32)
        found.add(walk(model, spec, rows, range(30), states).tobytes())
    assert len(found) == 1


@pytest.mark.parametrize("outputs", SIZES)
def test_sigmoid_and_softmax(isa, outputs) -> None:
    spec, weights, model = model_of(outputs)
    rows = random_rows(spec, 25, 1)
    found = {}
    for head in ("linear", "sigmoid", "softmax"):
        model = core.pack(spec, weights, head=head)
        states = np.zeros((25, spec.state_size), np.float32)
        found[head] = walk(model, spec, rows, range(25), states).astype(np.float64)
    np.testing.assert_allclose(
        found["sigmoid"], 1 / (1 + np.exp(-found["linear"])), rtol=0, atol=1e-6
    )
    powers = np.exp(found["linear"] - found["linear"].max(axis=1, keepdims=True))
    np.testing.assert_allclose(
        found["softmax"], powers / powers.sum(axis=1, keepdims=True), rtol=0, atol=1e-6
    )


def test_softmax_of_far_numbers_and_of_none(isa) -> None:
    spec, weights, _ = model_of(9)
    weights["head.weight"][:] = 0
    weights["head.bias"][:] = [-1e30, 1e30, 0, 1e30, 5, -3, 0, 0, 0]
    found = walk(
        core.pack(spec, weights, head="softmax"),
        spec,
        random_rows(spec, 2, 0),
        [0, 1],
        np.array([[0.0] * 21, [np.nan] * 21], dtype=np.float32),
    )
    np.testing.assert_allclose(found[0], [0, 0.5, 0, 0.5, 0, 0, 0, 0, 0], atol=1e-30)
    assert np.isnan(found[1]).all()


@pytest.mark.parametrize("outputs", [8, 255, 256, 257, 1000])
@pytest.mark.parametrize("k", [1, 5, 8])
def test_the_k_largest(isa, outputs, k) -> None:
    spec, weights, _ = model_of(outputs)
    weights["head.weight"][5] = weights["head.weight"][3]  # equal ones go by index
    weights["head.bias"][5] = weights["head.bias"][3] = 40.0
    model = core.pack(spec, weights)
    rows, slots = random_rows(spec, 70, 1), np.arange(70) % 60
    states = [np.zeros((60, spec.state_size), np.float32) for _ in range(2)]
    linear = walk(model, spec, rows, slots, states[0])
    scores, indices = np.empty((70, k), np.float32), np.empty((70, k), np.int64)
    model.step_top(rows, slots, states[1], scores, indices)
    order = np.argsort(-linear, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(indices, order)
    np.testing.assert_array_equal(scores, np.take_along_axis(linear, order, axis=1))
    assert states[0].tobytes() == states[1].tobytes()


@pytest.mark.parametrize(
    ("outputs", "scores", "indices", "says"),
    [
        (3, (2, 1), (2, 1), "no large head"),
        (9, (2, 10), (2, 10), "scores: shape"),
        (9, (2, 0), (2, 0), "scores: shape"),
        (9, (1, 3), (1, 3), "scores: shape"),
        (9, (2, 3), (2, 2), "indices: shape"),
    ],
)
def test_wrong_shapes_of_the_largest_are_refused(outputs, scores, indices, says) -> None:
    spec, _, model = model_of(outputs)
    with pytest.raises(ValueError, match=says):
        model.step_top(
            random_rows(spec, 2, 0),
            np.arange(2),
            np.zeros((2, spec.state_size), np.float32),
            np.zeros(scores, np.float32),
            np.zeros(indices, np.int64),
        )


def test_an_unknown_head_is_refused() -> None:
    with pytest.raises(ValueError, match="'cubic' is not one of linear, sigmoid, softmax"):
        model_of(3, head="cubic")


def test_the_largest_of_outputs_of_which_one_is_not_finite_are_nan(isa) -> None:
    spec, weights, _ = model_of(300, hidden=16)
    weights["head.weight"][280] = 3e38
    model = core.pack(spec, weights)
    states = np.zeros((20, 16), dtype=np.float32)
    states[4] = 1.0
    scores, indices = np.empty((20, 3), np.float32), np.empty((20, 3), np.int64)
    rows = np.zeros((20, 4), dtype=np.float32)
    model.step_top(rows, np.arange(20), states, scores, indices)
    linear = walk(
        model, spec, rows, range(20), np.where(np.arange(20)[:, None] == 4, 1, 0 * states)
    )
    assert np.isnan(scores[4]).all() == (not np.isfinite(linear[4]).all())
    assert np.isnan(scores[4]).all()
    assert np.isfinite(np.delete(scores, 4, axis=0)).all()


def test_softmax_of_very_many_outputs_sums_to_one() -> None:
    spec, weights, _ = model_of(200_000, hidden=2)
    outputs = walk(
        core.pack(spec, weights, head="softmax"),
        spec,
        random_rows(spec, 1, 0),
        [0],
        np.zeros((1, 2), np.float32),
    )
    assert abs(outputs.astype(np.float64).sum() - 1) < 1e-6
