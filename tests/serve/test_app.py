"""What cannot be brought about from outside: overload, and things going wrong inside."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from tidegate.metrics import GateMetrics
from tidegate.serve import refusals
from tidegate.serve.app import STATUSES, App, Served
from tidegate.serve.batcher import Batcher
from tidegate.serve.operations import Read


class Proto:
    """The response half of an RSGI protocol, with a body that is there already."""

    def __init__(self, body):
        self.body = body

    async def __call__(self):
        return self.body

    def response_bytes(self, status, headers, body):
        self.status, self.headers, self.answer = status, dict(headers), body


LINES = "/v1/models/small/events"
SESSION = "/v1/models/small/sessions/s/events"


async def respond(app, body, path=SESSION, method="POST"):
    proto = Proto(body)
    headers = {"content-length": str(len(body))}
    await app.__rsgi__(SimpleNamespace(method=method, path=path, headers=headers), proto)
    return proto


def ask(app, payload, method="POST", path=SESSION):
    proto = asyncio.run(respond(app, json.dumps(payload).encode(), path, method))
    return proto.status, json.loads(proto.answer), proto.headers


def collecting(seen):
    """A processor that should not be reached, and answers if it is."""

    def process(operations):
        seen.extend(operations)
        return [refusals.internal() for _ in operations]

    return process


def in_a_list(events):
    return json.dumps(events).encode()


def in_lines(events):
    return b"\n".join(json.dumps({"session": "s", **event}).encode() for event in events)


BULKS = pytest.mark.parametrize(("path", "write"), [(SESSION, in_a_list), (LINES, in_lines)])


@pytest.fixture
def make_app(make_bundle):
    bundle = make_bundle()
    batchers = []

    def make(process, healthy=True, max_queue=8):
        batchers.append(Batcher(process, max_batch=4, max_queue=max_queue))
        metrics = GateMetrics("0", {"small": "1"})
        served = {"small": Served(bundle, batchers[-1], lambda: healthy)}
        app = App(served, metrics, lambda: 0.0, body_limit=10_000)
        app.phase = "ready"
        return app

    yield make
    for batcher in batchers:
        batcher.close()


def test_no_stack_trace_reaches_a_client(make_app, payload, caplog):
    app = make_app(lambda _: 1 / 0)
    status, answer, _ = ask(app, payload())
    assert (status, answer["error"]["code"]) == (500, "internal")
    assert "ZeroDivisionError" in caplog.text
    assert "Zero" not in json.dumps(answer)


@pytest.mark.parametrize(
    ("phase", "healthy", "status", "said"),
    [
        ("starting", True, 503, "starting"),
        ("ready", True, 200, "ready"),
        ("ready", False, 503, "store_failed"),
        ("draining", True, 503, "draining"),
        ("draining", False, 503, "draining"),
    ],
)
def test_readiness(make_app, phase, healthy, status, said):
    app = make_app(lambda _: [], healthy)
    app.phase = phase
    assert ask(app, None, "GET", "/readyz")[:2] == (status, {"status": said})


def test_a_drain_refuses_events_and_counts_them(make_app, payload):
    seen = []
    app = make_app(collecting(seen))
    app.phase = "draining"
    assert ask(app, [payload(), payload()])[:2] == ask(app, payload())[:2]
    assert ask(app, None, "GET", "/v1/models/small/sessions/s")[0] == 503
    assert seen == []
    counted = app._metrics.registry.get_sample_value
    assert counted("tidegate_events_total", {"model": "small", "outcome": "draining"}) == 3


def test_overload_is_told_and_applies_nothing(make_app, payload):
    seen = []
    app = make_app(collecting(seen), max_queue=1)
    app._models["small"].batcher._queued = 1
    status, answer, headers = ask(app, payload())
    assert (status, answer["error"]["code"], headers["retry-after"]) == (503, "overloaded", "1")
    assert seen == []
    counted = app._metrics.registry.get_sample_value
    assert counted("tidegate_events_total", {"model": "small", "outcome": "overloaded"}) == 1


@BULKS
def test_a_full_queue_refuses_a_bulk_whole_and_goes_on_with_one_it_took(
    make_app, payload, path, write
):
    entered, gate, batches = threading.Event(), threading.Event(), []

    def process(events):
        batches.append(len(events))
        entered.set()
        assert gate.wait(3)
        return [refusals.internal() for _ in events]

    app = make_app(process, max_queue=5)

    async def run():
        # More than the queue takes: a request that is accepted into an empty one is never cut off.
        taken = asyncio.create_task(respond(app, write([payload()] * 10), path))
        await asyncio.to_thread(entered.wait, 10)
        refused = await respond(app, write([payload()] * 4), path)
        gate.set()
        return await taken, refused

    taken, refused = asyncio.run(run())
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert json.loads(refused.answer)["error"]["code"] == "overloaded"
    assert taken.status == 200
    assert taken.answer.count(b'"internal"') == 10
    assert batches == [4, 4, 2]
    counted = app._metrics.registry.get_sample_value
    assert counted("tidegate_events_total", {"model": "small", "outcome": "overloaded"}) == 4
    assert counted("tidegate_requests_refused_total", {"code": "overloaded"}) == 1


@BULKS
def test_a_bulk_that_loses_the_store_keeps_what_it_answered(make_app, rig, payload, path, write):
    failing = iter([False, True, False])

    def process(events):
        rig.store.broken = next(failing)
        return rig.processor.process(events)

    events = [payload(float(i), time=1000.0 + i) for i in range(9)]
    for seq, event in enumerate(events[:8], start=1):
        event["seq"] = seq
    proto = asyncio.run(respond(make_app(process, max_queue=16), write(events), path))
    assert proto.status == 200
    results = [json.loads(line) for line in proto.answer.splitlines()]
    if path == SESSION:
        [results] = results
    assert [result["seq"] for result in results[:4]] == [1, 2, 3, 4]
    found = [result["error"]["code"] for result in results[4:]]
    assert found == ["store_failed"] * 4 + ["previous_failed"]
    # What was answered is in the store, and all of it can be sent again.
    rig.start(rig.bundle)
    assert rig.one(Read("s")).seq == 4
    again = make_app(rig.processor.process, max_queue=16)
    proto = asyncio.run(respond(again, in_a_list(events), SESSION))
    retried = json.loads(proto.answer)
    assert [result["seq"] for result in retried] == list(range(1, 10))
    assert [result.get("duplicate", False) for result in retried] == [True] * 4 + [False] * 5
    assert [result["answer"] for result in retried[:4]] == [r["answer"] for r in results[:4]]


def test_the_manual_lists_every_status_and_its_codes():
    manual = (Path(__file__).parents[2] / "docs" / "serve.md").read_text()
    listed = {
        (status, code)
        for status, codes in re.findall(r"^\| (\d{3})[^|]* \| (.*) \|$", manual, re.MULTILINE)
        for code in re.findall(r"`(\w+)`", codes)
    }
    assert {(str(status), code) for code, status in STATUSES.items()} <= listed
    for status, code in listed:
        assert status == str(STATUSES.get(code, 400))


def test_health_names_what_is_stuck_and_asks_for_no_key():
    stuck = []
    app = App(
        {},
        GateMetrics("0", {}),
        lambda: 0.0,
        body_limit=1,
        authorize=lambda header: None,
        stuck=lambda: stuck,
    )
    assert ask(app, None, "GET", "/healthz")[:2] == (200, {"status": "alive"})
    stuck.append("engine")
    said = {"status": "stuck", "what": ["engine"]}
    assert ask(app, None, "GET", "/healthz")[:2] == (503, said)
    status, answer, headers = ask(app, None, "GET", "/v1/models")
    assert (status, answer["error"]["code"]) == (401, "unauthorized")
    assert headers["www-authenticate"] == "Bearer"


def test_a_key_is_taken_from_its_header():
    seen = []

    def authorize(header):
        seen.append(header)
        return "ann"

    app = App({}, GateMetrics("0", {}), lambda: 0.0, body_limit=1, authorize=authorize)
    proto = Proto(b"")
    scope = SimpleNamespace(
        method="GET", path="/v1/models", headers={"authorization": "Bearer tg_x"}
    )
    asyncio.run(app.__rsgi__(scope, proto))
    assert (proto.status, seen) == (200, ["Bearer tg_x"])
