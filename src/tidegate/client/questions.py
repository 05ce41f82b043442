"""What the client asks of a server beside events: sessions and models."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from tidegate.client.answers import SessionView, parse
from tidegate.client.exchange import Exchange, Request, Retries, expect, persist
from tidegate.errors import InputError, SequenceError, shown

__all__ = ["delete", "describe", "read", "session_path"]


def session_path(model: str, session: str) -> str:
    """Return the path of a session.

    Examples
    --------
    >>> session_path("late", "a/b"), session_path("late", "..")
    ('/v1/models/late/sessions/a%2Fb', '/v1/models/late/sessions/%2E%2E')
    """
    try:
        encoded = quote(session, safe="")
    except UnicodeEncodeError:
        raise InputError(
            "bad_session_id", f"{shown(session)} is not valid Unicode", field="session"
        ) from None
    if encoded in (".", ".."):  # a path would swallow them
        encoded = encoded.replace(".", "%2E")
    return f"/v1/models/{quote(model, safe='')}/sessions/{encoded}"


def read(model: str, session: str, retries: Retries) -> Exchange[SessionView]:
    """Ask what the server knows of a session."""
    request = Request("GET", session_path(model, session))
    reply = yield from persist(request, retries, f"session {session!r}")
    view: SessionView = parse(expect(reply), SessionView)
    return view


def delete(model: str, session: str, retries: Retries) -> Exchange[None]:
    """Let the server forget a session; one that there is not stays so."""
    request = Request("DELETE", session_path(model, session))
    reply = yield from persist(request, retries, f"the end of session {session!r}")
    try:
        expect(reply)
    except SequenceError as error:
        if error.code not in ("session_unknown", "session_deleted"):
            raise


def describe(model: str, retries: Retries) -> Exchange[dict[str, Any]]:
    """Ask for a model's description."""
    request = Request("GET", f"/v1/models/{quote(model, safe='')}")
    reply = yield from persist(request, retries, f"the description of {model!r}")
    found: dict[str, Any] = parse(expect(reply), dict[str, Any])
    return found
