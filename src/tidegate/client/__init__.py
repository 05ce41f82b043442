"""A client of the server: it numbers events, repeats what was lost, and goes on after a crash.

Importing it loads neither the server nor torch; the HTTP library is the extra ``client``, and
`Client.score` needs the extra ``tables``.
"""

from tidegate.client.answers import Answer, SessionView
from tidegate.client.asynchronous import AsyncClient, AsyncSession
from tidegate.client.blocking import Client, Session
from tidegate.client.exchange import UnansweredError

__all__ = [
    "Answer",
    "AsyncClient",
    "AsyncSession",
    "Client",
    "Session",
    "SessionView",
    "UnansweredError",
]
