"""A micro-batch on its way through the processor: what it knows, changes and gives out."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tidegate.engine import SessionState
from tidegate.errors import RecordError, TidegateError
from tidegate.record import Record
from tidegate.schema import TypedEvent
from tidegate.serve.operations import Event, Operation, Result

__all__ = ["Batch", "Step"]


class Step(msgspec.Struct):
    """An event on its way through the engine."""

    index: int
    event: Event
    seq: int
    payload_hash: int
    typed: TypedEvent
    time: float
    known: Record | None
    """What it continues; None where the session begins (anew)."""
    reset: bool
    kinds: list[str]
    """Breaks of continuity that count once it is applied."""
    before: SessionState | None
    """Of the session that it replaces, to go back to if it fails."""


class Batch:
    """What one micro-batch knows and changes, until the store has it."""

    def __init__(self, operations: Sequence[Operation], now: float) -> None:
        self.operations = operations
        self.now = now
        self.results: list[Result | None] = [None] * len(operations)
        self.loaded: dict[str, Record] = {}
        self.damaged: dict[str, RecordError] = {}
        self.changed: dict[str, Record] = {}
        self.forgotten: list[str] = []
        self.kinds: list[str] = []

    def fail(self, index: int, error: TidegateError) -> None:
        """Refuse an operation; later events of its session in the same request will fail too."""
        operation = self.operations[index]
        self.results[index] = error
        if isinstance(operation, Event):
            operation.failed.add(operation.session)

    def fail_all(self, error: TidegateError) -> None:
        """Refuse everything: nothing of the batch is given out."""
        self.kinds.clear()
        for index in range(len(self.operations)):
            self.fail(index, error)
