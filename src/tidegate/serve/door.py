"""The way into a server: a socket, how many may come, and who."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from tidegate.errors import InputError
from tidegate.serve import listen
from tidegate.serve.auth import Keys
from tidegate.serve.config import ServeSettings
from tidegate.serve.exposure import check_certificate, check_exposure

__all__ = ["Door"]

_log = logging.getLogger(__name__)


class Door:
    """A listening socket with what protects it, all checked; closed at the end of a ``with``.

    Parameters
    ----------
    settings : ServeSettings
        What to listen on, and what it asks for.

    Attributes
    ----------
    url : str
        Its address, as a client would write it.
    port : int
        The port that it has.
    certificate_expires : float
        In unix seconds; 0 without TLS.
    keys : Keys or None
        Whom it lets in; None is everybody.

    Raises
    ------
    InputError
        ``port_in_use``, ``cannot_bind``, ``exposed``, or what `check_certificate` and `Keys.load`
        raise.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listener = listen.bind(settings.host, settings.port)
        try:
            self._check(settings)
        except BaseException:
            self._listener.close()
            raise

    def _check(self, settings: ServeSettings) -> None:
        warning = check_exposure(settings, loopback=listen.is_loopback(self._listener))
        if warning is not None:
            _log.warning("%s, as insecure allows", warning)
        self._connections = listen.allow_files(settings.max_connections)
        if self._connections < settings.max_connections:
            _log.warning(
                "the limit of open files (ulimit -n) allows %d connections", self._connections
            )
        self._tls = (Path(settings.tls_cert), Path(settings.tls_key)) if settings.tls_cert else None
        self.certificate_expires = 0.0 if self._tls is None else check_certificate(*self._tls)
        self.keys = Keys.load(settings.api_keys) if settings.api_keys else None
        if self.keys is not None and not len(self.keys):
            _log.warning("%s holds no key: every request will be refused", settings.api_keys)
        self.url = listen.url_of(self._listener, tls=self._tls is not None)
        self.port = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        if self.keys is not None:
            self._before = signal.signal(signal.SIGHUP, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        if self.keys is not None:
            signal.signal(signal.SIGHUP, self._before)
        self._listener.close()

    def reload_in(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on SIGHUP calls `reload` in this loop, until it is closed.

        Before and after it changes nothing: it must not kill a process that closes its store.
        """
        self._loop = loop

    def _ask(self, *_: object) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.reload)

    @property
    def authorize(self) -> Callable[[str | None], str | None] | None:
        """What a request is checked with: `Keys.check`, or None to let everybody in."""
        return None if self.keys is None else self.keys.check

    def server(self, app: Any) -> listen.HttpServer:
        """Return an HTTP server for those who come; it takes the socket over."""
        return listen.HttpServer(
            app, self._listener, tls=self._tls, max_connections=self._connections
        )

    def reload(self) -> None:
        """Read the keys again; where that fails, they stay as they were, and the log says so."""
        if self.keys is None:
            return
        try:
            self.keys.reload()
        except InputError as error:
            _log.error("the API keys stay as they were: %s", error)
        else:
            _log.info("API keys read again", extra={"keys": len(self.keys)})
