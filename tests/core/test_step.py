"""The C kernels against the float64 equations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate import core
from tidegate.engine.reference import ReferenceModel
from tidegate.spec import CategoryInput, LayerSpec, ModelSpec

ABSOLUTE = 1e-5  # what fp32 may differ from float64 by, states and outputs


def random_weights(spec: ModelSpec, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(0.0, 1.0 / np.sqrt(shape[-1]), shape).astype(np.float32)
        for name, shape in spec.weight_shapes().items()
    }


def random_rows(spec: ModelSpec, n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, spec.row_size)).astype(np.float32)
    for category in spec.categories:
        rows[:, category.column] = rng.integers(0, category.size, n)
    return rows


def walk(model, spec, rows, slots, states):
    outputs = np.empty((len(rows), spec.output_size), dtype=np.float32)
    model.step(rows, slots, states, outputs)
    return outputs


@st.composite
def specs(draw) -> ModelSpec:
    cells = st.sampled_from(["gru", "lstm", "rnn"])
    layers = draw(
        st.lists(
            st.builds(
                LayerSpec,
                cells,
                st.integers(1, 40),
                activation=st.sampled_from(["tanh", "relu"]),
            ),
            min_size=1,
            max_size=3,
        )
    )
    row_size = draw(st.integers(1, 12))
    columns = draw(st.lists(st.integers(0, row_size - 1), unique=True, max_size=3))
    categories = tuple(
        CategoryInput(c, draw(st.integers(1, 9)), draw(st.integers(1, 5))) for c in columns
    )
    return ModelSpec(row_size, tuple(layers), draw(st.integers(1, 4)), categories)


@settings(max_examples=60, deadline=None)
@given(specs(), st.integers(0, 2**31))
def test_native_equals_the_equations(spec: ModelSpec, seed: int) -> None:
    weights = random_weights(spec, seed)
    rows = random_rows(spec, 24, seed + 1)
    slots = np.random.default_rng(seed).integers(0, 3, 24)
    native, reference = (np.zeros((3, spec.state_size), dtype=np.float32) for _ in range(2))
    got = walk(core.pack(spec, weights), spec, rows, slots, native)
    truth = walk(ReferenceModel(spec, weights), spec, rows, slots, reference)
    # An unbounded (relu) state is compared relative to its size.
    scale = max(1.0, float(np.abs(reference).max()))
    np.testing.assert_allclose(native, reference, rtol=0, atol=ABSOLUTE * scale)
    np.testing.assert_allclose(got, truth, rtol=0, atol=4 * ABSOLUTE * scale)


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
@pytest.mark.parametrize("size", [1, 31, 64])
def test_a_session_has_the_same_bits_in_any_company(cell: str, size: int) -> None:
    spec = ModelSpec(7, (LayerSpec(cell, size), LayerSpec(cell, size)), 2)
    model = core.pack(spec, random_weights(spec, 3))
    rows = random_rows(spec, 200, 4)
    slots = np.random.default_rng(5).integers(0, 20, 200)
    together = np.zeros((20, spec.state_size), dtype=np.float32)
    outputs = walk(model, spec, rows, slots, together)
    for slot in range(20):
        alone = np.zeros((1, spec.state_size), dtype=np.float32)
        mine = np.flatnonzero(slots == slot)
        for i in mine:
            one = walk(model, spec, rows[i : i + 1], np.zeros(1, dtype=np.int64), alone)
            assert one.tobytes() == outputs[i : i + 1].tobytes()
        assert alone[0].tobytes() == together[slot].tobytes()


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
def test_a_poisoned_session_does_not_reach_another(cell: str) -> None:
    spec = ModelSpec(3, (LayerSpec(cell, 8),), 1)
    model = core.pack(spec, random_weights(spec, 0))
    rows = random_rows(spec, 6, 1)
    clean = np.zeros((2, spec.state_size), dtype=np.float32)
    outputs = walk(model, spec, rows, np.array([0, 1] * 3), clean)
    poisoned = np.zeros((2, spec.state_size), dtype=np.float32)
    poisoned[0] = np.nan
    mixed = walk(model, spec, rows, np.array([0, 1] * 3), poisoned)
    assert np.isnan(mixed[0::2]).all()
    assert mixed[1::2].tobytes() == outputs[1::2].tobytes()
    assert poisoned[1].tobytes() == clean[1].tobytes()


def _arguments(**changed):
    usual = {
        "rows": np.zeros((2, 3), dtype=np.float32),
        "slots": np.zeros(2, dtype=np.int64),
        "states": np.zeros((1, 4), dtype=np.float32),
        "outputs": np.zeros((2, 1), dtype=np.float32),
    }
    return {**usual, **changed}


@pytest.mark.parametrize(
    ("changed", "error", "says"),
    [
        ({"rows": np.zeros((2, 4), np.float32)}, ValueError, "rows: width"),
        ({"slots": np.array([0, 1])}, ValueError, "slots: outside"),
        ({"slots": np.array([0, -1])}, ValueError, "slots: outside"),
        ({"slots": np.zeros(3, np.int64)}, ValueError, "slots: length"),
        ({"states": np.zeros((1, 5), np.float32)}, ValueError, "states: width"),
        ({"outputs": np.zeros((2, 2), np.float32)}, ValueError, "outputs: shape"),
        ({"outputs": np.zeros((2, 1))}, TypeError, "incompatible"),
        ({"states": np.zeros((1, 8), np.float32)[:, ::2]}, TypeError, "incompatible"),
        ({"rows": np.full((2, 3), 7, np.float32)}, ValueError, "event 0 has a category index"),
        ({"rows": np.full((2, 3), np.nan, np.float32)}, ValueError, "event 0 has a category"),
    ],
)
def test_wrong_arrays_are_refused_and_nothing_changes(changed, error, says) -> None:
    spec = ModelSpec(3, (LayerSpec("gru", 4),), 1, (CategoryInput(2, 5, 2),))
    model = core.pack(spec, random_weights(spec, 0))
    arguments = _arguments(**changed)
    before = {name: array.copy() for name, array in arguments.items()}
    with pytest.raises(error, match=says):
        model.step(**arguments)
    for name, array in arguments.items():
        np.testing.assert_array_equal(array, before[name])


def test_read_only_outputs_are_refused() -> None:
    spec = ModelSpec(3, (LayerSpec("gru", 4),), 1)
    outputs = np.zeros((2, 1), dtype=np.float32)
    outputs.flags.writeable = False
    with pytest.raises(TypeError):
        core.pack(spec, random_weights(spec, 0)).step(**_arguments(outputs=outputs))


def zeros(*shapes):
    return [np.zeros(shape, np.float32) for shape in shapes]


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("add_layer", ["gru", *zeros((3, 12), (4, 12), (12,), (12,))]),
        ("add_layer", ["gru", *zeros((2, 12), (4, 13), (12,), (12,))]),
        ("add_layer", ["gru", *zeros((2, 12), (4, 12), (11,), (12,))]),
        ("add_layer", ["tree", *zeros((2, 12), (4, 12), (12,), (12,))]),
        ("set_head", zeros((4, 1), (1,))),
        ("add_category", [2, *zeros((5, 12))]),
    ],
)
def test_weights_that_do_not_fit_are_refused(method: str, arguments: list) -> None:
    model = core.Model(3, [0, 1])
    with pytest.raises(ValueError, match=r"shape|length|comes after|is not one of"):
        getattr(model, method)(*arguments)
