"""How much of a streamed answer its client has taken.

granian keeps what it is given until the client takes it, all of it, and does not say how much that
is. The system knows what has reached the client: a stream that gets long asks it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import struct
from time import monotonic

__all__ = ["AHEAD", "Outflow"]

AHEAD = 4 * 2**20
"""Bytes of an answer that may be on their way to its client."""

_LOOKS = 0.02
"""Seconds between two looks at a client that does not take its answers."""

# Of struct tcp_info in linux/tcp.h: the state, and tcpi_bytes_acked (RFC 4898).
_STATE = struct.Struct("=B")
_ACKED = struct.Struct("=120xQ")
_LEFT = frozenset({7})  # TCP_CLOSE: the client broke the connection off


class Outflow:
    """The bytes of one response between the server and its client.

    Parameters
    ----------
    client, server : str
        The addresses of the connection's two ends, as RSGI has them.
    seconds : float
        How long the client may take nothing.

    Notes
    -----
    A short answer costs an addition. Where the system does not tell what a client has taken
    (it is not Linux), nothing is waited for.
    """

    def __init__(self, client: str, server: str, seconds: float) -> None:
        self._ends = (client, server)
        self._seconds = seconds
        self._open = 0  # bytes that have not been seen to arrive
        self._acked = 0
        self._socket: socket.socket | None = None
        self._unknown = False

    async def sent(self, size: int) -> None:
        """Say that bytes were sent; wait while too many are on their way.

        Raises
        ------
        TimeoutError
            The client took none of them for too long; its connection has been ended.
        """
        self._open += size
        if self._open <= AHEAD or self._unknown:
            return
        if self._socket is None:
            self._socket = _find(*self._ends)
            if self._socket is None:
                self._unknown = True
                return
            # What was taken before is not known: from here on it counts as if it had been.
            self._open = 0
            self._acked, _ = _told(self._socket)
            return
        until = monotonic() + self._seconds
        acked = self._acked
        while not self._look(self._socket):
            if self._acked > acked:
                until, acked = monotonic() + self._seconds, self._acked
            elif monotonic() > until:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)
                raise TimeoutError
            await asyncio.sleep(_LOOKS)

    def _look(self, connection: socket.socket) -> bool:
        """Count what has arrived; say whether more may be sent."""
        acked, left = _told(connection)
        self._open = max(self._open - (acked - self._acked), 0)
        self._acked = acked
        return left or self._open <= AHEAD

    def close(self) -> None:
        """Let go of the connection."""
        if self._socket is not None:
            self._socket.close()


def _told(connection: socket.socket) -> tuple[int, bool]:
    """Return how many bytes the other end has had, and whether it left."""
    told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKED.size)
    if len(told) < _ACKED.size:
        raise OSError
    return _ACKED.unpack(told)[0], _STATE.unpack_from(told)[0] in _LEFT


def _find(client: str, server: str) -> socket.socket | None:
    """Return a copy of this process's socket between two addresses; None: it has none."""
    try:
        descriptors = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        return None
    for descriptor in descriptors:
        try:
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                continue
            copy = os.dup(descriptor)  # granian may close its own at any time
        except OSError:
            continue
        found = socket.socket(fileno=copy)
        try:
            if _name(found.getpeername()) == client and _name(found.getsockname()) == server:
                _told(found)
                return found
        except OSError:
            pass
        found.close()
    return None


def _name(address: object) -> str:
    if not isinstance(address, tuple):
        return ""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
