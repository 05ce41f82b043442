"""Clients that want to take the server's memory or time from the others."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

_BULK = "/v1/models/small/events"
_SOCKET = "/v1/models/small/ws"


@contextlib.contextmanager
def connected(server: Any) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        yield client


@contextlib.contextmanager
def web_socket(server: Any) -> Iterator[socket.socket]:
    with connected(server) as client:
        client.sendall(
            f"GET {_SOCKET} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDAwMDAwMDAwMDAwMDAwMA=="
            "\r\n\r\n".encode()
        )
        assert client.recv(4096).startswith(b"HTTP/1.1 101")
        yield client


def frame(content: Any) -> bytes:
    data = json.dumps(content).encode()
    return b"\x81" + struct.pack(">BQ", 0xFF, len(data)) + b"\0\0\0\0" + data


def read_frame(client: socket.socket) -> tuple[int, bytes]:
    """Return the opcode and the payload of the next frame."""
    with client.makefile("rb", buffering=0) as pipe:

        def read(size: int) -> bytes:
            data = b""
            while len(data) < size:
                piece = pipe.read(size - len(data))
                assert piece, "the connection ended within a frame"
                data += piece
            return data

        first, size = read(2)
        if size == 126:
            [size] = struct.unpack(">H", read(2))
        elif size == 127:
            [size] = struct.unpack(">Q", read(8))
        return first & 15, read(size)


def flood(client: socket.socket, data: bytes, most: int) -> int:
    """Send again and again, until the server does not take any more; return how often."""
    client.settimeout(1.0)
    for count in range(most):
        try:
            client.sendall(data)
        except OSError:
            return count
    return most


def eventually(holds: Callable[[], bool], seconds: float = 15.0) -> bool:
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def peak(server: Any) -> int:
    """Return the most memory that the server has had so far, in MB."""
    with open(f"/proc/{server.process.pid}/status") as status:
        [line] = [line for line in status if line.startswith("VmHWM")]
    return int(line.split()[1]) // 1024


def head(length: str) -> bytes:
    return f"POST {_BULK} HTTP/1.1\r\nHost: x\r\n{length}\r\n\r\n".encode()


# WebSockets


@pytest.fixture
def many(payload: Callable[..., dict[str, Any]]) -> bytes:
    return frame([payload(session=f"w{i}") for i in range(400)])


def test_a_web_socket_is_let_go_when_its_client_leaves_without_reading(
    start: Callable[..., Any], many: bytes
) -> None:
    server = start(grace_seconds=20)
    with web_socket(server) as client:
        assert flood(client, many, 2000) < 2000
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert eventually(lambda: server.counter("tidegate_websocket_connections") == 0)
    began = time.monotonic()
    assert server.end() == (0, "")
    assert time.monotonic() - began < 10


def test_a_web_socket_whose_client_does_not_read_is_closed(
    start: Callable[..., Any], many: bytes
) -> None:
    server = start(body_seconds=1)
    with web_socket(server) as client:
        assert flood(client, many, 2000) < 2000
        assert eventually(lambda: server.counter("tidegate_websocket_connections") == 0)
        client.settimeout(20)
        with contextlib.suppress(ConnectionResetError):
            while client.recv(1 << 20):
                pass


def test_an_error_over_a_web_socket_says_whose_it_is(
    server: Any, payload: Callable[..., dict[str, Any]]
) -> None:
    def ask(content: Any) -> Any:
        client.sendall(frame(content))
        return json.loads(read_frame(client)[1])

    def whose(answer: dict[str, Any]) -> tuple[str | None, str | None, int | None]:
        error = answer.get("error", {}).get("code")
        return error, answer.get("session"), answer.get("seq")

    with web_socket(server) as client:
        events = [
            payload(session="e1", seq=1),
            payload(session="e2", seq=7),
            payload(float("nan"), session="e3", seq=5),
            payload(session="e4", seq=3, start="no"),
            payload(session="e5", seq=10**30),
            payload(float("nan"), session="e6", seq=10**30),
            payload(float("nan"), session="e7"),
            payload(seq=6),
            7,
        ]
        assert [whose(answer) for answer in ask(events)] == [
            (None, "e1", 1),
            ("seq_gap", "e2", 7),
            ("not_finite", "e3", 5),
            ("wrong_type", "e4", 3),
            ("wrong_type", "e5", None),
            ("not_finite", "e6", None),
            ("not_finite", "e7", None),
            ("missing_member", None, 6),
            ("not_an_object", None, None),
        ]
        assert whose(ask(payload(session="e2", seq=8))) == ("seq_gap", "e2", 8)
        assert whose(ask(payload(float("inf"), session="e2", seq=8))) == ("not_finite", "e2", 8)
        assert whose(ask([payload()] * 600)) == ("too_many_events", None, None)
        assert ask([]) == []


def test_a_drain_closes_web_sockets(
    start: Callable[..., Any], payload: Callable[..., dict[str, Any]]
) -> None:
    server = start()
    with web_socket(server) as client:
        client.sendall(frame(payload(session="a")))
        assert read_frame(client)[0] == 1
        server.process.terminate()
        assert read_frame(client)[0] == 8
    server.process.communicate(timeout=30)
    assert server.process.returncode == 0


def test_a_client_that_does_not_close_its_web_socket_holds_up_no_drain(
    start: Callable[..., Any], payload: Callable[..., dict[str, Any]]
) -> None:
    server = start()
    with web_socket(server) as client:
        client.sendall(frame(payload(session="a")))
        assert read_frame(client)[0] == 1
        server.process.terminate()
        server.process.communicate(timeout=30)
        assert read_frame(client)[0] == 8
    assert server.process.returncode == 0


# HTTP/2


def test_http_2_is_not_spoken(server: Any) -> None:
    # There, a body needs neither a length nor chunks.
    with connected(server) as client:
        client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
        answer = client.recv(4096)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")


# Lists


@pytest.mark.parametrize("member", [b"NaN,", b"1,"])
def test_a_list_of_millions_does_not_hold_up_the_others(
    start: Callable[..., Any], payload: Callable[..., dict[str, Any]], member: bytes
) -> None:
    server = start()
    before = peak(server)
    body = b"[" + member * ((16_000_000) // len(member)) + b"1]"
    with connected(server) as client:
        path = server.path("h") + "/events"
        length = f"Content-Length: {len(body)}\r\n"
        client.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\n{length}\r\n".encode() + body)
        # It has come by now, or nearly.
        began = time.monotonic()
        assert server.post("n", payload())[0] == 200
        assert time.monotonic() - began < 5
        assert b'"too_many_events"' in client.recv(4096)
    assert peak(server) - before < 400


# Bodies


def test_bodies_that_do_not_come_take_no_memory(
    start: Callable[..., Any], payload: Callable[..., dict[str, Any]]
) -> None:
    server = start()
    begin = (
        f"POST {server.path('x')}/events HTTP/1.1\r\nHost: x\r\nContent-Length: {2**24}\r\n\r\n["
    )
    with contextlib.ExitStack() as idle:
        for _ in range(20):
            idle.enter_context(connected(server)).sendall(begin.encode())
        assert server.post("n", payload())[0] == 200  # by now the others are being read
        assert server.post("m", [payload() for _ in range(1000)])[0] == 200


def test_bodies_that_come_take_memory_as_long_as_they_are_read(start: Callable[..., Any]) -> None:
    server = start(max_body_memory_mb=1, body_bytes=2**20)
    size = 700_000
    path = server.path("x") + "/events"
    asked = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode()

    def refused() -> bool:
        status, body, _ = server.request("POST", path, b" " * size)
        return (status, json.loads(body)["error"]["code"]) == (503, "overloaded")

    held = 0
    while held < 3:
        with connected(server) as first:
            first.sendall(asked + b" " * (size - 1))

            def is_answered() -> bool:
                return bool(select.select([first], [], [], 0)[0])

            assert eventually(lambda: is_answered() or refused())
            if is_answered():  # the other body came while this one did, and had the memory
                assert first.recv(4096).startswith(b"HTTP/1.1 503")
                continue
            first.sendall(b"x")
            assert first.recv(4096).startswith(b"HTTP/1.1 400")
        held += 1
        assert server.request("POST", path, b" " * size)[0] == 400


def test_a_drain_waits_for_lines_that_have_a_length(
    start: Callable[..., Any], payload: Callable[..., dict[str, Any]]
) -> None:
    server = start(grace_seconds=20)
    first, rest = (json.dumps(payload(session=name)).encode() + b"\n" for name in "ab")
    with connected(server) as client:
        client.sendall(head(f"Content-Length: {len(first + rest)}") + first)
        answer = client.recv(65_536)
        while b'"session":"a"' not in answer:
            answer += client.recv(65_536)
        server.process.terminate()
        assert eventually(lambda: server.get("/readyz")[1] == {"status": "draining"})
        client.sendall(rest)
        while b'"session":"b"' not in answer:
            piece = client.recv(65_536)
            assert piece, answer
            answer += piece
    assert b'"error"' not in answer
    server.process.communicate(timeout=30)
    assert server.process.returncode == 0


def test_the_lines_before_one_that_is_too_long_are_answered(
    start: Callable[..., Any], payload: Callable[..., dict[str, Any]]
) -> None:
    server = start(line_bytes=1000)
    line = json.dumps(payload(session="a")).encode()
    status, answers = server.lines(line + b"\n" + line + b"\n" + line + b" " * 1000 + b"\n" + line)
    assert status == 200
    assert [answer.get("seq") for answer in answers] == [1, 2, None]
    assert (answers[2]["error"]["code"], answers[2]["line"]) == ("line_too_long", 3)


# Answers that are not taken


@pytest.fixture
def chunk(payload: Callable[..., dict[str, Any]]) -> bytes:
    """Five hundred lines, as a chunk of a body."""
    lines = json.dumps(payload(session="w")).encode() + b"\n"
    return f"{len(lines) * 500:x}\r\n".encode() + lines * 500 + b"\r\n"


def test_a_stream_whose_client_does_not_read_is_held_and_then_ended(
    start: Callable[..., Any], chunk: bytes
) -> None:
    server = start(body_seconds=2)
    before = peak(server)
    with connected(server) as client:
        client.sendall(head("Transfer-Encoding: chunked"))
        assert flood(client, chunk, 800) < 800
        client.settimeout(20)
        with contextlib.suppress(ConnectionResetError):
            while client.recv(1 << 20):
                pass
    assert peak(server) - before < 100
    assert server.end() == (0, "")


def test_a_stream_whose_client_reads_late_goes_on(start: Callable[..., Any], chunk: bytes) -> None:
    server = start()
    count = 400
    with connected(server) as client:
        client.sendall(head("Transfer-Encoding: chunked"))
        sent = flood(client, chunk, count)
        assert sent < count
        client.settimeout(20)
        # Of the chunk that was under way, some may have been sent: it ends here.
        client.shutdown(socket.SHUT_WR)
        answers = 0
        while piece := client.recv(1 << 20):
            answers += piece.count(b'"seq":')
    assert answers >= sent * 500 - 500
