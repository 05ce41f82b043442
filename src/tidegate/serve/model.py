"""A model that is served: its bundle, its sessions, and the way to them."""

from __future__ import annotations

import asyncio
import math
from typing import Literal, TypeVar

from tidegate.bundle import Bundle
from tidegate.errors import OverloadError
from tidegate.metrics import GateMetrics
from tidegate.serve import refusals, wire
from tidegate.serve.batcher import Batcher
from tidegate.serve.bulk import Bulk
from tidegate.serve.operations import Part, Refused, Result, Unread
from tidegate.serve.processor import Processor
from tidegate.serve.work import Work

__all__ = ["Model", "Phase"]

Phase = Literal["starting", "ready", "draining"]

_T = TypeVar("_T")


class Model:
    """What the routes know of a model.

    Parameters
    ----------
    bundle : Bundle
        The model.
    processor : Processor
        Steps its sessions.
    batcher : Batcher
        Takes operations on them.
    metrics : GateMetrics
        Counts what is not taken.
    """

    def __init__(
        self, bundle: Bundle, processor: Processor, batcher: Batcher, metrics: GateMetrics
    ) -> None:
        self.bundle = bundle
        self.processor = processor
        self.bulk = Bulk(processor)
        self.batcher = batcher
        self.draining = False
        self.metrics = metrics

    @property
    def kept_answers(self) -> int:
        """How many of a session's last answers a retry can have again."""
        return self.processor.kept_answers

    @property
    def healthy(self) -> bool:
        """Whether the store takes what is changed."""
        return not self.batcher.failed

    def submit(
        self, part: Part, transport: str = "http", *, admitted: bool = False
    ) -> asyncio.Future[list[Result]]:
        """Queue operations of a request, or refuse it before any of it is applied.

        Parameters
        ----------
        part : Part
            The operations.
        transport : str
            How they came.
        admitted : bool
            They belong to a request of which a part was accepted before: never refused.

        Raises
        ------
        OverloadError
            ``draining`` or ``overloaded``.
        """
        self.metrics.count_received(transport, len(part.operations))
        try:
            return self._queue(part, admitted=admitted)
        except OverloadError as error:
            self.metrics.count_event(self.bundle.name, error.code, len(part.operations))
            raise

    def submit_alone(
        self, event: Unread, transport: str = "http", *, deadline: float = math.inf
    ) -> asyncio.Future[list[Result]]:
        """Queue an event that came alone; see `submit`.

        Raises
        ------
        OverloadError
            As `submit`.
        InputError
            As there is no place for it, it was read, and is wrong: to send it again is of no use.
        """
        self.metrics.count_received(transport)
        operation = wire.read(event) if self.batcher.reorders else event
        try:
            return self._queue(Part([operation], deadline=deadline))
        except OverloadError as error:
            read = wire.read(event)
            if isinstance(read, Refused):
                self.metrics.count_event(self.bundle.name, "bad_input")
                raise read.error from None
            self.metrics.count_event(self.bundle.name, error.code)
            raise

    def _queue(self, part: Part, *, admitted: bool = False) -> asyncio.Future[list[Result]]:
        if self.draining and not admitted:
            raise refusals.draining()
        return self.batcher.submit(part, admitted=admitted)

    def submit_block(
        self, work: Work[_T], transport: str = "arrow", *, admitted: bool = False
    ) -> asyncio.Future[_T]:
        """Queue a block of a request; see `submit` and `Batcher.submit_block`."""
        self.metrics.count_received(transport, work.size)
        try:
            if self.draining and not admitted:
                raise refusals.draining()
            return self.batcher.submit_block(work, admitted=admitted)
        except OverloadError as error:
            self.metrics.count_event(self.bundle.name, error.code, work.size)
            raise
