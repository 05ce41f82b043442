"""Micro-batches: what arrives is stepped at once; answers leave when the store has their changes.

The processor runs in the event loop's own thread: a batch takes microseconds, and no other thread
has to be waited for. Only a block of a table or of many lines runs beside the loop, which
reads the next block and writes the last one meanwhile: little of that time needs the interpreter.
One batch runs at a time.

The store writes and syncs in a thread of its own that needs no interpreter. While it syncs one
group, the next one is stepped; what arrives then waits and makes one batch. So a lone event never
waits for others, and a busy server steps and syncs many at a time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import msgspec

from tidegate.errors import OverloadError, TidegateError
from tidegate.metrics import GateMetrics
from tidegate.serve import refusals
from tidegate.serve.early import EarlyEvent, EarlyEvents
from tidegate.serve.operations import Part, Result
from tidegate.serve.processor import Done, Processor
from tidegate.serve.reorder import Window
from tidegate.serve.work import Work
from tidegate.store import Store

__all__ = ["Batcher"]

_log = logging.getLogger(__name__)

_MOST_LINES = 2048
"""Lines of a block: some milliseconds, for which others have to wait."""
_AHEAD = 2
"""Groups on their way to the store, above which what arrives waits and makes one batch."""

_T = TypeVar("_T")


class _Waiting(msgspec.Struct):
    """Something that is queued: what does it, how many events it has, and who waits."""

    part: Part | None
    work: Work[object] | None
    size: int
    future: asyncio.Future[Any]


class _Outcome(msgspec.Struct):
    """What was done, and who takes what came of it."""

    waiting: _Waiting
    future: asyncio.Future[Any]
    result: object


class _Leaving(msgspec.Struct):
    """Results that leave once the store has a ticket."""

    ticket: int
    answers: list[_Outcome]
    began: float


class Batcher:
    """Collects operations of many requests and has them processed together.

    Parameters
    ----------
    processor : Processor
        Steps batches.
    store : Store
        Tells when their changes are durable.
    metrics : GateMetrics
        Times what waits.
    max_batch : int
        Operations a batch.
    max_queue : int
        Operations accepted and not yet answered, above which new ones are refused.
    wait_seconds : float
        How long an operation may wait for a batch while the store is busy; 0: as long as it is.
    window : Window, optional
        Where events that came too early wait for those before them.

    Notes
    -----
    All methods belong to the event loop's thread.
    """

    def __init__(
        self,
        processor: Processor,
        store: Store,
        metrics: GateMetrics,
        *,
        max_batch: int,
        max_queue: int,
        wait_seconds: float = 0.0,
        window: Window[EarlyEvent] | None = None,
    ) -> None:
        self.max_batch = max_batch
        self._max_queue = max_queue
        self.failed = False
        self._processor = processor
        self._store = store
        self._metrics = metrics
        self._wait_seconds = wait_seconds
        self._waiting: deque[_Waiting] = deque()
        self._leaving: deque[_Leaving] = deque()
        self._queued = 0
        self._durable = store.progress()[0]
        self._left = 0
        self._pumping = self._working = False
        self._worker = ThreadPoolExecutor(1, "tidegate-blocks")
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._early: EarlyEvents | None = None
        if window is not None:
            self._early = EarlyEvents(window, metrics, max_queue, self._put_first)
        if not store.volatile:
            self._loop.add_reader(store.fileno(), self.look)

    @property
    def reorders(self) -> bool:
        """Whether events wait for those before them: they have to come as objects, then."""
        return self._early is not None

    @property
    def most_lines(self) -> int:
        """Lines that may come as one block: whole batches, and no more than the queue takes."""
        return min(_MOST_LINES, max(self._max_queue // self.max_batch, 1) * self.max_batch)

    @property
    def queued(self) -> int:
        """Operations accepted and not yet answered."""
        return self._queued

    def submit(self, part: Part, *, admitted: bool = False) -> asyncio.Future[list[Result]]:
        """Queue operations of one request, at most `max_batch`; they share a batch.

        Parameters
        ----------
        part : Part
            In the order in which they are to be done.
        admitted : bool
            They belong to a request of which a part was accepted before: never refused.

        Returns
        -------
        Future of list of Result
            One each, in order. Cancelling it does not take the operations back.

        Raises
        ------
        OverloadError
            ``overloaded``: the queue is full; nothing was queued.
        """
        future: asyncio.Future[list[Result]] = self._loop.create_future()
        part.queued = time.perf_counter()
        self._admit(_Waiting(part, None, len(part.operations), future), admitted)
        return future

    def submit_block(self, work: Work[_T], *, admitted: bool = False) -> asyncio.Future[_T]:
        """Queue a batch of its own, which is done beside the loop.

        Parameters
        ----------
        work : Work
            Does it.
        admitted : bool
            As for `submit`.

        Returns
        -------
        Future
            Of what the work returns. ``store_failed``: nothing was applied.
        """
        future: asyncio.Future[_T] = self._loop.create_future()
        self._admit(_Waiting(None, work, work.size, future), admitted)
        return future

    def is_moving(self) -> bool:
        """Say whether results have left since the last call, or none had to."""
        moved = self._left > 0 or not (self._leaving or self._working)
        self._left = 0
        return moved

    def look(self) -> None:
        """See how far the store has come: give out what is durable, give up what never will be."""
        if self._store.volatile:
            return
        self._durable, failed, timings = self._store.progress()
        for write, sync, _, changes in timings:
            self._metrics.write_seconds.observe(write)
            self._metrics.sync_seconds.observe(sync)
            self._metrics.group_events.observe(changes)
        if self._leaving and self._leaving[0].ticket <= self._durable:
            self._give_out()
        # What a block is changing right now must be there to be taken back: it is looked again.
        if failed and not self._working and (self._leaving or not self.failed):
            self._fail()
        if self._waiting and not self._pumping:
            self._pump()

    def recovered(self) -> None:
        """Say that the store works again after it had failed."""
        self.failed = False
        self.look()  # it may have failed again since

    def close(self) -> None:
        """Stop listening to the store."""
        self._worker.shutdown()
        if not self._store.volatile:
            self._loop.remove_reader(self._store.fileno())

    # Queueing

    def _put_first(self, part: Part, future: asyncio.Future[list[Result]]) -> None:
        """Queue an event in front, before whatever else its session has sent."""
        part.queued = time.perf_counter()
        self._queued += 1
        self._waiting.appendleft(_Waiting(part, None, 1, future))

    def _admit(self, waiting: _Waiting, admitted: bool) -> None:
        if not admitted and self._queued + waiting.size > max(self._max_queue, waiting.size):
            raise OverloadError(
                "overloaded",
                f"{self._queued} events are waiting, {self._max_queue} may",
                hint="nothing was applied; send it again a little later",
            )
        self._queued += waiting.size
        self._waiting.append(waiting)
        if not self._pumping:
            self._pumping = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        """Step one batch, if the store is not too far behind; go on in the loop's next round."""
        self._pumping = False
        if not self._waiting or self._working:
            return
        if len(self._leaving) >= _AHEAD:
            if self._wait_seconds and self._timer is None:
                self._timer = self._loop.call_later(self._wait_seconds, self._waited)
            return
        self._step()
        if self._waiting and not self._working and len(self._leaving) < _AHEAD:
            self._pumping = True
            self._loop.call_soon(self._pump)

    def _waited(self) -> None:
        self._timer = None
        if self._waiting and not self._working:
            self._step()

    def _step(self) -> None:
        """Take a batch from the queue, have it done, and let its results wait for the store."""
        began = time.perf_counter()
        work = self._waiting[0].work
        if work is not None:
            waiting = self._waiting.popleft()
            self._beside(work.step, partial(self._block_done, waiting, work, began))
            return
        taken = self._take()
        if not taken:
            return
        parts = [waiting.part for waiting in taken if waiting.part is not None]
        for part in parts:
            self._metrics.queue_seconds.observe(began - part.queued)
        failed = self._failed_before(parts)
        self._parts_done(taken, parts, failed, began, self._processor.process(parts))

    def _beside(self, work: Callable[[], _T], finish: Callable[[asyncio.Future[_T]], None]) -> None:
        """Do a block in the other thread, and what follows from it here."""

        def finished(running: asyncio.Future[_T]) -> None:
            self._working = False
            finish(running)
            self.look()
            if not self._pumping:
                self._pump()

        self._working = True
        self._loop.run_in_executor(self._worker, work).add_done_callback(finished)

    def _done(self, leaving: _Leaving) -> None:
        self._leaving.append(leaving)
        if self._store.volatile or leaving.ticket <= self._durable:
            self._give_out()
        # Not up to what is done: the table has to be able to take back what a failure does.
        self._processor.evict(self._store.synced)

    def _block_done(
        self,
        waiting: _Waiting,
        work: Work[object],
        began: float,
        running: asyncio.Future[tuple[object, int]],
    ) -> None:
        try:
            result, ticket = running.result()
        except TidegateError as error:
            work.lost()
            self._refuse(waiting.future, error, waiting.size)
        except Exception:
            _log.exception("a block of %d events failed", waiting.size)
            work.lost()
            self._refuse(waiting.future, refusals.internal(), waiting.size)
        else:
            self._done(_Leaving(ticket, [_Outcome(waiting, waiting.future, result)], began))

    def _take(self) -> list[_Waiting]:
        taken: list[_Waiting] = []
        size = 0
        now = time.monotonic()
        while self._waiting:
            first = self._waiting[0]
            if first.work is not None or (taken and size + first.size > self.max_batch):
                break
            self._waiting.popleft()
            assert first.part is not None
            if first.part.deadline < now:
                self._answer(first.future, [refusals.deadline()] * first.size, first.size)
                continue
            taken.append(first)
            size += first.size
        return taken

    def _failed_before(self, parts: Sequence[Part]) -> dict[int, set[str]]:
        """Return what had failed in each request, where events may wait for their turn."""
        if self._early is None:
            return {}
        return {id(part.failed): {*part.failed} for part in parts}

    def _parts_done(
        self,
        taken: Sequence[_Waiting],
        parts: Sequence[Part],
        failed: Mapping[int, set[str]],
        began: float,
        done: Done,
    ) -> None:
        answers: list[_Outcome] = []
        first = 0
        for waiting, part in zip(taken, parts, strict=True):
            results = done.results[first : first + waiting.size]
            future = waiting.future
            if self._early is not None:
                future = self._early.sort_out(part, results, future, failed[id(part.failed)])
            answers.append(_Outcome(waiting, future, results))
            first += waiting.size
        self._done(_Leaving(done.ticket, answers, began))

    # Giving out

    def _give_out(self) -> None:
        now = time.perf_counter()
        while self._leaving:
            if not self._store.volatile and self._leaving[0].ticket > self._durable:
                break
            leaving = self._leaving.popleft()
            self._left += 1
            self._metrics.commit_seconds.observe(now - leaving.began)
            for outcome in leaving.answers:
                self._answer(outcome.future, outcome.result, outcome.waiting.size)

    def _answer(self, future: asyncio.Future[object], result: object, size: int) -> None:
        self._queued -= size
        if not future.cancelled():
            future.set_result(result)

    def _refuse(self, future: asyncio.Future[object], error: TidegateError, size: int) -> None:
        self._queued -= size
        if not future.cancelled():
            future.set_exception(error)
            future.exception()  # has been seen, for asyncio's log: who wanted it may be gone

    def _fail(self) -> None:
        """No answer leaves whose change the store did not take; memory goes back to what it has."""
        self.failed = True
        self._metrics.store_failures.inc()
        leaving, self._leaving = self._leaving, deque()
        for outcome in (outcome for each in leaving for outcome in each.answers):
            part, work, size = outcome.waiting.part, outcome.waiting.work, outcome.waiting.size
            # What comes after it in its request must not be applied without it.
            if work is not None:
                work.lost()
                self._refuse(outcome.future, refusals.store_failed(), size)
                continue
            assert part is not None
            part.failed.update(each.session for each in part.operations if each.session)
            self._answer(outcome.future, [refusals.store_failed()] * size, size)
        self._processor.roll_back(self._durable)
