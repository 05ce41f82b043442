"""One model, several threads: those that a call may use, and callers of their own."""

from __future__ import annotations

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from kernel_models import random_rows, random_weights, walk

from tidegate import core
from tidegate.spec import LayerSpec, ModelSpec

SPEC = ModelSpec(5, (LayerSpec("gru", 33), LayerSpec("lstm", 16)), 2)
LARGE = ModelSpec(5, (LayerSpec("gru", 33),), 40)


def steps(model: core.Model, spec: ModelSpec, n: int, sessions: int) -> bytes:
    """Many events, of sessions that occur often; outputs and states."""
    rows = random_rows(spec, n, 1)
    slots = np.random.default_rng(2).integers(0, sessions, n)
    states = np.zeros((sessions, spec.state_size), dtype=np.float32)
    return walk(model, spec, rows, slots, states).tobytes() + states.tobytes()


@pytest.mark.parametrize("threads", [2, 3, 8])
@pytest.mark.parametrize("sessions", [1, 70, 5000])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_threads_do_not_change_a_bit(isa, threads, sessions, precision) -> None:
    weights = random_weights(SPEC, 0)
    one = core.pack(SPEC, weights, precision)
    some = core.pack(SPEC, weights, precision, threads=threads)
    for n in (1, 64, 1500):
        assert steps(some, SPEC, n, sessions) == steps(one, SPEC, n, sessions)


def test_threads_do_not_change_the_largest() -> None:
    weights = random_weights(LARGE, 0)
    rows, slots = random_rows(LARGE, 900, 1), np.arange(900) % 400
    found = []
    for threads in (1, 3):
        scores, indices = np.empty((900, 4), np.float32), np.empty((900, 4), np.int64)
        states = np.zeros((400, LARGE.state_size), np.float32)
        model = core.pack(LARGE, weights, threads=threads)
        model.step_top(rows, slots, states, scores, indices)
        found.append(scores.tobytes() + indices.tobytes() + states.tobytes())
    assert found[0] == found[1]


@pytest.mark.parametrize("threads", [1, 2])
def test_callers_at_the_same_time_get_what_they_get_alone(threads) -> None:
    model = core.pack(SPEC, random_weights(SPEC, 0), threads=threads)
    expected = steps(model, SPEC, 2000, 300)
    found: list[bytes] = []
    callers = [
        threading.Thread(target=lambda: found.append(steps(model, SPEC, 2000, 300)))
        for _ in range(4)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert found == [expected] * 4


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_callers_do_not_share_what_they_work_on(isa: str, precision: str, threads: int) -> None:
    """Events of their own, one call after the other at the same time as the others."""
    model = core.pack(SPEC, random_weights(SPEC, 0), precision, threads=threads)
    together = threading.Barrier(6)

    def stepped(caller: int, wait: bool) -> bytes:
        slots = np.random.default_rng(caller).integers(0, 50, 200)
        states = np.zeros((50, SPEC.state_size), dtype=np.float32)
        one, outputs = states[0].copy(), np.empty((200, SPEC.output_size), dtype=np.float32)
        found = b""
        for call in range(4):
            rows = random_rows(SPEC, 200, 10 * caller + call)
            if wait:
                together.wait(60)
            found += walk(model, SPEC, rows, slots, states).tobytes()
            model.run(rows, one, outputs)
            found += outputs.tobytes()
        return found + states.tobytes() + one.tobytes()

    alone = [stepped(caller, wait=False) for caller in range(6)]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(lambda caller: stepped(caller, wait=True), range(6))) == alone


def _step_in_child(model: core.Model, pipe) -> None:
    pipe.send(steps(model, SPEC, 500, 300))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_steps_on_one_thread() -> None:
    model = core.pack(SPEC, random_weights(SPEC, 0), threads=3)
    expected = steps(model, SPEC, 500, 300)
    here, there = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=_step_in_child, args=(model, there))
    child.start()
    assert here.recv() == expected
    child.join()
    assert child.exitcode == 0


@pytest.mark.parametrize("threads", [0, 257])
def test_an_impossible_number_of_threads_is_refused(threads) -> None:
    with pytest.raises(ValueError, match="threads: not in 1 to 256"):
        core.pack(SPEC, random_weights(SPEC, 0), threads=threads)
