"""WebSockets: one connection, events of many sessions, answers in the order of their frames."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from tidegate.errors import InputError, OverloadError, TidegateError
from tidegate.metrics import Distribution
from tidegate.serve import wire
from tidegate.serve.operations import Event, Part, Refused, Result, Unread
from tidegate.serve.waits import Waits

if TYPE_CHECKING:
    from tidegate.serve.model import Model

__all__ = ["answer"]

_AHEAD = 16
"""Frames of one connection that are on their way; further ones wait in the network."""

_CLOSE, _BYTES = 0, 1


class _Running(NamedTuple):
    """A frame whose results are to come; without events: one result, an error of all of it.

    Of a frame that nobody has read yet there is the body.
    """

    future: asyncio.Future[list[Result]]
    events: list[Event | Refused]
    seqs: list[int | None]
    is_list: bool
    began: float
    body: bytes | None = None


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
    events: list[Event | Refused] = []
    seqs: list[int | None] = []
    is_list = False
    try:
        if len(body) > frame_bytes:
            raise InputError(
                "body_too_large",
                f"the frame is larger than {frame_bytes} bytes",
                field="body",
                hint="nothing of it was applied; send fewer events a frame",
            )
        if not (wire.is_list(body) or model.batcher.reorders):
            future = model.submit(Part([Unread("", body)]), "websocket")
            return _Running(future, events, seqs, is_list, began, body)
        events, is_list = wire.parse_any(body)
        if len(events) > model.batcher.max_batch:
            raise wire.too_many(model.batcher.max_batch, "frame")
        seqs = wire.seqs_of(body, events, is_list=is_list)
        future = model.submit(Part(events), "websocket")
    except TidegateError as error:
        future = asyncio.get_running_loop().create_future()
        future.set_result([error])
        if is_list:
            events, seqs, is_list = [], [], False
    return _Running(future, events, seqs, is_list, began)


def _answer_of(frame: _Running, results: list[Result]) -> bytes:
    events, seqs, is_list = frame.events, frame.seqs, frame.is_list
    if frame.body is not None:
        if isinstance(results[0], bytes):
            return results[0]
        events, is_list = wire.parse_any(frame.body)
        seqs = wire.seqs_of(frame.body, events, is_list=is_list)
    if is_list or events:
        return wire.encode_frame(results, events, seqs, is_list=is_list)
    return wire.encode_result(results[0])


async def _send(
    transport: Any, running: asyncio.Queue[_Running | None], seen: Distribution
) -> None:
    while (frame := await running.get()) is not None:
        results = await frame.future
        await transport.send_str(_answer_of(frame, results).decode())
        seen.observe(perf_counter() - frame.began)
