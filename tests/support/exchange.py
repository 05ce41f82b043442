"""Connections that are fed and read a piece at a time, as a library would not do it."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
from types import TracebackType
from typing import Any


class Connection:
    """A socket; it is closed on leaving the context."""

    def __init__(self, port: int, timeout: float = 20.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.file = self.socket.makefile("rb")

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self.file.close()
        self.socket.close()

    def head(self) -> tuple[int, dict[str, str]]:
        """Read the head of a response."""
        status = int(self.file.readline().split()[1])
        headers = {}
        while (line := self.file.readline().strip()) != b"":
            name, _, value = line.decode().partition(": ")
            headers[name.lower()] = value
        return status, headers


class Stream(Connection):
    """A chunked POST whose answer is read while its body is still being sent."""

    def __init__(self, port: int, path: str = "/v1/models/small/events", *headers: str) -> None:
        super().__init__(port)
        self._rest = b""
        lines = [f"POST {path} HTTP/1.1", "Host: x", *(headers or ["Transfer-Encoding: chunked"])]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())

    def send(self, data: bytes) -> None:
        self.socket.sendall(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def send_lines(self, *events: Any) -> None:
        self.send(b"".join(json.dumps(event).encode() + b"\n" for event in events))

    def end(self) -> None:
        self.socket.sendall(b"0\r\n\r\n")

    def chunk(self) -> bytes:
        """Read a chunk of the answer; b"" is its end."""
        size = int(self.file.readline(), 16)
        data = self.file.read(size)
        self.file.readline()
        return data

    def answer(self) -> Any:
        """Read a line of the answer."""
        while b"\n" not in self._rest:
            data = self.chunk()
            assert data, "the answer has ended"
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return json.loads(line)

    def rest(self) -> list[Any]:
        """Read the lines to the end of the answer."""
        while data := self.chunk():
            self._rest += data
        return [json.loads(line) for line in self._rest.splitlines()]


TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class WebSocket(Connection):
    """RFC 6455, as far as the tests go."""

    def __init__(self, port: int, path: str = "/v1/models/small/ws", *headers: str) -> None:
        super().__init__(port)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {path} HTTP/1.1",
            "Host: x",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            *headers,
        ]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        self.status, _ = self.head()

    def send_frame(self, kind: int, data: bytes, *, last: bool = True) -> None:
        size = len(data)
        if size < 126:
            head = struct.pack("!BB", 128 * last + kind, 128 + size)
        elif size < 65536:
            head = struct.pack("!BBH", 128 * last + kind, 128 + 126, size)
        else:
            head = struct.pack("!BBQ", 128 * last + kind, 128 + 127, size)
        self.socket.sendall(head + bytes(4) + data)  # masked with zeros

    def send(self, content: Any) -> None:
        self.send_frame(
            TEXT, content if isinstance(content, bytes) else json.dumps(content).encode()
        )

    def frame(self) -> tuple[int, bytes]:
        """Read a frame; CLOSE where the connection has ended without one."""
        head = self.file.read(2)
        if len(head) < 2:
            return CLOSE, b""
        size = head[1] & 127
        if size == 126:
            [size] = struct.unpack("!H", self.file.read(2))
        elif size == 127:
            [size] = struct.unpack("!Q", self.file.read(8))
        return head[0] & 15, self.file.read(size)

    def receive(self) -> Any:
        kind, data = self.frame()
        assert kind == TEXT, (kind, data)
        return json.loads(data)

    def ask(self, content: Any) -> Any:
        self.send(content)
        return self.receive()
