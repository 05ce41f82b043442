"""WebSockets: one connection, events of many sessions, answers in the order of their frames."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tidegate.errors import InputError, OverloadError, TidegateError
from tidegate.serve import wire
from tidegate.serve.operations import Part, Result
from tidegate.serve.waits import Waits

if TYPE_CHECKING:
    from tidegate.serve.model import Model

__all__ = ["answer"]

_AHEAD = 16
"""Frames of one connection that are on their way; further ones wait in the network."""

_CLOSE, _BYTES = 0, 1

_Running = tuple["asyncio.Future[list[Result]]", bool]
"""Results to come of a frame, and whether it was a list."""


async def answer(transport: Any, model: Model, waits: Waits, frame_bytes: int) -> None:
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

    Notes
    -----
    A frame is an event that names its session, or a list of such; its answer has the same shape. An
    error that refuses a whole frame (``overloaded``, say) is an object with one ``error``.
    """
    running: asyncio.Queue[_Running | None] = asyncio.Queue(_AHEAD)
    sending = asyncio.ensure_future(_send(transport, running))
    try:
        while not model.draining and not sending.done():
            try:
                message = await waits.wait(transport.receive())
            except OverloadError:
                break
            kind = message.kind
            if kind == _CLOSE:
                return
            body = message.data if kind == _BYTES else message.data.encode()
            await _put(running, _submit(body, model, frame_bytes), sending)
        await _put(running, None, sending)
        await sending
    finally:
        sending.cancel()


async def _put(
    running: asyncio.Queue[_Running | None], frame: _Running | None, sending: asyncio.Future[None]
) -> None:
    """Queue a frame, if there will be somebody to answer it."""
    if not running.full():
        running.put_nowait(frame)
        return
    putting = asyncio.ensure_future(running.put(frame))
    try:
        await asyncio.wait([putting, sending], return_when=asyncio.FIRST_COMPLETED)
    finally:
        putting.cancel()


def _submit(body: bytes, model: Model, frame_bytes: int) -> _Running:
    try:
        if len(body) > frame_bytes:
            raise InputError(
                "body_too_large",
                f"the frame is larger than {frame_bytes} bytes",
                field="body",
                hint="nothing of it was applied; send fewer events a frame",
            )
        events, is_list = wire.parse_any(body)
        if len(events) > model.batcher.max_batch:
            raise wire.too_many(model.batcher.max_batch, "frame")
        return model.submit(Part(events)), is_list
    except TidegateError as error:
        future: asyncio.Future[list[Result]] = asyncio.get_running_loop().create_future()
        future.set_result([error])
        return future, False


async def _send(transport: Any, running: asyncio.Queue[_Running | None]) -> None:
    while (frame := await running.get()) is not None:
        future, is_list = frame
        results = await future
        body = wire.encode_items(results) if is_list else wire.encode_result(results[0])
        await transport.send_str(body.decode())
