"""Lines streamed in and out on one connection, over real sockets."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time

import pytest
from exchange import Stream


def lines(*events):
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def code(answer):
    return answer["error"]["code"]


def test_answers_come_while_the_request_is_open(server, payload):
    with Stream(server.port) as stream:
        for seq in range(1, 4):
            stream.send_lines(payload(session="open", seq=seq), payload(session=f"open-{seq}"))
            if seq == 1:
                status, headers = stream.head()
                assert (status, headers["content-type"]) == (200, "application/x-ndjson")
            assert [stream.answer()["seq"] for _ in range(2)] == [seq, 1]
            assert server.get(server.path("open"))[1]["seq"] == seq  # what is answered is applied
        stream.end()
        assert stream.rest() == []


def test_a_line_may_come_in_pieces(server, payload):
    body = lines(payload(session="pieces", seq=1), payload(session="pieces", seq=2))
    with Stream(server.port) as stream:
        for at in range(0, len(body), 7):
            stream.send(body[at : at + 7])
        stream.end()
        assert stream.head()[0] == 200
        assert [answer["seq"] for answer in stream.rest()] == [1, 2]


def test_a_failure_holds_up_its_session_to_the_end_of_the_stream(server, payload):
    with Stream(server.port) as stream:
        stream.send_lines(payload("fast", session="bad", seq=1))
        stream.head()
        assert code(stream.answer()) == "wrong_type"
        stream.send_lines(payload(session="bad"), payload(session="good"))
        answers = [stream.answer(), stream.answer()]
        assert (code(answers[0]), answers[0]["line"], answers[1]["seq"]) == (
            "previous_failed",
            2,
            1,
        )
        stream.end()
    assert server.post("bad", payload())[1]["seq"] == 1


def test_a_last_line_without_an_end_may_be_a_part_of_one(server, payload):
    with Stream(server.port) as stream:
        stream.send(
            lines(payload(session="cut", seq=1)) + lines(payload(session="cut", seq=2))[:-1]
        )
        stream.end()
        assert stream.head()[0] == 200
        first, last = stream.rest()
        assert (first["seq"], code(last), last["line"]) == (1, "line_cut", 2)
    assert server.get(server.path("cut"))[1]["seq"] == 1
    # Nothing else came: then the request is refused.
    with Stream(server.port) as stream:
        stream.send(lines(payload(session="cut", seq=2))[:-1])
        stream.end()
        assert stream.head()[0] == 400


def test_where_the_length_is_known_the_last_line_needs_no_end(server, payload):
    status, answers = server.lines(lines(payload(session="known", seq=1))[:-1])
    assert (status, answers[0]["seq"]) == (200, 1)


def test_of_a_body_that_is_cut_whole_lines_are_applied(server, payload):
    body = lines(*(payload(session="torn", seq=seq) for seq in (1, 2)))
    for head in ("Transfer-Encoding: chunked", f"Content-Length: {len(body) + 400}"):
        with Stream(server.port, "/v1/models/small/events", head) as stream:
            data = body + lines(payload(session="torn", seq=3))[:-1]
            stream.send(data) if "chunked" in head else stream.socket.sendall(data)
            stream.head()
            assert [stream.answer()["seq"] for _ in range(2)] == [1, 2]
        # The line that was cut looks whole, but nobody knows.
        assert server.get(server.path("torn"))[1]["seq"] == 2


def test_a_line_that_is_too_long_ends_the_stream(start, payload):
    server = start(line_bytes=1000)
    with Stream(server.port) as stream:
        stream.send_lines(payload(session="long"))
        stream.head()
        assert stream.answer()["seq"] == 1
        stream.send(b"x" * 1001)
        last = stream.answer()
        assert (code(last), last["line"]) == ("line_too_long", 2)
        assert stream.chunk() == b""


def test_who_sends_nothing_more_is_not_waited_for(start, payload):
    server = start(body_seconds=0.2)
    with Stream(server.port) as stream:
        stream.send_lines(payload(session="idle"))
        stream.head()
        assert stream.answer()["seq"] == 1
        assert [code(answer) for answer in stream.rest()] == ["body_timeout"]
    with Stream(server.port) as stream:
        assert stream.head()[0] == 408
    assert server.get(server.path("idle"))[1]["seq"] == 1


@pytest.mark.parametrize("path", ["sessions/slow/events", "events"])
def test_a_body_that_never_comes_is_not_waited_for(start, path):
    server = start(body_seconds=0.2)
    head = ("Content-Length: 100", "Content-Type: application/json")
    with Stream(server.port, f"/v1/models/small/{path}", *head) as stream:
        stream.socket.sendall(b"{")
        status, headers = stream.head()
        body = stream.file.read(int(headers["content-length"]))
    assert (status, code(json.loads(body))) == (408, "body_timeout")
    assert server.counter("tidegate_requests_refused_total", code="body_timeout") == 1


def test_a_client_that_reads_late_holds_up_nobody(server, payload):
    events = [payload(session=f"late-{i}", seq=1, time=1.0) for i in range(500)]
    with Stream(server.port) as stream:
        for _ in range(100):
            stream.send_lines(*events)
        assert server.post("late-other", payload())[0] == 200
        stream.end()
        stream.head()
        assert [answer["session"] for answer in stream.rest()] == 100 * [
            event["session"] for event in events
        ]


def test_a_stream_may_be_longer_than_any_other_body(server, payload):
    """In bounded memory, and 100,000 events are no bound."""
    with Stream(server.port) as stream:
        piece = lines(*(payload(session=f"many-{i % 50}", time=1.0, seq=1) for i in range(1000)))
        seen = []

        def read():
            stream.head()
            seen.append(len(stream.rest()))

        reader = threading.Thread(target=read)
        reader.start()
        for _ in range(101):
            stream.send(piece)
        stream.end()
        reader.join(60)
    assert seen == [101_000]


def test_a_drain_ends_an_open_stream_and_keeps_what_it_answered(start, payload):
    server = start(grace_seconds=20.0)
    with Stream(server.port) as stream:
        stream.send_lines(payload(session="drain", seq=1))
        stream.head()
        assert stream.answer()["seq"] == 1
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert [code(answer) for answer in stream.rest()] == ["draining"]
        _, errors = server.process.communicate(timeout=30)
        assert (server.process.returncode, errors) == (0, "")
        assert time.monotonic() - began < 10.0
    assert start().get(server.path("drain"))[1]["seq"] == 1


def test_who_breaks_off_leaves_nothing_open(start, payload):
    server = start()
    for _ in range(3):
        with Stream(server.port) as stream:
            stream.send_lines(*(payload(session=f"gone-{i}") for i in range(100)))
            stream.socket.shutdown(socket.SHUT_RDWR)
    deadline = time.monotonic() + 20
    while server.counter("tidegate_connections") != 1:
        assert time.monotonic() < deadline
    assert server.end() == (0, "")


def test_an_event_that_waits_beyond_its_deadline_is_not_applied(server, payload):
    head = ("Content-Length: {}", "x-deadline-ms: 0")
    body = json.dumps(payload()).encode()
    given = [line.format(len(body)) for line in head]
    with Stream(server.port, "/v1/models/small/sessions/late/events", *given) as stream:
        stream.socket.sendall(body)
        status, headers = stream.head()
        assert code(json.loads(stream.file.read(int(headers["content-length"])))) == (
            "deadline_exceeded"
        )
        assert status == 504
    assert server.get(server.path("late"))[0] == 404
