"""The HTTP library, behind one door, and what its words mean to the client."""

from __future__ import annotations

import math
import ssl
from types import ModuleType
from typing import TYPE_CHECKING, Any

import msgspec

from tidegate.client.exchange import Lost, Reply, Retries
from tidegate.errors import InputError

if TYPE_CHECKING:
    import httpx

__all__ = ["Settings", "lost", "reply_of", "transport"]


def transport() -> ModuleType:
    """Return the HTTP library.

    Raises
    ------
    InputError
        ``missing_extra``.
    """
    try:
        import httpx
    except ImportError as error:
        raise InputError(
            "missing_extra", "httpx is not installed", hint="pip install 'tidegate[client]'"
        ) from error
    return httpx


class Settings(msgspec.Struct, frozen=True):
    """How a server is reached; see `Client`."""

    url: str
    api_key: str | None
    timeout: float
    deadline: float
    verify: bool | ssl.SSLContext

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise _bad("url", self.url, "use http://HOST:PORT or https://HOST:PORT")
        try:
            transport().URL(self.url)
        except transport().InvalidURL as error:
            raise _bad("url", self.url, f"{error}") from None
        for name in ("timeout", "deadline"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise _bad(name, value, "use seconds above 0")

    def retries(self) -> Retries:
        """Return how long something is tried for."""
        return Retries(self.deadline)

    def options(self) -> dict[str, Any]:
        """Return the options of both of the library's clients."""
        key = {} if self.api_key is None else {"authorization": f"Bearer {self.api_key}"}
        return {
            "base_url": self.url,
            "headers": key,
            "timeout": self.timeout,
            "verify": self.verify,
            "trust_env": False,  # a proxy of the environment is not meant for a server on loopback
        }


def _bad(field: str, value: object, hint: str) -> InputError:
    return InputError("bad_setting", f"{value!r} is not allowed", field=field, hint=hint)


def reply_of(response: httpx.Response) -> Reply:
    """Return a whole answer."""
    return Reply(response.status_code, response.headers, response.content)


def lost(error: httpx.RequestError) -> Lost:
    """Say what a failed connection means."""
    httpx = transport()
    never_sent = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
    why = f"{type(error).__name__}: {error}".rstrip(": ")
    return Lost(why, sent=not isinstance(error, never_sent))
