"""Newline-delimited JSON, streamed in and out: any number of events in bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tidegate import core
from tidegate.errors import InputError, TidegateError
from tidegate.serve import bulk, refusals, wire
from tidegate.serve.operations import Part, Result

if TYPE_CHECKING:
    from tidegate.serve.model import Model
    from tidegate.serve.outflow import Outflow

__all__ = ["Slice", "Slices", "answer"]

_AHEAD = 3
"""Parts of one request that are on their way; further lines wait in the network."""

Send = Callable[[bytes], object]


class Slice(NamedTuple):
    """A run of whole lines.

    Parameters
    ----------
    first : int
        Number of the first.
    data : bytes
        The lines.
    lines, filled : int
        How many there are, and how many of them hold something.
    """

    first: int
    data: bytes
    lines: int
    filled: int


class Slices:
    r"""Cuts a stream of bytes into runs of whole lines.

    Parameters
    ----------
    line_bytes : int
        Bytes that a line may have.
    most : int
        Lines a run.

    Examples
    --------
    >>> slices = Slices(line_bytes=100, most=2)
    >>> for run in [*slices.feed(b"a\n\nc\nd"), *slices.end(whole=True)]:
    ...     print(run)
    Slice(first=1, data=b'a\n\n', lines=2, filled=1)
    Slice(first=3, data=b'c\n', lines=1, filled=1)
    Slice(first=4, data=b'd', lines=1, filled=1)
    """

    def __init__(self, *, line_bytes: int, most: int) -> None:
        self.line = 1
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._line_bytes = line_bytes
        self._most = most

    def feed(self, piece: bytes) -> Iterator[Slice]:
        """Yield the runs that a further piece completes.

        Raises
        ------
        InputError
            ``line_too_long``, naming the line, after the lines before it.
        """
        end = piece.rfind(b"\n") + 1
        if end:
            whole = b"".join([*self._rest, piece[:end]])
            self._rest, self._rest_bytes = [], 0
            yield from self._cut(whole)
        self._keep(piece[end:])

    def end(self, *, whole: bool) -> list[Slice]:
        """Return the last line, if it has no newline.

        Raises
        ------
        InputError
            ``line_cut``: nothing tells whether the line came as a whole.
        """
        rest = b"".join(self._rest)
        if not rest or rest.isspace():
            return []
        if not whole:
            raise InputError(
                "line_cut",
                f"line {self.line} ends without a newline, and so may be a part of one",
                field="body",
                hint="it was not applied; end every line of a streamed body with a newline",
            )
        return [Slice(self.line, rest, 1, 1)]

    def _keep(self, piece: bytes) -> None:
        self._rest_bytes += len(piece)
        if self._rest_bytes > self._line_bytes:
            raise self._too_long()
        if piece:
            self._rest.append(piece)

    def _cut(self, whole: bytes) -> Iterator[Slice]:
        begin = 0
        while begin < len(whole):
            end, count, filled, too_long = core.cut_lines(
                whole, begin, self._most, self._line_bytes
            )
            if count:
                first = self.line
                self.line += count
                yield Slice(first, whole[begin:end], count, filled)
            if too_long:
                raise self._too_long()
            begin = end

    def _too_long(self) -> InputError:
        return InputError(
            "line_too_long",
            f"line {self.line} has more than {self._line_bytes} bytes",
            field="body",
            hint="it was not applied, nor was what comes after it; send shorter lines",
        )


async def answer(
    pieces: AsyncIterator[bytes],
    model: Model,
    slices: Slices,
    *,
    length: int | None,
    begin: Callable[[], Send],
    outflow: Outflow,
) -> None:
    """Step the lines of a body as they arrive, and send the lines that answer them.

    Parameters
    ----------
    pieces : async iterator of bytes
        The body.
    model : Model
        Whose sessions.
    slices : Slices
        Cuts it.
    length : int, optional
        Bytes that the body should have, if that is known.
    begin : callable
        Begins the response; returns what sends a piece of it.
    outflow : Outflow
        Bounds what the client has not taken yet.

    Raises
    ------
    TidegateError
        Of the whole request: nothing was applied, and nothing was sent.
    """
    stream = _Stream(model, begin, outflow)
    received = 0
    try:
        try:
            async for piece in pieces:
                if model.draining and length is None:  # else it has an end, which the drain awaits
                    raise refusals.draining()
                received += len(piece)
                for run in slices.feed(piece):
                    await stream.submit(run)
            for run in slices.end(whole=received == length):
                await stream.submit(run)
        except TidegateError as error:
            await stream.break_off(error, slices.line)
        await stream.end()
    finally:
        stream.abandon()
        outflow.close()


def _shorter(run: Slice, most: int) -> Iterator[Slice]:
    """Cut a run into shorter ones, each of them parsed in one go."""
    slices = Slices(line_bytes=len(run.data), most=most)
    slices.line = run.first
    yield from slices.feed(run.data)
    yield from slices.end(whole=True)


class _Sent(NamedTuple):
    """A part on its way: its results, or the very lines that answer it, and their numbers."""

    future: asyncio.Future[Any]
    numbers: Sequence[int]


class _Stream:
    """One request's parts on their way, and the task that sends their answers in order."""

    def __init__(self, model: Model, begin: Callable[[], Send], outflow: Outflow) -> None:
        self._model = model
        self._begin = begin
        self._outflow = outflow
        self._failed: set[str] = set()
        self._running: asyncio.Queue[_Sent | None] = asyncio.Queue(_AHEAD)
        self._sending: asyncio.Task[None] | None = None

    async def submit(self, run: Slice) -> None:
        if run.filled >= bulk.LEAST_LINES and not self._model.batcher.reorders:
            work = self._model.bulk.read(run.data, run.first, run.lines, self._failed)
            if work is not None:
                future = self._model.submit_block(work, "ndjson", admitted=self._is_admitted)
                await self._sent(future, range(run.first, run.first + run.lines))
                return
        for piece in _shorter(run, self._model.batcher.max_batch):
            events, numbers = wire.parse_lines(piece.data, piece.first)
            if events:
                part = Part(events, failed=self._failed)
                results = self._model.submit(part, "ndjson", admitted=self._is_admitted)
                await self._sent(results, numbers)

    @property
    def _is_admitted(self) -> bool:
        return self._sending is not None

    async def _sent(self, future: asyncio.Future[Any], numbers: Sequence[int]) -> None:
        self._start()
        await self._put(_Sent(future, numbers))

    async def break_off(self, error: TidegateError, line: int) -> None:
        """End with an error, in place of the lines from one on."""
        if self._sending is None:
            raise error
        future: asyncio.Future[list[Result]] = asyncio.get_running_loop().create_future()
        future.set_result([error])
        await self._put(_Sent(future, [line]))

    async def end(self) -> None:
        self._start()
        await self._put(None)
        assert self._sending is not None
        await self._sending

    def abandon(self) -> None:
        if self._sending is not None:
            self._sending.cancel()

    def _start(self) -> None:
        if self._sending is None:
            send = self._begin()
            self._sending = asyncio.get_running_loop().create_task(self._send(send))

    async def _put(self, item: _Sent | None) -> None:
        """Queue what is to be answered; raise what ended the sending, if it has."""
        sending = self._sending
        assert sending is not None
        if not self._running.full():
            if sending.done():
                await sending
            self._running.put_nowait(item)
            return
        putting = asyncio.ensure_future(self._running.put(item))
        await asyncio.wait([putting, sending], return_when=asyncio.FIRST_COMPLETED)
        if not putting.done():
            putting.cancel()
            await sending

    async def _send(self, send: Send) -> None:
        while (item := await self._running.get()) is not None:
            try:
                found = await item.future
            except TidegateError as error:
                found = [error] * len(item.numbers)
            body = found if type(found) is bytes else wire.encode_lines(found, item.numbers)
            await send(body)  # type: ignore[misc]
            await self._outflow.sent(len(body))
