"""WebSockets: one connection, events of many sessions, answers in the order of their frames."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from granian import rsgi

from tidegate.errors import InputError, OverloadError, TidegateError
from tidegate.metrics import Distribution
from tidegate.serve import wire
from tidegate.serve.operations import Event, Part, Refused, Result, Unread
from tidegate.serve.waits import Waits

if TYPE_CHECKING:
    from tidegate.serve.model import Model

__all__ = ["answer", "closed"]

_AHEAD = 16
"""Frames of one connection that are on their way; further ones wait in the network."""

_CLOSING_SECONDS = 1.0
"""How long a client that is told of a drain has, to close as well."""

_CLOSE, _BYTES = 0, 1
_Closed: type[Exception] = vars(rsgi)["ProtocolClosed"]
_Busy: type[Exception] = vars(rsgi)["ProtocolError"]


class _Running(NamedTuple):
    """A frame whose results are to come.

    Of a list there are its events, and their numbers. If there are none, and no body of a frame
    with one event, one result stands for all of it: an error.
    """

    future: asyncio.Future[list[Result]]
    began: float
    alone: bytes | None = None
    events: Sequence[Event | Refused] | None = None
    seqs: Sequence[int | None] = ()


async def answer(
    transport: Any, model: Model, waits: Waits, *, frame_bytes: int, seconds: float
) -> None:
    """Answer frames until the client closes.

    Parameters
    ----------
    transport : RSGIWebsocketTransport
        The accepted connection.
    model : Model
        Whose sessions.
    waits : Waits
        Ends the waiting for frames.
    frame_bytes : int
        Bytes that a frame may have.
    seconds : float
        How long the client may leave its answers untaken while as many as may be are on their way.

    Notes
    -----
    A frame is an event that names its session, or a list of such; its answer has the same shape. An
    error names the session and the number of its event, as far as they are known. One that refuses
    a whole list (``overloaded``, say) is an object with one ``error``.
    """
    running: asyncio.Queue[_Running | None] = asyncio.Queue(_AHEAD)
    sending = asyncio.ensure_future(
        _send(transport, running, model.metrics.request_seconds["websocket"])
    )
    sending.add_done_callback(_forget)
    try:
        while not model.draining:
            try:
                message = await waits.wait(transport.receive())
            except OverloadError:
                break
            kind = message.kind
            if kind == _CLOSE:
                return
            body = message.data if kind == _BYTES else message.data.encode()
            await _put(running, _submit(body, model, frame_bytes), sending, seconds)
        await _put(running, None, sending, seconds)
        async with asyncio.timeout(seconds):
            await sending
    finally:
        sending.cancel()


async def closed(transport: Any) -> None:
    """Wait until the client has closed, too, or for a second: then it has been told.

    The frame that closes leaves in granian's own threads, and with the process they would end.
    """
    with contextlib.suppress(_Closed, TimeoutError):
        async with asyncio.timeout(_CLOSING_SECONDS):
            while True:
                try:
                    if (await transport.receive()).kind == _CLOSE:
                        return
                except _Busy:
                    await asyncio.sleep(0.001)  # what was cancelled still holds the connection


def _forget(sending: asyncio.Future[None]) -> None:
    """Look at what ended the sending, so that asyncio does not log it: the receiving ends too."""
    if not sending.cancelled():
        sending.exception()


async def _put(
    running: asyncio.Queue[_Running | None],
    frame: _Running | None,
    sending: asyncio.Future[None],
    seconds: float,
) -> None:
    """Queue a frame's answer; raise what ended the sending, or TimeoutError: nothing was taken.

    Only a full queue costs a timer.
    """
    if sending.done():
        sending.result()
    if not running.full():
        running.put_nowait(frame)
        return
    putting = asyncio.ensure_future(running.put(frame))
    try:
        await asyncio.wait([putting, sending], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if not putting.done():
            if sending.done():
                sending.result()
            raise TimeoutError
    finally:
        putting.cancel()


def _submit(body: bytes, model: Model, frame_bytes: int) -> _Running:
    began = perf_counter()
    alone: bytes | None = None
    try:
        if len(body) > frame_bytes:
            raise InputError(
                "body_too_large",
                f"the frame is larger than {frame_bytes} bytes",
                field="body",
                hint="nothing of it was applied; send fewer events a frame",
            )
        if not wire.is_list(body):
            alone = body
            return _Running(model.submit_alone(Unread("", body), "websocket"), began, alone)
        events = wire.read_list(body, "")
        if len(events) > model.batcher.max_batch:
            raise wire.too_many(model.batcher.max_batch, "frame")
        seqs = wire.seqs_of(body, events, is_list=True)
        return _Running(model.submit(Part(events), "websocket"), began, None, events, seqs)
    except TidegateError as error:
        future: asyncio.Future[list[Result]] = asyncio.get_running_loop().create_future()
        future.set_result([error])
        return _Running(future, began, alone)


def _answer_of(frame: _Running, results: list[Result]) -> bytes:
    if frame.events is not None:
        return wire.encode_frame(results, frame.events, frame.seqs, is_list=True)
    if frame.alone is None or not isinstance(results[0], TidegateError):
        return wire.encode_result(results[0])
    events = [wire.read(Unread("", frame.alone))]  # again: few go wrong
    seqs = wire.seqs_of(frame.alone, events, is_list=False)
    return wire.encode_frame(results, events, seqs, is_list=False)


async def _send(
    transport: Any, running: asyncio.Queue[_Running | None], seen: Distribution
) -> None:
    while (frame := await running.get()) is not None:
        results = await frame.future
        await transport.send_str(_answer_of(frame, results).decode())
        seen.observe(perf_counter() - frame.began)
