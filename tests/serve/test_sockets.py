"""Events over a WebSocket of a real server."""

from __future__ import annotations

import json
import signal
import time

import pytest
from exchange import CLOSE, PING, PONG, TEXT, WebSocket

from tidegate.serve.auth import add_key


def code(answer):
    return answer["error"]["code"]


def test_one_connection_carries_many_sessions(server, payload):
    with WebSocket(server.port) as ws:
        assert ws.status == 101
        for seq in (1, 2, 3):
            for session in ("ws-a", "ws-b"):
                said = ws.ask(payload(session=session, seq=seq, time=1.0))
                assert (said["session"], said["seq"]) == (session, seq)
        again = ws.ask(payload(session="ws-a", seq=3, time=1.0))
        assert again["duplicate"]
    # It is the same session, whatever the way to it.
    assert server.post("ws-a", payload(seq=3, time=1.0))[1]["answer"] == again["answer"]


def test_a_list_is_answered_with_a_list(server, payload):
    with WebSocket(server.port) as ws:
        said = ws.ask(
            [
                payload(session="ws-list", seq=1),
                payload("fast", session="ws-list", seq=2),
                payload(session="ws-list"),
                payload(session="ws-list-2"),
                7,
            ]
        )
        assert said[0]["seq"] == 1
        assert [code(each) for each in said[1:3]] == ["wrong_type", "previous_failed"]
        assert (said[3]["session"], code(said[4])) == ("ws-list-2", "not_an_object")
        # The next frame is another request.
        assert ws.ask(payload(session="ws-list"))["seq"] == 2
        assert ws.ask([]) == []


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (b"", "bad_json"),
        (b"{", "bad_json"),
        (b"[{]", "bad_json"),
        (b"7", "not_an_object"),
        (b'{"event": {}}', "missing_member"),
        (b'{"session": "ws-bad", "event": {"wings": 2}}', "unknown_field"),
        (b'{"session": "ws-bad", "event": {"speed": NaN}}', "not_finite"),
        (b'{"session": "ws-bad", "event": {"speed": 1}, "seq": 4}', "seq_gap"),
        (b"[" + b'{"session": "ws-bad", "event": {}},' * 513 + b"7]", "too_many_events"),
    ],
)
def test_an_error_is_told_in_a_frame_and_the_connection_goes_on(server, payload, frame, expected):
    with WebSocket(server.port) as ws:
        assert code(ws.ask(frame)) == expected
        session = f"ws-after-{expected}-{len(frame)}"
        assert ws.ask(payload(session=session))["seq"] == 1
    assert server.get(server.path("ws-bad"))[0] == 404


def test_frames_are_answered_in_their_order(server, payload):
    with WebSocket(server.port) as ws:
        for seq in range(1, 201):
            ws.send(payload("fast" if seq == 100 else 1.0, session=f"ws-order-{seq}", seq=1))
        found = [ws.receive() for _ in range(200)]
        assert code(found.pop(99)) == "wrong_type"
        assert [said["session"] for said in found] == [
            f"ws-order-{seq}" for seq in range(1, 201) if seq != 100
        ]


def test_lone_events_wait_for_those_before_them_where_they_may(start, payload):
    server = start(reorder_ms=10_000)
    with WebSocket(server.port) as ws:
        for seq in (3, 2, 1):
            ws.send(payload(session="ws-early", seq=seq, time=float(seq)))
        found = [ws.receive() for _ in range(3)]
        assert [(said["seq"], "answer" in said) for said in found] == [(3, 1), (2, 1), (1, 1)]
        assert code(ws.ask(payload("fast", session="ws-early"))) == "wrong_type"


def test_a_frame_may_come_as_bytes_or_in_fragments(server, payload):
    body = json.dumps(payload(session="ws-kinds")).encode()
    with WebSocket(server.port) as ws:
        ws.send_frame(2, body)
        assert ws.receive()["seq"] == 1
        ws.send_frame(TEXT, body[:10], last=False)
        ws.send_frame(PING, b"still there?")
        ws.send_frame(0, body[10:])
        frames = [ws.frame(), ws.frame()]
        assert (PONG, b"still there?") in frames
        [answer] = [json.loads(data) for kind, data in frames if kind == TEXT]
        assert answer["seq"] == 2


def test_big_frames(start, payload):
    server = start(line_bytes=100_000)
    fitting = [payload(session=f"ws-big-{i}") for i in range(500)]
    with WebSocket(server.port) as ws:
        assert len(ws.ask(fitting)) == 500
        assert code(ws.ask([*fitting[:10], " " * 100_000])) in ("body_too_large", "line_too_long")
        assert ws.ask(payload(session="ws-big-0"))["seq"] == 2


def test_a_close_is_answered(server, payload):
    with WebSocket(server.port) as ws:
        ws.ask(payload(session="ws-close"))
        ws.send_frame(CLOSE, (1000).to_bytes(2, "big"))
        assert ws.frame()[0] == CLOSE
    assert server.counter("tidegate_websocket_connections") == 0


@pytest.mark.parametrize(
    "path", ["/v1/models/none/ws", "/v1/models/small/sockets", "/ws", "/v1/models/small"]
)
def test_there_is_one_path(server, path):
    with WebSocket(server.port, path) as ws:
        assert ws.status == 404


def test_events_ask_for_a_key_here_too(start, payload, tmp_path):
    keys = tmp_path / "keys"
    key = add_key(keys, "ann")
    server = start(api_keys=str(keys))
    with WebSocket(server.port) as ws:
        assert ws.status == 401
    with WebSocket(server.port, "/v1/models/small/ws", f"Authorization: Bearer {key}") as ws:
        assert ws.ask(payload(session="s"))["seq"] == 1


def test_a_drain_answers_what_came_and_closes(start, payload):
    server = start(grace_seconds=20.0)
    with WebSocket(server.port) as ws:
        assert ws.ask(payload(session="s"))["seq"] == 1
        server.process.send_signal(signal.SIGTERM)
        assert ws.frame()[0] == CLOSE
        _, errors = server.process.communicate(timeout=30)
    assert (server.process.returncode, errors) == (0, "")
    assert start().get(server.path("s"))[1]["seq"] == 1


def fills(ws, frame):
    """Send until the server takes no more."""
    try:
        while True:
            ws.send(frame)
    except TimeoutError:
        return


def test_a_client_that_does_not_read_leaves_nothing_behind(start, payload):
    """Its answers fill the network, then its frames wait there; when it goes, all of it does."""
    server = start(grace_seconds=20.0)
    frame = [payload(session=f"ws-full-{i}", seq=1, time=1.0) for i in range(500)]
    with WebSocket(server.port) as ws:
        ws.socket.settimeout(1.0)
        fills(ws, frame)
        assert server.post("ws-other", payload())[0] == 200
    began = time.monotonic()
    assert server.end() == (0, "")
    assert time.monotonic() - began < 10.0
