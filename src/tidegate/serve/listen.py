"""The listening socket, and granian on top of it."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import threading
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

from granian._granian import SocketHolder
from granian.constants import Interfaces
from granian.log import LOGGING_CONFIG, LogLevels
from granian.server.embed import Server as Granian

from tidegate.errors import InputError

__all__ = [
    "HttpServer",
    "await_native_threads",
    "bind",
    "is_loopback",
    "native_threads",
    "url_of",
]

_BACKLOG = 1024


def bind(host: str, port: int) -> socket.socket:
    """Listen on an address that nobody else listens on.

    granian itself would bind with SO_REUSEPORT: a second server on the same port would silently get
    a share of the connections.

    Parameters
    ----------
    host : str
        Name or address.
    port : int
        0 takes any free one.

    Returns
    -------
    socket.socket
        Listening.

    Raises
    ------
    InputError
        ``port_in_use``, or ``cannot_bind`` for any other reason.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _cannot_bind(host, port, error) from error
    try:
        # Lets a restarted server have its port back at once; does not let two servers share it.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise _cannot_bind(host, port, error) from error
    return listener


def is_loopback(listener: socket.socket) -> bool:
    """Say whether only this machine can reach a listener."""
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def url_of(listener: socket.socket) -> str:
    """Return a listener's address as a client would write it."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class HttpServer(Granian):
    """granian, embedded, on a socket that is ours.

    Parameters
    ----------
    app : object
        The RSGI application.
    listener : socket.socket
        From `bind`; the server takes it over.
    """

    def __init__(self, app: Any, listener: socket.socket) -> None:
        # Its console would be stdout, which is ours to speak on.
        logging: dict[str, Any] = deepcopy(LOGGING_CONFIG)
        logging["handlers"]["console"]["stream"] = "ext://sys.stderr"
        super().__init__(
            app,
            interface=Interfaces.RSGI,
            backlog=_BACKLOG,
            websockets=False,
            log_level=LogLevels.error,
            log_dictconfig=logging,
        )
        self._listener = listener

    def _init_shared_socket(self) -> None:
        # granian's stubs leave out that a holder can be made of a descriptor; pickling one does so.
        holder: Any = SocketHolder
        self._shd = holder(self._listener.detach(), False, _BACKLOG)

    def abandon(self) -> None:
        """Drop the connections that did not end when the server was told to stop."""
        for worker in self.wrks:
            worker.kill()  # type: ignore[no-untyped-call]


def native_threads() -> set[str]:
    """Return the ids of this process's threads, those that Python does not know included."""
    try:
        return set(os.listdir("/proc/self/task"))
    except FileNotFoundError:  # not Linux
        return set()


def await_native_threads(before: set[str], seconds: float) -> None:
    """Wait for granian's threads to end, after its server has.

    Its last callbacks may still want the interpreter's lock. Were the interpreter gone by then,
    they would panic, and take the process's exit status with them.

    Parameters
    ----------
    before : set of str
        `native_threads`, from before the server was made.
    seconds : float
        When to stop waiting: a connection that was abandoned keeps its thread.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        known = {str(thread.native_id) for thread in threading.enumerate()}
        if not any(_is_unnamed(thread) for thread in native_threads() - before - known):
            return
        time.sleep(0.001)


def _is_unnamed(thread: str) -> bool:
    """Say whether a thread has the process's name, as granian's have and the store's have not."""
    try:
        name = Path("/proc/self/task", thread, "comm").read_text()
    except OSError:  # it has just ended
        return False
    return name == Path("/proc/self/comm").read_text()


def _cannot_bind(host: str, port: int, error: OSError) -> InputError:
    if error.errno == errno.EADDRINUSE:
        return InputError(
            "port_in_use",
            f"another process listens on {host}:{port}",
            field="port",
            hint="choose another port, or 0 for any free one",
        )
    return InputError(
        "cannot_bind",
        f"cannot listen on {host}:{port}: {error.strerror or error}",
        field="host",
        hint="give an address of this machine and a port from 1024 to 65535",
    )
