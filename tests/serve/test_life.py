"""Starting, dying, draining, coming back: real processes, real signals."""

from __future__ import annotations

import contextlib
import http.client
import json
import resource
import signal
import socket
import threading
import time

import numpy as np
import pytest

from tidegate import answers
from tidegate import bundle as bundles
from tidegate.engine import Engine
from tidegate.engine.compress import compress

BROKEN = (OSError, http.client.HTTPException)


class Client(threading.Thread):
    """Sends a session's events by number, again and again until each is answered.

    `answers` are what is said of each, by number.
    """

    def __init__(self, port, session, events):
        super().__init__(daemon=True)
        self.port = port
        self.session = session
        self.events = events
        self.answers = {}
        self.stopped = False
        self.unexpected = []
        self.progress = threading.Event()

    def run(self):
        # It connects again by itself after it was closed.
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            while len(self.answers) < len(self.events) and not self.stopped:
                seq = len(self.answers) + 1
                try:
                    status, content = self.send(connection, seq)
                except BROKEN:
                    connection.close()
                    continue
                if status == 200:
                    self.answers[seq] = json.loads(content)["answer"]
                    if seq >= 10:
                        self.progress.set()
                elif status != 503:
                    self.unexpected.append((status, content))
                    return

    def send(self, connection, seq):
        body = json.dumps({**self.events[seq - 1], "seq": seq})
        connection.request("POST", f"/v1/models/small/sessions/{self.session}/events", body)
        response = connection.getresponse()
        return response.status, response.read()


def stream(payload, n):
    return [payload(float(i % 17), time=1000.0 + 30.0 * i) for i in range(n)]


def uninterrupted(rig, events):
    return [
        rig.one(rig.event("s", event["event"]["speed"], time=event["time"])).answer
        for event in events
    ]


def test_ready_is_one_line_of_json(start):
    server = start()
    assert set(server.said) == {"event", "url", "pid", "model", "model_version"}
    assert server.said["event"] == "ready"
    assert server.said["pid"] == server.process.pid
    code, errors = server.end()
    assert (code, errors) == (0, "")


def test_a_kill_in_mid_stream_loses_and_doubles_nothing(start, rig, payload):
    server = start()
    port = server.port
    events = stream(payload, 150)
    clients = [Client(port, f"kill-{i}", events) for i in range(4)]
    for client in clients:
        client.start()
    for _ in range(2):
        for client in clients:
            assert client.progress.wait(20)
            client.progress.clear()
        server.end(signal.SIGKILL)
        server = start(port=port)
        assert server.said["event"] == "ready"
    for client in clients:
        client.join(60)
    expected = uninterrupted(rig, events)
    for client in clients:
        assert client.unexpected == []
        assert [client.answers[seq] for seq in range(1, 151)] == expected
        assert server.get(server.path(client.session))[1]["seq"] == 150
    assert server.counter("tidegate_continuity_errors_total") == 0


def test_a_drain_under_load_loses_nothing_and_exits_0(start, payload):
    server = start()
    port = server.port
    clients = [Client(port, f"drain-{i}", stream(payload, 5000)) for i in range(8)]
    for client in clients:
        client.start()
    for client in clients:
        assert client.progress.wait(20)
    code, errors = server.end(signal.SIGTERM)
    assert (code, errors) == (0, "")
    for client in clients:
        client.stopped = True
    for client in clients:
        client.join(20)
        assert client.unexpected == []
    again = start()
    for client in clients:
        # What was applied was answered: a drain breaks no connection that waits for its answer.
        assert again.get(again.path(client.session))[1]["seq"] == len(client.answers)


def test_while_it_drains_new_events_are_refused(start, payload):
    server = start(grace_seconds=20.0)
    body = json.dumps(payload()).encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        head = f"POST {server.path('slow')}/events HTTP/1.1\r\nHost: x\r\n"
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:-1])
        _wait_until_read(server)
        server.process.send_signal(signal.SIGTERM)
        _wait_until_closed(server.port)
        client.sendall(body[-1:])
        answer = client.recv(65536)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'"draining"' in answer
    assert b"retry-after: 1\r\n" in answer
    assert server.process.wait(20) == 0


def test_a_request_that_never_ends_does_not_outlive_the_grace_period(start):
    server = start(grace_seconds=0.3)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(
            b"POST /v1/models/small/events HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"
        )
        _wait_until_read(server)
        began = time.monotonic()
        assert server.end() == (0, "")
        assert time.monotonic() - began < 5.0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_more_signals_do_not_cut_the_end_short(start, payload, number):
    server = start()
    assert server.post("s", payload())[0] == 200
    server.process.send_signal(number)
    _wait_until_closed(server.port)
    for _ in range(50):  # the drain is over: what is left is closing the store
        server.process.send_signal(number)
    _, errors = server.process.communicate(timeout=30)
    assert (server.process.returncode, errors) == (0, "")
    assert start().get(server.path("s"))[1]["seq"] == 1


def _wait_until_read(server):
    """Wait until the server has taken what was sent so far: an answer comes after it."""
    for _ in range(3):
        assert server.get("/healthz")[0] == 200


def _wait_until_closed(port):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except ConnectionRefusedError:
            return
        except OSError:
            continue
    raise AssertionError("the port is still open")


def test_a_store_belongs_to_one_server(start, payload):
    first = start()
    second = start()
    assert second.said["code"] == "store_locked"
    assert second.process.wait(20) == 3
    assert first.post("still", payload())[0] == 200


def test_a_port_in_use_is_refused_before_anything_is_opened(start, payload, tmp_path):
    first = start()
    second = start(port=first.port, store=str(tmp_path / "other"))
    assert (second.said["code"], second.said["field"]) == ("port_in_use", "port")
    assert second.process.wait(20) == 3
    assert not (tmp_path / "other").exists()
    assert first.post("still", payload())[0] == 200


def test_an_address_that_is_not_ours_is_refused(start):
    assert start(host="192.0.2.1").said["code"] == "cannot_bind"


def test_listening_to_the_world_is_said_loudly(start):
    assert start(host="0.0.0.0").said["code"] == "exposed"
    server = start(host="0.0.0.0", insecure=True)
    assert server.get("/healthz")[0] == 200
    code, errors = server.end(signal.SIGINT)
    assert code == 0
    told = json.loads(errors)
    assert told["level"] == "warning"
    assert "0.0.0.0 can be reached from other machines, without TLS" in told["msg"]


def test_another_bundle_is_refused_then_resets(start, make_bundle, payload, tmp_path):
    other = bundles.save(make_bundle(seed=9, version="2"), tmp_path / "other").path
    server = start()
    for session in ("a", "b", "c"):
        for seq in (1, 2):
            assert server.post(session, payload(seq=seq))[0] == 200
    server.request("DELETE", server.path("c"))
    server.end()

    refused = start(other)
    assert refused.said["code"] == "bundle_changed"
    assert refused.said["message"].startswith("2 sessions")
    assert "--on-new-model reset" in refused.said["hint"]
    refused.process.wait(20)

    reset = start(other, on_new_model="reset")
    status, answer = reset.post("a", payload(seq=3))
    assert (status, answer["seq"], answer["session_reset"]) == (200, 3, True)
    assert answer["model_version"] == "2"
    assert reset.counter("tidegate_continuity_errors_total", kind="reset") == 1
    reset.end()

    # It was allowed once: the rest still begin anew, and the old bundle is now the other one.
    again = start(other)
    assert again.post("b", payload(seq=3))[1]["session_reset"] is True
    assert "session_reset" not in again.post("a", payload(seq=4))[1]
    again.end()
    assert start().said["message"].startswith("2 sessions")


def test_an_int8_bundle_is_served_and_continues_no_session_of_fp32(
    start, saved_bundle, payload, tmp_path
):
    made = compress(bundles.load(saved_bundle), "int8")
    int8 = bundles.save(made, tmp_path / "int8")
    server = start(int8.path, store=str(tmp_path / "other"))
    schema, engine = int8.schema, Engine.open(int8)
    for seq in (1, 2, 3):
        event = payload(10.0 * seq, seq=seq, time=30.0 * seq)
        status, said = server.post("s", event)
        columns = schema.stack([schema.type_event(event["event"])])
        stepped = engine.step_events(["s"], columns, np.array([event["time"]]))
        assert (status, said["answer"]) == (200, *answers.open(int8.task).answer(stepped.outputs))
    assert said["model_version"] == "1-int8"
    server.end()

    fp32 = start()
    assert fp32.post("a", payload(seq=1))[0] == 200
    fp32.end()
    assert start(int8.path).said["code"] == "bundle_changed"


def test_a_full_disk_refuses_and_recovers(start, rig, payload):
    server = start()
    expected = uninterrupted(rig, stream(payload, 4))
    events = [{**event, "seq": seq} for seq, event in enumerate(stream(payload, 4), start=1)]
    for event in events[:2]:
        assert server.post("full", event)[0] == 200
    pid, limit = server.process.pid, resource.RLIMIT_FSIZE
    before = resource.prlimit(pid, limit)
    resource.prlimit(pid, limit, (1, before[1]))
    status, answer = server.post("full", events[2])
    assert (status, answer["error"]["code"]) == (503, "store_failed")
    assert server.get("/readyz") == (503, {"status": "store_failed"})
    assert server.get("/healthz")[0] == 200
    assert server.counter("tidegate_store_failures_total") >= 1
    # Nothing changed: what was answered is still there, what was not is not.
    assert server.get(server.path("full"))[1]["seq"] == 2
    assert server.post("full", events[1])[1]["duplicate"] is True
    resource.prlimit(pid, limit, before)
    deadline = time.monotonic() + 20
    while server.get("/readyz")[0] != 200:  # it comes back by itself
        assert time.monotonic() < deadline
    answers = [server.post("full", event) for event in events[2:]]
    assert [status for status, _ in answers] == [200, 200]
    server.end(signal.SIGKILL)
    again = start()
    retried = [
        again.request("POST", again.path("full") + "/events", json.dumps(e).encode())[1]
        for e in events
    ]
    assert [json.loads(body)["answer"] for body in retried] == expected


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_a_bundle_that_cannot_be_used_is_refused(start, saved_bundle, tmp_path, damage):
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in saved_bundle.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    weights = copy / "weights.safetensors"
    if damage == "missing":
        weights.unlink()
    else:
        weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    server = start(copy)
    assert server.said["code"] == {"missing": "bundle_missing", "changed": "bundle_damaged"}[damage]
    assert server.said["field"] == "weights.safetensors"
