"""Events in any order: within the window each is answered as if they had come in turn."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate import store
from tidegate.engine import Engine
from tidegate.errors import TidegateError
from tidegate.metrics import GateMetrics
from tidegate.serve.batcher import Batcher
from tidegate.serve.operations import Event, Part
from tidegate.serve.processor import Processor
from tidegate.serve.reorder import Window

LONG = 3600.0
EVENTS = 8
BUNDLE = []


@pytest.fixture(scope="module", autouse=True)
def _bundle(make_bundle):
    BUNDLE[:] = [make_bundle(fingerprint=b"u" * 32)]


def event(session, seq):
    return Event(
        {"speed": 10.0 * seq, "load": float(seq), "driver": "ann"},
        session,
        seq=seq,
        time=1000.0 + seq,
    )


def new_processor(where):
    bundle = BUNDLE[0]
    metrics = GateMetrics("0", {bundle.name: bundle.version})
    engine = Engine.open(bundle, replay=False)
    return Processor(bundle, engine, where, metrics, lambda: 1_700_000_000.0), metrics


def in_turn():
    processor, _ = new_processor(store.open("memory:"))
    return [said(processor.process([Part([event("s", n + 1)])]).results[0]) for n in range(EVENTS)]


def said(result):
    return result.code if isinstance(result, TidegateError) else (result.seq, result.answer)


@settings(deadline=None, max_examples=40)
@given(
    arrivals=st.permutations([(s, n) for s in ("a", "b") for n in range(1, EVENTS + 1)]),
    cuts=st.lists(st.integers(1, 2 * EVENTS - 1), unique=True).map(sorted),
)
def test_each_event_has_its_turn(arrivals, cuts):
    """They come in some requests, of which the next does not wait for the one before."""
    with_edges = zip([0, *cuts], [*cuts, len(arrivals)], strict=True)
    requests = [arrivals[first:last] for first, last in with_edges]

    async def run():
        processor, metrics = new_processor(store.open("memory:"))
        batcher = Batcher(
            processor,
            processor._store,
            metrics,
            max_batch=EVENTS,
            max_queue=1000,
            window=Window(LONG, 2 * EVENTS),
        )
        parts = [Part([event(*each) for each in request]) for request in requests]
        answers = asyncio.gather(*(batcher.submit(part) for part in parts))
        found = await asyncio.wait_for(answers, 20)
        assert batcher.queued == 0
        repeated = await batcher.submit(Part([event("a", EVENTS), event("b", EVENTS)]))
        return found, repeated

    found, repeated = asyncio.run(run())
    expected = in_turn()
    for request, results in zip(requests, found, strict=True):
        assert [said(each) for each in results] == [expected[seq - 1] for _, seq in request]
    assert [(each.duplicate, said(each)) for each in repeated] == [(True, expected[-1])] * 2


@pytest.mark.parametrize("most", [1, 3])
def test_what_waits_in_vain_is_refused(most):
    async def run():
        processor, metrics = new_processor(store.open("memory:"))
        batcher = Batcher(
            processor,
            processor._store,
            metrics,
            max_batch=EVENTS,
            max_queue=1000,
            window=Window(0.01, most),
        )
        late = [batcher.submit(Part([event("a", seq)])) for seq in (4, 3, 2, 6)]
        results = [said((await each)[0]) for each in late]
        first = [said(each) for each in await batcher.submit(Part([event("a", 1)]))]
        return results, first

    results, first = asyncio.run(run())
    assert results == ["seq_gap"] * 4
    assert first == [in_turn()[0]]
