"""An event that cannot be stepped touches no session but its own, wherever in a batch it stands."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from tidegate import record, store
from tidegate.engine import Engine
from tidegate.errors import TidegateError
from tidegate.metrics import GateMetrics
from tidegate.record import Record
from tidegate.serve.operations import Event, Part
from tidegate.serve.processor import Processor

MOST = 40
POISONS = {
    "no number": {"speed": math.nan, "driver": "ann"},
    "no end": {"speed": math.inf, "driver": "ann"},
    "text": {"speed": "fast", "driver": "ann"},
}


@pytest.fixture(scope="module")
def processor(make_bundle):
    bundle = make_bundle(fingerprint=b"u" * 32)
    engine = Engine.open(bundle, replay=False)
    metrics = GateMetrics("0", {bundle.name: bundle.version})
    return Processor(bundle, engine, store.open("memory:"), metrics, lambda: 1_700_000_000.0)


def sound(session, number, seq):
    fields = {"speed": 1.0 + 3.0 * number, "load": 7.0 * seq, "road": "A1", "driver": "ann"}
    return Event(fields, session, seq=seq, time=1000.0 + 60.0 * seq + number)


def process(processor, events):
    return processor.process([Part([event]) for event in events]).results


def said(results):
    return [(result.seq, result.time, result.answer) for result in results]


@pytest.fixture(scope="module")
def alone(processor):
    """What each session is answered if nobody else is in the batch, by its place and number."""
    return [
        said([process(processor, [sound(f"alone-{i}", i, seq)])[0] for seq in (1, 2)])
        for i in range(MOST)
    ]


@pytest.mark.parametrize("poison", POISONS.values(), ids=POISONS)
def test_other_sessions_are_answered_as_if_alone(processor, alone, poison, request):
    run = request.node.callspec.id
    for size in (1, 2, 3, 5, 8, 9, 16, 17, 31, 32, 33, MOST):
        for place in range(size):
            names = [f"{run}-{size}-{place}-{i}" for i in range(size)]
            events = [sound(name, i, 1) for i, name in enumerate(names)]
            events[place] = Event(poison, names[place], seq=1, time=1060.0)
            results = process(processor, events)
            refused = results.pop(place)
            assert isinstance(refused, TidegateError), (size, place)
            assert said(results) == [alone[i][0] for i in range(size) if i != place], (size, place)
            # Its own session is as it was: it takes its first event now, the others their second.
            events = [sound(name, i, 2) for i, name in enumerate(names)]
            events[place] = sound(names[place], place, 1)
            results = process(processor, events)
            assert said(results) == [alone[i][i != place] for i in range(size)], (size, place)


def test_a_state_that_is_no_number_stays_where_it_is(processor, alone, make_bundle):
    """What was stored says so itself, whole and with a right checksum: only the step finds it."""
    bundle = make_bundle(fingerprint=b"u" * 32)
    hidden = np.full(bundle.spec.state_size, np.nan, np.float32)
    encoder = np.full(bundle.schema.state_size, np.nan)  # nothing was seen yet
    spoiled = record.encode(Record("live", b"u" * 32, "1", 1, 1.0, 1.0, 1.0, encoder, hidden))
    for size in (1, 2, 7, 16, MOST):
        for place in range(size):
            names = [f"state-{size}-{place}-{i}" for i in range(size)]
            processor.table.load([names[place]], [spoiled])
            events = [sound(name, i, 1) for i, name in enumerate(names)]
            events[place] = sound(names[place], place, 2)
            results = process(processor, events)
            assert results.pop(place).code == "not_finite_output"
            assert said(results) == [alone[i][0] for i in range(size) if i != place], (size, place)
            events = [sound(name, i, 2) for i, name in enumerate(names)]
            events[place] = msgspec.structs.replace(sound(names[place], place, 1), start=True)
            results = process(processor, events)
            assert said(results) == [alone[i][i != place] for i in range(size)], (size, place)


def test_a_live_session_goes_on_after_its_poison(processor, alone):
    for poison in POISONS.values():
        name = f"live-{poison}"[:60]
        process(processor, [sound(name, 0, 1)])
        assert isinstance(process(processor, [Event(poison, name, seq=2)])[0], TidegateError)
        assert said(process(processor, [sound(name, 0, 2)])) == [alone[0][1]]
