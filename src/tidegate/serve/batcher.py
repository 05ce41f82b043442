"""Micro-batches: one at a time in a worker thread, the next one collects meanwhile."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from tidegate.errors import OverloadError
from tidegate.serve.operations import Operation, Result

__all__ = ["Batcher"]

Process = Callable[[Sequence[Operation]], list[Result]]
_Part = tuple[Sequence[Operation], asyncio.Future[list[Result]]]


class Batcher:
    """Collects operations of many requests and has them processed together.

    A lone operation never waits: while nothing runs, what arrives runs at once. While something
    runs, what arrives waits and then runs as one batch. There is no timer.

    Parameters
    ----------
    process : callable
        Takes a batch of operations, gives a result each. Called in one worker thread.
    max_batch : int
        Operations a batch.
    max_queue : int
        Operations accepted and not yet answered, above which new ones are refused.

    Notes
    -----
    All methods belong to the event loop's thread.
    """

    def __init__(self, process: Process, *, max_batch: int, max_queue: int) -> None:
        self.max_batch = max_batch
        self._process = process
        self._max_queue = max_queue
        self._waiting: deque[_Part] = deque()
        self._runs: asyncio.Future[list[Result]] | None = None
        self._queued = 0
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tidegate-batch")

    @property
    def queued(self) -> int:
        """Operations accepted and not yet answered."""
        return self._queued

    def submit(
        self, operations: Sequence[Operation], *, admitted: bool = False
    ) -> asyncio.Future[list[Result]]:
        """Queue operations of one request, at most `max_batch`; they share a batch.

        Parameters
        ----------
        operations : sequence of Operation
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
        if not admitted and self._queued + len(operations) > max(self._max_queue, len(operations)):
            raise OverloadError(
                "overloaded",
                f"{self._queued} events are waiting, {self._max_queue} may",
                hint="nothing was applied; send it again a little later",
            )
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((operations, future))
        self._queued += len(operations)
        if self._runs is None:
            self._run_next()
        return future

    async def call(self, function: Callable[[], bool]) -> bool:
        """Run something else in the worker thread, between two batches."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, function)

    def close(self) -> None:
        """End the worker thread, after what runs."""
        self._worker.shutdown()

    def _run_next(self) -> None:
        parts: list[_Part] = []
        size = 0
        while self._waiting and (not parts or size + len(self._waiting[0][0]) <= self.max_batch):
            parts.append(self._waiting.popleft())
            size += len(parts[-1][0])
        batch = [operation for operations, _ in parts for operation in operations]
        self._runs = asyncio.get_running_loop().run_in_executor(self._worker, self._process, batch)
        self._runs.add_done_callback(lambda runs: self._answer(parts, runs))

    def _answer(
        self,
        parts: Sequence[_Part],
        runs: asyncio.Future[list[Result]],
    ) -> None:
        self._runs = None
        if self._waiting:
            self._run_next()
        error = runs.exception()
        first = 0
        for operations, future in parts:
            self._queued -= len(operations)
            if not future.cancelled():
                if error is not None:
                    future.set_exception(error)
                else:
                    future.set_result(runs.result()[first : first + len(operations)])
            first += len(operations)
