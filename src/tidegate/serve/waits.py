"""Waiting for clients that may never send again: a drain ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from tidegate.serve import refusals

__all__ = ["Waits"]

_T = TypeVar("_T")


class Waits:
    """What is being waited for from the clients of open streams and WebSockets.

    Examples
    --------
    >>> async def drained() -> str:
    ...     waits = Waits()
    ...     asyncio.get_running_loop().call_soon(waits.end)
    ...     try:
    ...         await waits.wait(asyncio.Event().wait())
    ...     except refusals.OverloadError as error:
    ...         return error.code
    >>> asyncio.run(drained())
    'draining'
    """

    def __init__(self) -> None:
        self._waiting: set[asyncio.Task[Any]] = set()
        self._ended = False

    async def wait(self, coming: Awaitable[_T]) -> _T:
        """Wait for something that a client may send.

        Raises
        ------
        OverloadError
            ``draining``: the server does not wait any more.
        """
        task = asyncio.current_task()
        assert task is not None
        self._waiting.add(task)
        try:
            return await coming
        except asyncio.CancelledError:
            if task in self._waiting:
                raise  # by somebody else
            task.uncancel()
            raise refusals.draining() from None
        finally:
            self._waiting.discard(task)

    def end(self) -> None:
        """Wait no more: what is being waited for is refused."""
        waiting, self._waiting = self._waiting, set()
        for task in waiting:
            task.cancel()
