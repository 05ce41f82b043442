"""What cannot be brought about from outside: overload, and things going wrong inside."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest

from tidegate.metrics import GateMetrics
from tidegate.serve.app import App, Served
from tidegate.serve.batcher import Batcher


class Proto:
    """The response half of an RSGI protocol, with a body that is there already."""

    def __init__(self, body):
        self.body = body

    async def __call__(self):
        return self.body

    def response_bytes(self, status, headers, body):
        self.status, self.headers, self.answer = status, dict(headers), body


def ask(app, payload, method="POST", path="/v1/models/small/sessions/s/events"):
    body = json.dumps(payload).encode()
    proto = Proto(body)
    headers = {"content-length": str(len(body))}
    asyncio.run(app.__rsgi__(SimpleNamespace(method=method, path=path, headers=headers), proto))
    return proto.status, json.loads(proto.answer), proto.headers


@pytest.fixture
def make_app(make_bundle):
    bundle = make_bundle()
    batchers = []

    def make(process, healthy=True, max_queue=8):
        batchers.append(Batcher(process, max_batch=4, max_queue=max_queue))
        metrics = GateMetrics("0", {"small": "1"})
        served = {"small": Served(bundle, batchers[-1], lambda: healthy)}
        app = App(served, metrics, lambda: 0.0, body_limit=1000)
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
    app = make_app(seen.append)
    app.phase = "draining"
    assert ask(app, [payload(), payload()])[:2] == ask(app, payload())[:2]
    assert ask(app, None, "GET", "/v1/models/small/sessions/s")[0] == 503
    assert seen == []
    counted = app._metrics.registry.get_sample_value
    assert counted("tidegate_events_total", {"model": "small", "outcome": "draining"}) == 3


def test_overload_is_told_and_applies_nothing(make_app, payload):
    seen = []
    app = make_app(seen.append, max_queue=1)
    app._models["small"].batcher._queued = 1
    status, answer, headers = ask(app, payload())
    assert (status, answer["error"]["code"], headers["retry-after"]) == (503, "overloaded", "1")
    assert seen == []
    counted = app._metrics.registry.get_sample_value
    assert counted("tidegate_events_total", {"model": "small", "outcome": "overloaded"}) == 1
