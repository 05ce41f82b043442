"""A request's body: how much of it, for how long, and whether all of it came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from time import monotonic
from typing import TYPE_CHECKING, Any

from tidegate.errors import InputError, OverloadError
from tidegate.serve.waits import Waits

if TYPE_CHECKING:
    from granian._granian import RSGIHeaders as Headers
    from granian._granian import RSGIHTTPProtocol as HTTPProtocol

__all__ = ["Intake"]

_SMALL = 65_536
"""Bytes of a body that is read in one go, with its memory taken before."""


class Intake:
    """Reads bodies within limits.

    Parameters
    ----------
    body_bytes : int
        Bytes that a body may have where it is read as a whole.
    memory_bytes : int
        Bytes that the bodies of all requests may take together.
    seconds : float
        How long a body, or the next piece of a streamed one, may take to arrive.

    Attributes
    ----------
    waits : Waits
        Of open streams, to be ended by a drain.
    """

    def __init__(self, *, body_bytes: int, memory_bytes: int, seconds: float) -> None:
        self.body_bytes = body_bytes
        self._free = max(memory_bytes, body_bytes)
        self.waits = Waits()
        self.seconds = seconds
        self._reading: dict[asyncio.Task[Any], float] = {}
        self._sweeping = False

    async def whole(self, headers: Headers, proto: HTTPProtocol) -> bytes:
        """Read a body that has a length, and may have it.

        Raises
        ------
        InputError
            ``body_too_large``. ``length_required``: a chunked body: one that is cut short cannot be
            told from a whole one, and half a request must not be applied. ``body_timeout``;
            ``body_cut``.
        OverloadError
            ``overloaded``: the bodies of other requests take all the memory there is for them.
        """
        length = self._length(headers)
        taken = length if length <= _SMALL else 0  # what is larger takes memory as it arrives
        self._take(taken)
        # A timer for each of many thousand small bodies a second would cost more than reading them:
        # one look a second at all that are being read is enough.
        task = asyncio.current_task()
        assert task is not None
        self._reading[task] = monotonic() + self.seconds
        if not self._sweeping:
            self._sweep()
        try:
            body = await (proto() if taken == length else self._large(proto))
        except asyncio.CancelledError:
            if task in self._reading:
                raise
            task.uncancel()
            raise self._late() from None
        finally:
            self._reading.pop(task, None)
            self._free += taken
        if len(body) != length:
            raise InputError(
                "body_cut",
                "the body ends before its Content-Length",
                field="body",
                hint="nothing was applied; send it again",
            )
        return body

    def _take(self, size: int) -> None:
        if size > self._free:
            raise OverloadError(
                "overloaded",
                "the bodies of other requests take all the memory there is for them",
                hint="nothing was applied; send it again a little later",
            )
        self._free -= size

    async def _large(self, proto: HTTPProtocol) -> bytes:
        """Read a body in pieces."""
        pieces = []
        taken = 0
        try:
            async for piece in proto:
                self._take(len(piece))
                taken += len(piece)
                pieces.append(piece)
            return b"".join(pieces)
        finally:
            self._free += taken

    def _length(self, headers: Headers) -> int:
        if "transfer-encoding" in headers:
            raise InputError(
                "length_required",
                "the body comes in chunks of unknown length",
                field="body",
                hint="nothing was applied; send it with a Content-Length, or as lines",
            )
        length = int(headers.get("content-length") or 0)
        if length > self.body_bytes:
            raise InputError(
                "body_too_large",
                f"the body is larger than {self.body_bytes} bytes",
                field="body",
                hint="nothing was applied; send fewer events a request, or a stream of lines",
            )
        return length

    def _sweep(self) -> None:
        """Break off what takes too long, and look again as long as anything is being read."""
        now = monotonic()
        for task, until in [*self._reading.items()]:
            if until > now:
                break
            del self._reading[task]
            task.cancel()
        self._sweeping = bool(self._reading)
        if self._sweeping:
            asyncio.get_running_loop().call_later(min(self.seconds, 1.0), self._sweep)

    async def pieces(self, proto: HTTPProtocol, *, ends: bool) -> AsyncIterator[bytes]:
        """Iterate over the pieces of a streamed body as they arrive.

        Parameters
        ----------
        proto : RSGIHTTPProtocol
            The request.
        ends : bool
            It has a length: a drain lets it come to its end.

        Raises
        ------
        InputError
            ``body_timeout``: the next piece did not come in time.
        OverloadError
            ``draining``: the server waits no more.
        """
        pieces = proto.__aiter__()
        while True:
            try:
                async with asyncio.timeout(self.seconds):
                    piece = await (anext(pieces) if ends else self.waits.wait(anext(pieces)))
            except TimeoutError:
                raise self._late() from None
            except StopAsyncIteration:
                return
            if piece:
                yield bytes(piece)

    def _late(self) -> InputError:
        return InputError(
            "body_timeout",
            f"the body did not arrive within {self.seconds:g} s",
            field="body",
            hint="what was not answered was not applied; send it again",
        )
