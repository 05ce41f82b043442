"""The kernels of every instruction set against the float64 equations, and against themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kernel_models import (
    CELLS,
    GRID,
    options_of,
    random_rows,
    random_weights,
    specs,
    walk,
)

from tidegate import core
from tidegate.engine.reference import ReferenceModel
from tidegate.spec import CategoryInput, LayerSpec, ModelSpec

ABSOLUTE = 1e-5  # what fp32 may differ from float64 by, states and outputs
PRECISIONS = ["fp32", "bf16", "int8"]
TYPICAL = {"bf16": 0.01, "int8": 0.02}  # root mean square; steps of the coarser inputs and weights

every_set = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def both(spec: ModelSpec, seed: int, precision: str, n: int = 24, sessions: int = 3):
    """States and outputs of the kernels and of the reference."""
    weights = random_weights(spec, seed)
    rows = random_rows(spec, n, seed + 1)
    slots = np.random.default_rng(seed).integers(0, sessions, n)
    models = (core.pack(spec, weights, precision), ReferenceModel(spec, weights))
    states = [np.tile(model.initial, (sessions, 1)) for model in models]
    outputs = [walk(m, spec, rows, slots, s) for m, s in zip(models, states, strict=True)]
    # An unbounded state (relu, residual) is compared relative to its size.
    scale = max(1.0, float(np.abs(outputs[1]).max()), float(np.abs(states[1]).max()))
    return states, outputs, scale


@every_set
@given(specs(), st.integers(0, 2**31))
def test_native_equals_the_equations(isa: str, spec: ModelSpec, seed: int) -> None:
    states, outputs, scale = both(spec, seed, "fp32")
    # LayerNorm of a few nearly equal numbers divides by their small spread.
    loose = 100 if any(layer.layer_norm for layer in spec.layers) else 1
    np.testing.assert_allclose(*states, rtol=0, atol=loose * ABSOLUTE * scale)
    np.testing.assert_allclose(*outputs, rtol=0, atol=4 * loose * ABSOLUTE * scale)


@pytest.mark.parametrize(("cell", "option"), GRID)
@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_fewer_bits_stay_near_the_equations(isa, cell, option, precision) -> None:
    layer = LayerSpec(**CELLS[cell], **options_of(cell)[option], hidden_size=24)
    spec = ModelSpec(24, (layer, layer), 3)
    states, outputs, scale = both(spec, 5, precision)
    for found, truth in (states, outputs):
        off = np.sqrt(np.mean((found.astype(np.float64) - truth) ** 2))
        assert 0 < off < TYPICAL[precision] * scale * (3 if option == "layer_norm" else 1)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("size", [1, 31, 64, 100])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_session_has_the_same_bits_in_any_company(isa, cell, size, precision) -> None:
    layer = LayerSpec(**CELLS[cell], hidden_size=size)
    spec = ModelSpec(7, (layer, layer), 2, (CategoryInput(3, 5, 2),))
    model = core.pack(spec, random_weights(spec, 3), precision)
    rows = random_rows(spec, 200, 4)
    slots = np.random.default_rng(5).integers(0, 40, 200)
    together = np.zeros((40, spec.state_size), dtype=np.float32)
    outputs = walk(model, spec, rows, slots, together)
    for slot in range(0, 40, 3):
        alone = np.zeros((1, spec.state_size), dtype=np.float32)
        mine = np.flatnonzero(slots == slot)
        for i in mine:
            one = walk(model, spec, rows[i : i + 1], [0], alone)
            assert one.tobytes() == outputs[i : i + 1].tobytes()
        assert alone[0].tobytes() == together[slot].tobytes()


@every_set
@given(specs(largest=70), st.integers(1, 90), st.sampled_from(PRECISIONS), st.integers(0, 999))
def test_any_batch_and_a_run_give_the_same_bits(isa, spec, n, precision, seed) -> None:
    """Many sessions at once, each with equal rows, against one session in one run."""
    model = core.pack(spec, random_weights(spec, seed), precision)
    rows = random_rows(spec, 5, seed)
    state = np.zeros(spec.state_size, dtype=np.float32)
    outputs = np.empty((5, spec.output_size), dtype=np.float32)
    model.run(rows, state, outputs)
    states = np.zeros((n, spec.state_size), dtype=np.float32)
    for t in range(5):
        found = walk(model, spec, np.repeat(rows[t : t + 1], n, axis=0), range(n), states)
        assert found.tobytes() == np.repeat(outputs[t : t + 1], n, axis=0).tobytes()
    assert states.tobytes() == np.tile(state, (n, 1)).tobytes()


@settings(every_set, max_examples=40)
@given(
    st.sampled_from(list(CELLS)),
    st.integers(1, 700),
    st.integers(1, 700),
    st.sampled_from(PRECISIONS),
    st.integers(0, 999),
)
def test_any_size(isa_of_the_machine, cell, inputs, hidden, precision, seed) -> None:
    """Sizes that are no multiple of any vector, on every set; sets agree as promised."""
    spec = ModelSpec(inputs, (LayerSpec(**CELLS[cell], hidden_size=hidden),), 2)
    weights = random_weights(spec, seed)
    rows, slots = random_rows(spec, 21, seed), np.arange(21) % 20
    truth = np.zeros((20, spec.state_size), dtype=np.float32)
    walk(ReferenceModel(spec, weights), spec, rows, slots, truth)
    found = {}
    for isa in core.isas():
        core.use_isa(isa)
        states = np.zeros((20, spec.state_size), dtype=np.float32)
        walk(core.pack(spec, weights, precision), spec, rows, slots, states)
        tolerance = {"fp32": ABSOLUTE, "bf16": 0.04, "int8": 0.06}[precision]
        scale = max(1.0, float(np.abs(truth).max()))
        np.testing.assert_allclose(states, truth, rtol=0, atol=tolerance * scale)
        found[isa] = states.tobytes()
    fused = {isa: bits for isa, bits in found.items() if "scalar" not in isa and "emul" not in isa}
    if precision == "int8":
        assert len(set(found.values())) == 1
    elif precision == "fp32":
        assert len(set(fused.values())) <= 1


@pytest.mark.parametrize(("cell", "option"), GRID)
def test_int8_has_the_same_bits_on_every_set(isa_of_the_machine, cell, option) -> None:
    layer = LayerSpec(**CELLS[cell], **options_of(cell)[option], hidden_size=37)
    spec = ModelSpec(37, (layer, layer), 3)
    weights, rows = random_weights(spec, 1), random_rows(spec, 300, 2)
    slots = np.random.default_rng(3).integers(0, 50, 300)
    found = set()
    for isa in core.isas():
        core.use_isa(isa)
        states = np.zeros((50, spec.state_size), dtype=np.float32)
        outputs = walk(core.pack(spec, weights, "int8"), spec, rows, slots, states)
        found.add(states.tobytes() + outputs.tobytes())
    assert len(found) == 1


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_a_poisoned_session_does_not_reach_another(isa, cell, precision, poison) -> None:
    spec = ModelSpec(3, (LayerSpec(**CELLS[cell], hidden_size=20),), 1)
    model = core.pack(spec, random_weights(spec, 0), precision)
    rows, slots = random_rows(spec, 60, 1), np.arange(60) % 20
    clean = np.zeros((20, spec.state_size), dtype=np.float32)
    outputs = walk(model, spec, rows, slots, clean)
    poisoned = np.zeros((20, spec.state_size), dtype=np.float32)
    poisoned[7] = poison
    rows[9] = poison
    mixed = walk(model, spec, rows, slots, poisoned)
    healthy = (slots != 7) & (slots != 9)
    assert mixed[healthy].tobytes() == outputs[healthy].tobytes()
    if np.isnan(
        poison
    ):  # nor does it vanish; but where int8 alone reads the state, NaN counts as 0
        assert np.isnan(np.concatenate([mixed[9], poisoned[9]])).any()
        if (cell, precision) != ("rnn_tanh", "int8"):
            assert np.isnan(np.concatenate([mixed[7], poisoned[7]])).any()


def test_int8_inputs_of_any_size_count(isa: str) -> None:
    """Each event's inputs have a scale of their own: 1e-20 or 1e20 times as large is no matter."""
    spec = ModelSpec(5, (LayerSpec("rnn", 18, activation="relu", bias="none"),), 1)
    weights = random_weights(spec, 0)
    weights["head.bias"][:] = 0
    model = core.pack(spec, weights, "int8")
    rows = random_rows(spec, 4, 1)
    ones, many = (np.zeros((4, spec.state_size), dtype=np.float32) for _ in range(2))
    truth = walk(model, spec, rows, range(4), ones)
    for power in (2.0**-66, 2.0**66):
        many[:] = 0
        found = walk(model, spec, (rows * power).astype(np.float32), range(4), many)
        np.testing.assert_allclose(found / power, truth, rtol=1e-4)


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
        ({"rows": np.zeros((2, 3))}, TypeError, "not a C-contiguous"),
        ({"rows": np.zeros((3, 2), np.float32).T}, TypeError, "not a C-contiguous"),
        ({"slots": np.array([0, 1])}, ValueError, "slots: outside"),
        ({"slots": np.array([0, -1])}, ValueError, "slots: outside"),
        ({"slots": np.zeros(3, np.int64)}, ValueError, "slots: length"),
        ({"slots": np.zeros(2, np.int32)}, TypeError, "not a C-contiguous"),
        ({"states": np.zeros((1, 5), np.float32)}, ValueError, "states: width"),
        ({"outputs": np.zeros((2, 2), np.float32)}, ValueError, "outputs: shape"),
        ({"outputs": np.zeros((2, 1))}, TypeError, "not a C-contiguous"),
        ({"states": np.zeros((1, 8), np.float32)[:, ::2]}, TypeError, "not a C-contiguous"),
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


@pytest.mark.parametrize(
    ("part", "value", "says"),
    [
        ("initial", np.zeros(7, np.float32), "initial: length"),
        ("initial", np.full(8, np.nan, np.float32), "initial: holds"),
        ("peephole", np.zeros(51, np.float32), "peephole: 96 numbers"),
        ("peephole", np.full(12, np.inf, np.float32), "peephole: holds"),
    ],
)
def test_what_a_layer_has_learned_fits_it(part, value, says) -> None:
    layer = LayerSpec("lstm", 4, peephole=True, learned_initial_state=True)
    spec = ModelSpec(3, (layer,), 1)
    weights = {**random_weights(spec, 0), f"layers.0.forward.{part}": value}
    with pytest.raises(ValueError, match=says):
        core.pack(spec, weights)


@pytest.mark.parametrize("option", ["zoneout", "zoneout_cell"])
def test_a_share_that_is_1_in_fp32_is_refused(option) -> None:
    spec = ModelSpec(3, (LayerSpec("lstm", 4, **{option: 1 - 1e-12}),), 1)
    with pytest.raises(ValueError, match=f"{option}: not in 0 to 1"):
        core.pack(spec, random_weights(spec, 0))


def test_read_only_outputs_are_refused() -> None:
    spec = ModelSpec(3, (LayerSpec("gru", 4),), 1)
    outputs = np.zeros((2, 1), dtype=np.float32)
    outputs.flags.writeable = False
    with pytest.raises(TypeError):
        core.pack(spec, random_weights(spec, 0)).step(**_arguments(outputs=outputs))


@pytest.mark.parametrize("fast", [False, True])
def test_activations_are_as_near_as_they_say(isa: str, fast: bool) -> None:
    x = np.concatenate(
        [np.linspace(-20, 20, 200_001), [0.0, -0.0, 1e4, -1e4, 3e38, -3e38, 1e-30]]
    ).astype(np.float32)
    sigmoid, tanh = np.empty_like(x), np.empty_like(x)
    core.activate(fast, x, sigmoid, tanh)
    wide = x.astype(np.float64)
    sigmoid_error = np.abs(sigmoid - 1 / (1 + np.exp(-np.clip(wide, -700, 700)))).max()
    tanh_error = np.abs(tanh - np.tanh(wide)).max()
    assert sigmoid_error < (2.6e-5 if fast else 2e-7)
    assert tanh_error < (5.1e-5 if fast else 4e-7)
    assert (sigmoid[x == 0] == 0.5).all()
    assert (tanh[x == 0] == 0.0).all()


def test_activations_pass_a_nan_on(isa: str) -> None:
    x = np.array([1.0, np.nan, -2.0], dtype=np.float32)
    sigmoid, tanh = np.empty_like(x), np.empty_like(x)
    core.activate(False, x, sigmoid, tanh)
    assert np.isnan(sigmoid).tolist() == np.isnan(tanh).tolist() == [False, True, False]


def test_fast_activations_change_little(isa: str) -> None:
    spec = ModelSpec(6, (LayerSpec("gru", 40), LayerSpec("lstm", 30)), 1)
    weights, rows = random_weights(spec, 0), random_rows(spec, 50, 1)
    found = []
    for fast in (False, True):
        model = core.pack(spec, weights, fast_activations=fast)
        found.append(walk(model, spec, rows, [0] * 50, np.zeros((1, spec.state_size), np.float32)))
    assert 0 < np.abs(found[0] - found[1]).max() < 1e-3


def test_rows_that_a_call_would_write_are_refused() -> None:
    """Their category indices are checked before the call, and read while it writes."""
    spec = ModelSpec(3, (LayerSpec("gru", 4),), 3, (CategoryInput(2, 5, 2),))
    model = core.pack(spec, random_weights(spec, 0))
    memory = np.zeros((301, 3), dtype=np.float32)
    states, slots = np.zeros((1, 4), dtype=np.float32), np.zeros(300, dtype=np.int64)
    with pytest.raises(ValueError, match="rows: share memory"):
        model.step(memory[:-1], slots, states, memory[1:])
    with pytest.raises(ValueError, match="rows: share memory"):
        model.run(memory[:-1], states[0], memory[1:])
    arena = core.Arena(spec.state_size, 0)
    with pytest.raises(ValueError, match="rows: share memory"):
        core.step(model, arena, ["s"] * 300, memory[:-1], memory[1:])
    with pytest.raises(ValueError, match="rows: share memory"):
        core.run(model, arena, "s", memory[:-1], memory[1:])
    assert not memory.any()
    assert not states.any()


def test_int8_reads_a_nan_as_the_same_on_every_set(isa_of_the_machine) -> None:
    spec = ModelSpec(3, (LayerSpec("rnn", 20),), 1)
    model = core.pack(spec, random_weights(spec, 0), "int8")
    found = set()
    for isa in core.isas():
        core.use_isa(isa)
        states = np.zeros((1, spec.state_size), dtype=np.float32)
        states[0, 3] = np.nan
        found.add(walk(model, spec, random_rows(spec, 1, 1), [0], states).tobytes())
    assert len(found) == 1
