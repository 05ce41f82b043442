"""A WebSocket client of what is needed: text frames that go out whole, and the next one that comes.

RFC 6455; what a server may send beside text (a ping, a close) is answered or ends it.
"""

from __future__ import annotations

import base64
import os
import socket
import struct

__all__ = ["WebSocket"]

_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10


class WebSocket:
    """A connection to a path of a server on this machine; raises OSError when it ends."""

    def __init__(self, port: int, path: str, *, timeout: float = 20.0) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self._data = bytearray()
        try:
            self._shake_hands(port, path)
        except BaseException:
            self._socket.close()
            raise

    def _shake_hands(self, port: int, path: str) -> None:
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(os.urandom(16)).decode()
        self._socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        while b"\r\n\r\n" not in self._data:
            self._more()
        head, _, rest = bytes(self._data).partition(b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise ConnectionRefusedError(head[:200])
        self._data = bytearray(rest)

    def send(self, text: bytes) -> None:
        """Send a text frame."""
        self._frame(_TEXT, text)

    def receive(self) -> bytes:
        """Return the next text frame."""
        whole = b""
        while True:
            first, second = self._take(2)
            size = second & 127
            if size > 125:
                size = int.from_bytes(self._take(2 if size == 126 else 8), "big")
            data = self._take(size)
            kind = first & 15
            if kind == _PING:
                self._frame(_PONG, data)
            elif kind == _CLOSE:
                raise ConnectionResetError("closed")
            elif kind in (0, _TEXT):
                whole += data
                if first & 128:
                    return whole

    def close(self) -> None:
        """Let go of it, without a word."""
        self._socket.close()

    def _frame(self, kind: int, data: bytes) -> None:
        mask = os.urandom(4)
        size = len(data)
        if size < 126:
            head = bytes([128 | kind, 128 | size])
        else:
            head = bytes([128 | kind, 128 | 127]) + struct.pack(">Q", size)
        key = int.from_bytes(mask * (size // 4 + 1), "big") >> (8 * (4 - size % 4))
        masked = (int.from_bytes(data, "big") ^ key).to_bytes(size, "big")
        self._socket.sendall(head + mask + masked)

    def _take(self, n: int) -> bytes:
        while len(self._data) < n:
            self._more()
        taken = bytes(self._data[:n])
        del self._data[:n]
        return taken

    def _more(self) -> None:
        more = self._socket.recv(1 << 16)
        if not more:
            raise ConnectionResetError("it ended")
        self._data += more
