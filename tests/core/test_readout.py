"""What events are answered with, if not with all outputs, on every instruction set."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
from kernel_models import random_rows, random_weights, walk
from readouts import EVERY, READOUTS, mark_missing, with_readout

from tidegate import core
from tidegate.engine.reference import ReferenceModel
from tidegate.spec import CategoryInput, LayerSpec, ModelSpec, SurprisePart

CATEGORIES = (CategoryInput(1, 9, 3), CategoryInput(4, 4, 2))
PRECISIONS = ["fp32", "bf16", "int8"]


def spec_of(readout: str, layers: str = "stack") -> ModelSpec:
    return with_readout(ModelSpec(6, EVERY[layers], 1, CATEGORIES), readout)


def rows_of(spec: ModelSpec, n: int) -> np.ndarray:
    return mark_missing(spec, random_rows(spec, n, 1))


@pytest.mark.parametrize("layers", EVERY)
@pytest.mark.parametrize("readout", READOUTS)
def test_answers_are_those_of_the_equations(isa, readout, layers) -> None:
    spec = spec_of(readout, layers)
    weights, rows = random_weights(spec, 0), rows_of(spec, 200)
    slots = np.random.default_rng(2).integers(0, 90, 200)
    models = core.pack(spec, weights), ReferenceModel(spec, weights)
    assert models[0].answer_size == spec.answer_size
    assert models[0].output_size == spec.output_size
    states = [np.tile(model.initial, (90, 1)) for model in models]
    found, truth = (walk(m, spec, rows, slots, s) for m, s in zip(models, states, strict=True))
    np.testing.assert_allclose(found, truth, rtol=1e-5, atol=2e-5)
    np.testing.assert_allclose(states[0], states[1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("layers", EVERY)
@pytest.mark.parametrize("readout", READOUTS)
def test_any_company_a_run_and_threads_give_the_same_bits(isa, readout, layers, precision) -> None:
    spec = spec_of(readout, layers)
    weights, rows = random_weights(spec, 0), rows_of(spec, 70)
    one, some = (core.pack(spec, weights, precision, threads=n) for n in (1, 3))
    state = one.initial.copy()
    run = np.empty((70, spec.answer_size), np.float32)
    one.run(rows, state, run)
    alone = one.initial[None].copy()
    steps = [walk(one, spec, rows[i : i + 1], [0], alone) for i in range(70)]
    assert np.concatenate(steps).tobytes() == run.tobytes()
    assert alone.tobytes() == state.tobytes()
    many = np.tile(one.initial, (300, 1))
    for t in range(3):
        found = walk(some, spec, np.repeat(rows[t : t + 1], 300, axis=0), range(300), many)
        assert found.tobytes() == run[t].tobytes() * 300


@pytest.mark.parametrize("readout", READOUTS)
def test_int8_has_the_same_bits_on_every_set(isa_of_the_machine, readout) -> None:
    spec = spec_of(readout)
    model, rows, found = core.pack(spec, random_weights(spec, 1), "int8"), rows_of(spec, 40), set()
    for isa in core.isas():
        core.use_isa(isa)
        states = np.tile(model.initial, (30, 1))
        found.add(walk(model, spec, rows, np.arange(40) % 30, states).tobytes())
    assert len(found) == 1


@pytest.mark.parametrize("outputs", [1, 7, 8, 256, 257])
@pytest.mark.parametrize("k", [1, 5, 256])
def test_the_largest_of_few_and_many(isa, outputs, k) -> None:
    spec = ModelSpec(4, (LayerSpec("gru", 21),), outputs, readout="top", top=min(k, outputs))
    weights = random_weights(spec, outputs)
    weights["head.weight"][:2] = weights["head.weight"][0]  # equal ones go by index
    model = core.pack(spec, weights)
    plain = core.pack(ModelSpec(4, spec.layers, outputs), weights)
    rows, state = random_rows(spec, 9, 1), np.zeros((9, 21), np.float32)
    found = walk(model, spec, rows, range(9), state.copy())
    every = np.empty((9, outputs), np.float32)
    plain.step(rows, np.arange(9), state, every)
    order = np.argsort(-every, axis=1, kind="stable")[:, : spec.top]
    np.testing.assert_array_equal(found[:, spec.top :], order)
    np.testing.assert_array_equal(found[:, : spec.top], np.take_along_axis(every, order, axis=1))


@pytest.mark.parametrize("readout", READOUTS)
def test_an_output_that_is_not_finite_spoils_its_event_alone(isa, readout) -> None:
    spec = spec_of(readout, "gru")
    weights = random_weights(spec, 0)
    weights["head.weight"][4] = 3e38
    states = np.zeros((5, 12), np.float32)
    states[2] = 1.0
    weights["layers.0.forward.b_input"][12:24] = 40.0  # all of the state is kept
    found = walk(core.pack(spec, weights), spec, rows_of(spec, 5) * 0, range(5), states)
    assert not np.isfinite(found[2]).all()
    assert np.isnan(found[2]).all() or readout == "skip"
    assert np.isfinite(np.delete(found, 2, axis=0)).all()


def test_a_number_that_is_no_index_has_no_likelihood(isa) -> None:
    layers, parts = (LayerSpec("gru", 4),), (SurprisePart("categorical", 0, 0, 3),)
    spec = ModelSpec(2, layers, 3, readout="surprise", parts=parts)
    rows = np.zeros((7, 2), np.float32)
    rows[:, 0] = [0, 1, 2, 3, -1, 0.5, 1e30]
    model = core.pack(spec, random_weights(spec, 0))
    found = walk(model, spec, rows, range(7), np.zeros((7, 4), np.float32))
    assert np.isfinite(found[:3]).all()
    assert np.isnan(found[3:]).all()


HEAD = ModelSpec(3, (LayerSpec("gru", 4),), 9)
EMPTY = np.zeros((3, 9), np.float32)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"top": 10}, "more than there are"),
        ({"top": 2, "surprise": [(False, 0, 0, 2, None)]}, "reads the last state"),
        ({"skip": EMPTY, "surprise": [(False, 0, 0, 2, None)]}, "reads the last state"),
        ({"surprise": [(False, 3, 0, 2, None)]}, "outside the row"),
        ({"surprise": [(False, 0, 0, 2, 3)]}, "outside the row"),
        ({"surprise": [(False, 0, 0, 3, None)]}, "not the head's"),
        ({"surprise": [(True, 0, 8, 2, None)]}, "not the head's"),
        ({"surprise": [(True, 0, 2**63, 2, None)]}, "not the head's"),
        ({"surprise": [(True, 0, 0, 0, None)]}, "not the head's"),
        ({"surprise": [(True, 0, 0, 10, None)]}, "not the head's"),
        ({"skip": EMPTY.T.copy()}, "skip: shape"),
        ({"skip": EMPTY + np.nan}, "not finite"),
        ({"head": "softmax", "top": 2}, "only linear"),
    ],
)
def test_what_is_no_readout_is_refused(monkeypatch, given, says) -> None:
    given = {"skip": None, "top": 0, "surprise": [], "head": "linear"} | given
    head = given.pop("head")
    monkeypatch.setattr(import_module("tidegate.core.pack"), "_readout", lambda *_: given)
    with pytest.raises(ValueError, match=says):
        core.pack(HEAD, random_weights(HEAD, 0), head=head)


@pytest.mark.parametrize("readout", ["top_of_many", "surprise_of_many"])
def test_the_largest_are_no_second_answer(readout) -> None:
    spec = spec_of(readout, "gru")
    model = core.pack(spec, random_weights(spec, 0))
    scores, indices = np.empty((1, 2), np.float32), np.empty((1, 2), np.int64)
    with pytest.raises(ValueError, match="something else"):
        model.step_top(rows_of(spec, 1), np.zeros(1, int), model.initial[None], scores, indices)
