"""The listening socket, and granian on top of it."""

from __future__ import annotations

import errno
import ipaddress
import resource
import socket
from pathlib import Path
from typing import Any

from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server.embed import Server as Granian

from tidegate.errors import InputError

__all__ = [
    "HttpServer",
    "allow_files",
    "bind",
    "is_loopback",
    "url_of",
]

_BACKLOG = 1024
_OTHER_FILES = 512  # the store's segments, libraries, pipes


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
        # For every connection that it takes: the head of an answer would hold back its body until
        # the client has said that it has the head, which it does 40 ms later.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise _cannot_bind(host, port, error) from error
    return listener


def allow_files(connections: int) -> int:
    """Raise this process's limit of open files so far that it has room for connections.

    Parameters
    ----------
    connections : int
        Of clients, at once.

    Returns
    -------
    int
        How many of them there is room for: fewer, if the system allows no more.

    Notes
    -----
    Many systems start a process with 1,024 files. One that has used them up cannot open a file of
    its store, either.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHER_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return min(connections, max(wanted - _OTHER_FILES, 1))


def is_loopback(listener: socket.socket) -> bool:
    """Say whether only this machine can reach a listener."""
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def url_of(listener: socket.socket, *, tls: bool = False) -> str:
    """Return a listener's address as a client would write it."""
    scheme = "https" if tls else "http"
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


class HttpServer(Granian):
    """granian, embedded, on a socket that is ours.

    Parameters
    ----------
    app : object
        The RSGI application.
    listener : socket.socket
        From `bind`; the server takes it over.
    tls : pair of Path, optional
        PEM files of a certificate and its key; see `exposure.check_certificate`. TLS 1.3 only.
    max_connections : int
        Connections served at once; the system holds further ones back until one ends.
    """

    def __init__(
        self,
        app: Any,
        listener: socket.socket,
        *,
        tls: tuple[Path, Path] | None = None,
        max_connections: int = 1024,
    ) -> None:
        cert, key = tls or (None, None)
        super().__init__(
            app,
            interface=Interfaces.RSGI,
            # In HTTP/2 a body needs neither a length nor chunks: nothing would say how large it is
            # before it is all in memory.
            http=HTTPModes.http1,
            backlog=_BACKLOG,
            backpressure=max_connections,
            websockets=True,
            log_level=LogLevels.error,
            # Only the level of its logger: who writes its lines, and where, is for `logs` to say.
            log_dictconfig={"incremental": True, "handlers": {}, "loggers": {}},
            ssl_cert=cert,
            ssl_key=key,
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
