"""The client for programs with an event loop: the same words, awaited."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from tidegate.client.answers import Answer, SessionView
from tidegate.client.connection import Settings, lost, reply_of, transport
from tidegate.client.exchange import Exchange, Lost, Pause, Reply, Request
from tidegate.client.journal import Journal
from tidegate.client.numbering import Numbering
from tidegate.client.questions import delete, describe, read

if TYPE_CHECKING:
    import polars as pl

__all__ = ["AsyncClient", "AsyncSession"]

T = TypeVar("T")


class AsyncClient:
    """Talks to one model of a tidegate server.

    Parameters
    ----------
    url : str
        Of the server, such as ``http://127.0.0.1:8700``.
    model : str
        Name of the model.
    api_key : str, optional
        Sent as a bearer token.
    timeout : float
        Seconds that one attempt waits for the server: to connect, and for each part of an answer.
    deadline : float
        Seconds that an event, and everything else that is asked for, is tried for.
    verify : bool or ssl.SSLContext
        How a server's certificate is checked, with ``https``.

    Raises
    ------
    InputError
        ``missing_extra``: the extra ``client`` is not installed; ``bad_setting``.

    Notes
    -----
    Any number of sessions may send at once, over as many connections as it takes up to 100; the
    events of one session go one after the other.
    What was lost on the way is sent again with its number, and so applied once.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        api_key: str | None = None,
        timeout: float = 10.0,
        deadline: float = 60.0,
        verify: bool | ssl.SSLContext = True,
    ) -> None:
        self._settings = Settings(url, api_key, timeout, deadline, verify)
        self._http = transport().AsyncClient(**self._settings.options())
        self.model = model

    def session(self, name: str, *, journal: str | Path | None = None) -> AsyncSession:
        """Return a session, which may be new or have any number of events already.

        Parameters
        ----------
        name : str
            Session id.
        journal : str or Path, optional
            A file of this session's own, in which the event under way is remembered, so that the
            session goes on after a crash of this program.

        Raises
        ------
        InputError
            ``cannot_write`` or ``wrong_journal``.
        """
        kept = None if journal is None else Journal(journal, self.model, name)
        return AsyncSession(self, Numbering(self.model, name, self._settings.retries(), kept), kept)

    async def read(self, session: str) -> SessionView:
        """Ask what the server knows of a session.

        Raises
        ------
        SequenceError
            ``session_unknown``, or 410: it has ended, was deleted, or expired.
        """
        return await self.run(read(self.model, session, self._settings.retries()))

    async def delete(self, session: str) -> None:
        """Let the server forget a session's memory and answers."""
        await self.run(delete(self.model, session, self._settings.retries()))

    async def describe(self) -> dict[str, Any]:
        """Ask for the model: name, version, fingerprint, task and fields."""
        return await self.run(describe(self.model, self._settings.retries()))

    async def score(
        self, source: Any, *, session: str, time: str | None = None, seq: str | None = None
    ) -> pl.DataFrame:
        """Send a table of events, and return a frame of answers, in the order of the input.

        Parameters
        ----------
        source : str, Path or frame
            As `tidegate.tables.read` takes it: a .csv or .parquet file, or a pandas, polars or
            Arrow frame.
        session, time, seq : str
            Columns. Without `time`, the server's clock counts. Without `seq`, the events of each
            session are numbered from 1 in the order of time: the sessions begin with this table.

        Returns
        -------
        polars.DataFrame
            A row an event: ``session``, ``seq``, ``time``, the answer's words as
            ``tidegate score`` writes them, ``duplicate``, and ``error_code`` and ``error_message``
            of the events that were refused.

        Raises
        ------
        InputError
            From reading the table. Nothing was sent.
        UnansweredError
            The deadline of a part of it passed. The same call goes on where this one stopped, but
            the answers that the server does not keep any more are ``seq_stale`` then.

        Notes
        -----
        Events go in requests of a few thousand, with at most as many of one session as the server
        keeps answers of, so that a request that was lost can be repeated without losing one. A
        table of few, long sessions therefore takes many requests.
        """
        from tidegate.client import scoring  # it needs NumPy, and polars

        return await self.run(
            scoring.score(
                self.model, self._settings.retries(), source, session=session, time=time, seq=seq
            )
        )

    async def run(self, exchange: Exchange[T]) -> T:
        """Carry an exchange out."""
        got: Reply | Lost | None = None
        while True:
            try:
                wanted = exchange.send(got)
            except StopIteration as done:
                result: T = done.value
                return result
            got = await self._perform(wanted)

    async def _perform(self, wanted: Request | Pause) -> Reply | Lost | None:
        if isinstance(wanted, Pause):
            await asyncio.sleep(wanted.seconds)
            return None
        try:
            return reply_of(
                await self._http.request(
                    wanted.method,
                    wanted.path,
                    content=wanted.body,
                    headers={"content-type": wanted.content_type},
                )
            )
        except transport().RequestError as error:
            return lost(error)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class AsyncSession:
    """A session of a model; `Client.session` makes one."""

    def __init__(self, client: AsyncClient, numbering: Numbering, journal: Journal | None) -> None:
        self._client, self._numbering, self._journal = client, numbering, journal
        self._lock = asyncio.Lock()

    @property
    def name(self) -> str:
        """Session id."""
        return self._numbering.session

    @property
    def seq(self) -> int | None:
        """Number of the last event that was answered; None before anything is known."""
        return self._numbering.seq

    @property
    def pending(self) -> int | None:
        """Number of the event that was sent and has no answer, if there is one."""
        pending = self._numbering.pending
        return None if pending is None else pending.seq

    async def send(
        self,
        event: Mapping[str, object],
        *,
        time: float | str | date | None = None,
        start: bool = False,
        end: bool = False,
    ) -> Answer:
        """Send the next event, again and again if need be, until it is answered.

        Parameters
        ----------
        event : mapping of str to object
            The fields; None stands for a missing value.
        time : float, str or datetime, optional
            When it happened: unix seconds, RFC 3339, or a datetime (UTC where it names no zone).
            Without it, the time of receipt counts.
        start, end : bool
            Begin the session anew with this event; end it after this event.

        Raises
        ------
        InputError
            The event is refused, or the one before it has no answer yet (``event_pending``).
        SequenceError
            The session stands elsewhere (somebody else sends to it), or it is no more.
        OverloadError
            The server took nothing until the deadline, or could not be reached at all. The event
            was not applied.
        UnansweredError
            The deadline passed, and the event may have been applied or not: see `retry`.
        """
        async with self._lock:
            return await self._client.run(self._numbering.send(event, time, start=start, end=end))

    async def retry(self) -> Answer:
        """Send the event that has no answer again, with its number: it is applied once.

        Raises
        ------
        InputError
            ``nothing_pending``.
        TidegateError
            As from `send`. After a `SequenceError` it is settled, and `resume` says where the
            session is; after any other error it still has no answer.
        """
        async with self._lock:
            return await self._client.run(self._numbering.retry())

    async def resume(self) -> int:
        """Ask the server where the session stands, and go on from there.

        An event without an answer is given up: it was applied if its number is not above the one
        that is returned.

        Returns
        -------
        int
            Number of the session's last event; 0 if it has none yet.
        """
        async with self._lock:
            return await self._client.run(self._numbering.resume())

    def close(self) -> None:
        """Close the journal, if there is one. The session itself lives on."""
        if self._journal is not None:
            self._journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
