"""Events that came before their turn: they wait in a window, and are queued when it has come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple, cast

from tidegate.errors import TidegateError
from tidegate.metrics import GateMetrics
from tidegate.serve.operations import Answer, Event, Part, Result
from tidegate.serve.reorder import Window

__all__ = ["EarlyEvent", "EarlyEvents"]


class EarlyEvent(NamedTuple):
    """An event that waits for those before it, and what refuses it if they do not come."""

    event: Event
    deadline: float
    error: TidegateError
    future: asyncio.Future[list[Result]]


class EarlyEvents:
    """What a batcher holds back.

    Parameters
    ----------
    window : Window
        Where they wait.
    metrics : GateMetrics
        Counts them.
    most : int
        How many may wait.
    put_first : callable
        Queues a part, whose results go to a future, in front of all others.

    Notes
    -----
    All methods belong to the event loop's thread.
    """

    def __init__(
        self,
        window: Window[EarlyEvent],
        metrics: GateMetrics,
        most: int,
        put_first: Callable[[Part, asyncio.Future[list[Result]]], None],
    ) -> None:
        self._window = window
        self._metrics = metrics
        self._most = most
        self._put_first = put_first
        self._completing: set[asyncio.Task[None]] = set()
        self._sweeping: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def sort_out(
        self,
        part: Part,
        results: list[Result],
        future: asyncio.Future[Any],
        failed: set[str],
    ) -> asyncio.Future[Any]:
        """Let events that came too early wait, and send off those whose turn has come.

        An event that waits has not failed. What of its session came after it in its request was
        refused, and may have its turn now. But nothing waits for what did fail.

        Parameters
        ----------
        part : Part
            What was done.
        results : list of Result
            What came of it.
        future : Future
            Takes these once they are complete.
        failed : set of str
            Sessions of which an earlier event of the request had failed.

        Returns
        -------
        Future
            Takes the results now; `future` itself if they are complete.
        """
        late: list[tuple[int, asyncio.Future[list[Result]]]] = []
        waiting: set[str] = set()
        for index, (event, result) in enumerate(zip(part.operations, results, strict=True)):
            if isinstance(result, Answer):
                if result.session in self._window:
                    self._release(result.session, result.seq + 1)
            elif isinstance(result, TidegateError) and event.session:
                early = None
                if result.code == "seq_gap" and event.session not in failed:
                    early = self._hold(cast("Event", event), part, result)
                if early is None:
                    failed.add(event.session)
                else:
                    late.append((index, early))
                    waiting.add(event.session)
        part.failed -= waiting - failed
        if not late:
            return future
        first: asyncio.Future[list[Result]] = self._loop.create_future()
        completing = self._loop.create_task(_complete(first, late, future))
        self._completing.add(completing)
        completing.add_done_callback(self._completing.discard)
        return first

    def _hold(
        self, event: Event, part: Part, error: TidegateError
    ) -> asyncio.Future[list[Result]] | None:
        if len(self._window) >= self._most or event.seq is None:
            return None
        early = EarlyEvent(event, part.deadline, error, self._loop.create_future())
        expected = error.expected or 1
        if event.seq <= expected:  # it was refused because one before it in its request waits
            self._queue(early, part.failed)
            return early.future
        if not self._window.hold(event.session, event.seq, expected, self._loop.time(), early):
            self._metrics.count_reordered("window_full")
            return None
        self._metrics.count_reordered("held")
        if self._sweeping is None:
            self._sweep()
        return early.future

    def _release(self, session: str, seq: int) -> None:
        early = self._window.release(session, seq)
        if early is not None:
            self._metrics.count_reordered("released")
            self._queue(early, set())

    def _queue(self, early: EarlyEvent, failed: set[str]) -> None:
        self._put_first(Part([early.event], failed, early.deadline), early.future)

    def _sweep(self) -> None:
        """Refuse what has waited for too long, and look again when the next one has."""
        self._sweeping = None
        for early in self._window.overdue(self._loop.time()):
            self._metrics.count_reordered("timed_out")
            if not early.future.cancelled():
                early.future.set_result([early.error])
        due = self._window.next_due()
        if due is not None:
            self._sweeping = self._loop.call_at(due, self._sweep)


async def _complete(
    first: asyncio.Future[list[Result]],
    late: list[tuple[int, asyncio.Future[list[Result]]]],
    future: asyncio.Future[Any],
) -> None:
    """Put the results of events that had to wait in their places."""
    results = await first
    for index, early in late:
        [results[index]] = await early
    if not future.cancelled():
        future.set_result(results)
