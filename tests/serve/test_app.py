"""What cannot be brought about from outside: overload, and things going wrong inside."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from tidegate.metrics import GateMetrics
from tidegate.serve import sockets
from tidegate.serve.app import App
from tidegate.serve.batcher import Batcher
from tidegate.serve.codes import CODES
from tidegate.serve.intake import Intake
from tidegate.serve.model import Model
from tidegate.serve.operations import Read


class Proto:
    """The server's half of an RSGI protocol, with a body that is there already."""

    def __init__(self, body):
        self.body = body
        self.answer = b""

    async def __call__(self):
        return self.body

    async def __aiter__(self):
        yield self.body

    def response_bytes(self, status, headers, body):
        self.status, self.headers, self.answer = status, dict(headers), body

    def response_stream(self, status, headers):
        self.status, self.headers = status, dict(headers)
        return self

    async def send_bytes(self, data):
        self.answer += data


LINES = "/v1/models/small/events"
SESSION = "/v1/models/small/sessions/s/events"


def intake():
    return Intake(body_bytes=10_000, memory_bytes=10_000, seconds=20.0)


@contextlib.asynccontextmanager
async def hosting(rig, max_queue=8, phase="ready"):
    """A rig behind the routes, with batches of at most 4."""
    batcher = Batcher(rig.processor, rig.store, rig.metrics, max_batch=4, max_queue=max_queue)
    model = Model(rig.bundle, rig.processor, batcher, rig.metrics)
    app = App({"small": model}, rig.metrics, intake())
    app.phase = phase
    app.batcher = batcher
    yield app
    batcher.close()


async def respond(app, body, path=SESSION, method="POST", **headers):
    proto = Proto(body)
    headers = {"content-length": str(len(body)), **headers}
    scope = SimpleNamespace(proto="http", method=method, path=path, headers=headers)
    scope.client = scope.server = "127.0.0.1:1"
    await app.__rsgi__(scope, proto)
    return proto


async def ask(app, payload, method="POST", path=SESSION, **headers):
    proto = await respond(app, json.dumps(payload).encode(), path, method, **headers)
    return proto.status, json.loads(proto.answer), proto.headers


async def until(condition):
    """Let the loop go round until something is so."""
    while not condition():
        await asyncio.sleep(0)


def in_a_list(events):
    return json.dumps(events).encode()


def in_lines(events):
    return b"".join(json.dumps({"session": "s", **event}).encode() + b"\n" for event in events)


BULKS = pytest.mark.parametrize(("path", "write"), [(SESSION, in_a_list), (LINES, in_lines)])


@pytest.mark.parametrize("where", ["processor", "route"])
def test_no_stack_trace_reaches_a_client(rig, payload, caplog, monkeypatch, where):
    async def run():
        async with hosting(rig) as app:
            if where == "processor":
                monkeypatch.setattr(rig.processor, "_hand_over", lambda: 1 / 0)
            else:
                monkeypatch.setattr(app._models["small"], "_queue", lambda _: 1 / 0)
            return await ask(app, payload())

    status, answer, headers = asyncio.run(run())
    assert (status, answer["error"]["code"]) == (500, "internal")
    assert "ZeroDivisionError" in caplog.text
    assert "Zero" not in json.dumps(answer)
    assert caplog.records[-1].request_id == headers["x-request-id"]


def test_a_request_keeps_the_name_that_its_client_gave_it(rig, caplog):
    caplog.set_level(logging.DEBUG)

    async def run():
        async with hosting(rig, phase="draining") as app:
            return await ask(app, {"event": {}}, **{"x-request-id": "checkout-7"})

    with caplog.at_level(logging.DEBUG, "tidegate.serve.responses"):
        _, _, headers = asyncio.run(run())
    assert headers["x-request-id"] == "checkout-7"
    told = [(each.request_id, each.code) for each in caplog.records if "refused" in each.msg]
    assert told == [("checkout-7", "draining")]


@pytest.mark.parametrize(
    ("phase", "failed", "status", "said"),
    [
        ("starting", False, 503, "starting"),
        ("ready", False, 200, "ready"),
        ("ready", True, 503, "store_failed"),
        ("draining", False, 503, "draining"),
        ("draining", True, 503, "draining"),
    ],
)
def test_readiness(rig, phase, failed, status, said):
    async def run():
        async with hosting(rig, phase=phase) as app:
            app.batcher.failed = failed
            return await ask(app, None, "GET", "/readyz")

    assert asyncio.run(run())[:2] == (status, {"status": said})


def test_a_drain_refuses_events_and_counts_them(rig, payload):
    async def run():
        async with hosting(rig, phase="draining") as app:
            return [
                await ask(app, [payload(), payload()]),
                await ask(app, payload()),
                await ask(app, None, "GET", "/v1/models/small/sessions/s"),
                await ask(app, payload(session="s"), path=LINES),
            ]

    said = asyncio.run(run())
    assert [(status, answer["error"]["code"]) for status, answer, _ in said] == [
        (503, "draining")
    ] * 4
    assert rig.store.appended == 0
    assert rig.outcomes() == {"draining": 5}


def test_overload_is_told_and_applies_nothing(held, payload):
    async def run():
        async with hosting(held, max_queue=1) as app:
            first = asyncio.ensure_future(ask(app, payload()))
            await until(lambda: held.store.pending)
            refused = await ask(app, payload())
            held.store.let()
            return await first, refused

    (taken, _, _), (status, answer, headers) = asyncio.run(run())
    assert taken == 200
    assert (status, answer["error"]["code"], headers["retry-after"]) == (503, "overloaded", "1")
    assert held.outcomes() == {"answered": 1, "overloaded": 1}
    assert held.one(Read("s")).seq == 1


def test_what_is_wrong_is_told_as_such_by_an_overloaded_server_too(held, payload):
    """To send it again later is of no use."""

    async def run():
        async with hosting(held, max_queue=1) as app:
            first = asyncio.ensure_future(ask(app, payload()))
            await until(lambda: held.store.pending)
            refused = await ask(app, payload("fast") | {"wings": 2})
            held.store.let()
            await first
            return refused

    status, answer, _ = asyncio.run(run())
    assert (status, answer["error"]["code"]) == (400, "unknown_member")
    assert held.outcomes() == {"answered": 1, "bad_input": 1}


def test_a_list_that_is_none_is_counted(held):
    async def run():
        async with hosting(held) as app:
            proto = await respond(app, b"[1,", SESSION, "POST")
            return proto.status, json.loads(proto.answer)

    status, answer = asyncio.run(run())
    assert (status, answer["error"]["code"]) == (400, "bad_json")
    assert held.outcomes() == {"bad_input": 1}


class Frames:
    """The server's half of a WebSocket whose client closes when each of its frames is answered."""

    def __init__(self, *frames):
        self.frames = [SimpleNamespace(kind=2, data=frame) for frame in frames]
        self.wanted, self.answers = len(frames), []

    async def receive(self):
        if self.frames:
            return self.frames.pop(0)
        await until(lambda: len(self.answers) == self.wanted)
        return SimpleNamespace(kind=0, data=None)

    async def send_str(self, text):
        self.answers.append(json.loads(text))


def test_overload_names_the_event_of_a_frame_and_refuses_a_list_whole(held, payload):
    async def run():
        lone = [payload(session="s", seq=seq, time=1.0) for seq in (1, 2)]
        frames = Frames(*map(json.dumps, [*lone, lone]))
        async with hosting(held, max_queue=1) as app:
            model = app._models["small"]
            answering = asyncio.ensure_future(
                sockets.answer(frames, model, intake().waits, frame_bytes=10_000, seconds=20.0)
            )
            await until(lambda: held.store.pending)
            held.store.let()
            await until(answering.done)
        return frames.answers

    first, second, third = asyncio.run(run())
    assert first["seq"] == 1
    assert (second["error"]["code"], second["session"], second["seq"]) == ("overloaded", "s", 2)
    assert (third["error"]["code"], "session" in third) == ("overloaded", False)


@BULKS
def test_a_full_queue_refuses_a_bulk_whole_and_goes_on_with_one_it_took(held, payload, path, write):
    async def run():
        async with hosting(held, max_queue=5) as app:
            # More than the queue takes: a request that is accepted into an empty one goes through.
            taken = asyncio.create_task(respond(app, write([payload()] * 10), path))
            await until(lambda: held.store.pending)
            refused = await respond(app, write([payload()] * 4), path)
            held.store.let_all()
            return await taken, refused

    taken, refused = asyncio.run(run())
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert json.loads(refused.answer)["error"]["code"] == "overloaded"
    assert taken.status == 200
    assert taken.answer.count(b'"answer"') == 10
    assert held.store.appended == 3
    assert held.outcomes() == {"answered": 10, "overloaded": 4}
    counted = held.metrics.registry.get_sample_value
    assert counted("tidegate_requests_refused_total", {"code": "overloaded"}) == 1


@BULKS
def test_a_bulk_that_loses_the_store_keeps_what_it_answered(held, payload, path, write):
    events = [payload(float(i), time=1000.0 + i) for i in range(9)]
    for seq, event in enumerate(events[:8], start=1):
        event["seq"] = seq

    async def run():
        async with hosting(held, max_queue=16) as app:
            bulk = asyncio.create_task(respond(app, write(events), path))
            await until(lambda: held.store.pending)
            held.store.let()
            await until(lambda: held.store.pending)
            held.store.fail()
            await until(lambda: app.batcher.failed)
            proto = await bulk
            assert held.store.recover()
            app.batcher.recovered()
            held.store.let_all()
            return proto, await respond(app, in_a_list(events))

    proto, again = asyncio.run(run())
    assert proto.status == 200
    results = [json.loads(line) for line in proto.answer.splitlines()]
    if path == SESSION:
        [results] = results
    assert [result["seq"] for result in results[:4]] == [1, 2, 3, 4]
    found = [result["error"]["code"] for result in results[4:]]
    assert found[:4] == ["store_failed"] * 4
    assert found[4] in ("store_failed", "previous_failed")
    # What was answered is in the store, and all of it can be sent again.
    retried = json.loads(again.answer)
    assert [result["seq"] for result in retried] == list(range(1, 10))
    assert [result.get("duplicate", False) for result in retried] == [True] * 4 + [False] * 5
    assert [result["answer"] for result in retried[:4]] == [r["answer"] for r in results[:4]]


def test_the_bodies_of_all_requests_share_their_memory(rig, payload):
    """A body is refused before it is read, if the others leave no room for it."""

    class Slow(Proto):
        async def __call__(self):
            entered.set()
            await arrived.wait()
            return self.body

    entered, arrived = asyncio.Event(), asyncio.Event()
    body = json.dumps(payload()).encode().ljust(6_000)

    async def run():
        async with hosting(rig) as app:
            proto = Slow(body)
            headers = {"content-length": str(len(body))}
            scope = SimpleNamespace(proto="http", method="POST", path=SESSION, headers=headers)
            first = asyncio.ensure_future(app.__rsgi__(scope, proto))
            await entered.wait()
            refused = await respond(app, body)
            small = await respond(app, body[:4_000])
            arrived.set()
            await first
            return refused, small, proto, await respond(app, body)

    refused, small, first, last = asyncio.run(run())
    assert (refused.status, json.loads(refused.answer)["error"]["code"]) == (503, "overloaded")
    assert [small.status, first.status, last.status] == [200, 200, 200]
    assert rig.one(Read("s")).seq == 3


@pytest.mark.parametrize("given", ["soon", "-1", "1.5", "", "1234567890", "²"])
def test_a_deadline_is_a_whole_number(rig, payload, given):
    async def run():
        async with hosting(rig) as app:
            return await ask(app, payload(), **{"x-deadline-ms": given})

    status, answer, _ = asyncio.run(run())
    assert (status, answer["error"]["code"]) == (400, "bad_deadline")
    assert rig.store.appended == 0


def test_a_body_that_ends_early_is_refused_whole(rig, payload):
    async def run():
        async with hosting(rig) as app:
            return await ask(app, payload(), **{"content-length": "4000"})

    status, answer, _ = asyncio.run(run())
    assert (status, answer["error"]["code"]) == (400, "body_cut")
    assert rig.store.appended == 0


def test_the_manual_has_the_right_status_for_each_code():
    manual = (Path(__file__).parents[2] / "docs" / "serve.md").read_text()
    listed = {
        (int(status), code)
        for status, codes in re.findall(r"^\| (\d{3})[^|]* \| (.*) \|$", manual, re.MULTILINE)
        for code in re.findall(r"`(\w+)`", codes)
    }
    assert listed
    assert listed <= {(entry.status, code) for code, entry in CODES.items()}


def test_health_names_what_is_stuck_and_asks_for_no_key():
    stuck = []
    app = App(
        {}, GateMetrics("0", {}), intake(), authorize=lambda header: None, stuck=lambda: stuck
    )

    async def run():
        said = [await ask(app, None, "GET", "/healthz")]
        stuck.append("commits")
        said.append(await ask(app, None, "GET", "/healthz"))
        return [*said, await ask(app, None, "GET", "/v1/models")]

    alive, dead, refused = asyncio.run(run())
    assert alive[:2] == (200, {"status": "alive"})
    assert dead[:2] == (503, {"status": "stuck", "what": ["commits"]})
    assert (refused[0], refused[1]["error"]["code"]) == (401, "unauthorized")
    assert refused[2]["www-authenticate"] == "Bearer"


def test_a_key_is_taken_from_its_header():
    seen = []

    def authorize(header):
        seen.append(header)
        return "ann"

    app = App({}, GateMetrics("0", {}), intake(), authorize=authorize)
    headers = {"authorization": "Bearer tg_x"}
    status, _, _ = asyncio.run(ask(app, None, "GET", "/v1/models", **headers))
    assert (status, seen) == (200, ["Bearer tg_x"])
