"""Every contestant computes the same as the equations."""

from __future__ import annotations

import numpy as np
import pytest

from tidegate import core
from tidegate.bench import ours, peers
from tidegate.bench.cases import parse
from tidegate.bench.contestant import TURNS, draw_inputs, draw_weights
from tidegate.engine.reference import ReferenceModel

CASES = [parse(text) for text in ("gru:5-7@3", "gru:3-4x2@1", "lstm:5-7@3", "lstm:3-4x2@2")]
CASES += [parse("rnn:5-7@3"), parse("rnn:3-4x2@1")]
KINDS = ["module", "cell", "run", "bound", "kernel", "engine"]


def contestant(kind: str, case):
    spec = case.spec
    weights, inputs = draw_weights(spec), draw_inputs(spec, case.batch)
    if kind in {"kernel", "engine"}:
        model = core.pack(spec, weights)
        if kind == "kernel":
            return ours.KernelEntry(model, inputs, core.isa())
        return ours.EngineEntry(spec, model, inputs, core.isa())
    peer = {
        "module": peers.TorchModule,
        "cell": peers.TorchCell,
        "run": peers.OnnxRun,
        "bound": peers.OnnxBound,
    }
    return peer[kind](spec, weights, inputs)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_states_are_those_of_the_equations(kind, case) -> None:
    spec = case.spec
    inputs = draw_inputs(spec, case.batch)
    states = np.zeros((case.batch, spec.state_size), dtype=np.float32)
    outputs = np.empty((case.batch, 1), dtype=np.float32)
    reference = ReferenceModel(spec, draw_weights(spec))
    tested = contestant(kind, case)
    tested.run(2)
    tested.run(4)  # from the first input on, and from the state that was left
    for turn in (0, 1, 0, 1, 2, 3):
        reference.step(inputs[turn], np.arange(case.batch), states, outputs)
    np.testing.assert_allclose(tested.states(), states, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_come_round_again(kind) -> None:
    case = parse("gru:5-7@3")
    once, twice = contestant(kind, case), contestant(kind, case)
    once.run(2 * TURNS)
    twice.run(TURNS)
    twice.run(TURNS)
    np.testing.assert_array_equal(once.states(), twice.states())


def test_a_crowd_lives_in_the_engine_and_takes_turns_in_batches() -> None:
    case = parse("gru:5-7@8/50")
    crowded = contestant("engine", case)
    crowded.run(2)
    crowded.crowd(50)
    before = crowded.states()
    assert len(crowded._engine) == 50
    taken = [session for batch in crowded._batches for session in batch]
    assert {len(batch) for batch in crowded._batches} == {8}
    assert len(set(taken)) == len(taken) == 48
    assert taken != sorted(taken, key=lambda session: int(session.split("-")[1]))
    crowded.run(2)
    assert (crowded.states() != before).any(axis=1).all()
