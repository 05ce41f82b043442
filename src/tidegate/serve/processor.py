"""The synchronous heart: a micro-batch in, its results out, and what it changed on its way to disk.

`Processor.process` judges, steps and words a batch, and hands what it changed to the store. Its
results are true only once the store has that: whoever calls it gives them out when the ticket that
comes with them is durable (`Batcher` does). What the store refuses is forgotten here too
(`Processor.roll_back`), so that memory never stays ahead of what a restart would find.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import groupby, islice
from time import perf_counter
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from tidegate import core
from tidegate.errors import StoreError, TidegateError
from tidegate.metrics import GateMetrics
from tidegate.serve import refusals, rules, tally, wire
from tidegate.serve.block import Batch, Block
from tidegate.serve.limits import Limits
from tidegate.serve.operations import (
    Delete,
    Event,
    Operation,
    Part,
    Read,
    Refused,
    Result,
    SessionView,
    Unread,
)
from tidegate.serve.plain import Plain, PlainEvents
from tidegate.serve.words import Words
from tidegate.store import Store, session_prefix

if TYPE_CHECKING:
    from tidegate.bundle import Bundle
    from tidegate.core import Processed
    from tidegate.engine import Engine

__all__ = ["Done", "Processor"]

_log = logging.getLogger(__name__)


class _Head(NamedTuple):
    """What the table knows of a session."""

    status: Literal["live", "ended", "deleted", "expired", "damaged"]
    seq: int
    time: float
    created: float
    updated: float
    model_version: str
    foreign: bool


class Done(NamedTuple):
    """A batch that was stepped, and may not have been written yet.

    Parameters
    ----------
    results : list of Result
        One an operation, in order.
    ticket : int
        They may be given out once the store has this.
    """

    results: list[Result]
    ticket: int


class Processor:
    """Steps events of many sessions, in order within each.

    Parameters
    ----------
    bundle : Bundle
        The model.
    engine : Engine
        Opened on the bundle: its test vectors have been replayed.
    store : Store
        Where records live.
    metrics : GateMetrics
        Counts what happens.
    clock : callable
        Unix seconds.
    limits : Limits
        What is kept, and for how long.

    Attributes
    ----------
    table : core.Table
        The sessions in memory.
    words : Words
        Says what a batch's results mean.
    plain : Plain
        Reads and words what is plain JSON.

    Notes
    -----
    Not for several threads at once: the server runs it in its event loop.
    """

    def __init__(
        self,
        bundle: Bundle,
        engine: Engine,
        store: Store,
        metrics: GateMetrics,
        clock: Callable[[], float],
        limits: Limits | None = None,
    ) -> None:
        self.bundle = bundle
        self._limits = limits or Limits()
        self.kept_answers = self._limits.answers
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self.words = Words(bundle)
        self.plain = Plain(bundle)
        self._prefix = session_prefix(self._limits.tenant, bundle.name)
        self._group = None if store.volatile else core.Group()
        # What a batch changes is marked with the ticket that it will get. The store's go on from
        # where they were, and those of groups that it lost are not given again.
        self._ticket = self._issued = store.progress()[0]
        self.table = engine.table(
            bundle.version,
            self._prefix,
            answers=self._limits.answers,
            answer_bytes=self._limits.answer_bytes,
            ttl_seconds=self._limits.ttl_seconds,
            tombstone_seconds=self._limits.tombstone_seconds,
        )

    # Batches

    def process(self, parts: Sequence[Part]) -> Done:
        """Do the operations of some requests, in order within each session.

        Nothing raises: what goes wrong is the result of every operation it concerns.
        """
        operations = [operation for part in parts for operation in part.operations]
        issued = self._issued
        try:
            results = self._operations(parts, operations)
        except StoreError as error:
            results = [self._failed(error)] * len(operations)
        except Exception as error:
            self._undo()
            # What the table refuses to take at all is one request's fault, and its alone.
            if len(parts) > 1 and self._issued == issued and isinstance(error, ValueError):
                return self._one_by_one(parts)
            _log.exception("a batch of %d operations failed", len(operations))
            results = [refusals.internal()] * len(operations)
        if results and isinstance(results[0], bytes):  # so all are: events that came alone
            self._metrics.count_event(self.bundle.name, "answered", len(results))
        else:
            self._note_failures(parts, results)
            tally.count_results(self._metrics, self.bundle.name, operations, results)
        return Done(results, self._ticket)

    def _one_by_one(self, parts: Sequence[Part]) -> Done:
        results = [result for part in parts for result in self.process([part]).results]
        return Done(results, self._ticket)

    def process_block(self, block: Batch) -> tuple[Processed, dict[int, TidegateError], int]:
        """Do a batch of events that came as columns; return its results as columns.

        Returns
        -------
        processed : core.Processed
            As `core.Table.process` gives it.
        errors : dict of int to TidegateError
            Of the events that were not answered.
        ticket : int
            They may be given out once the store has this.

        Raises
        ------
        StoreError
            ``store_failed``: nothing was applied.
        """
        try:
            processed = self._step(block)
        except StoreError as error:
            raise self._failed(error) from error
        except Exception:
            self._undo()
            raise
        errors = self.words.errors(block, processed)
        tally.count_codes(self._metrics, self.bundle.name, processed, errors)
        return processed, errors, self._ticket

    def _operations(self, parts: Sequence[Part], operations: Sequence[Operation]) -> list[Result]:
        kinds = {type(operation) for operation in operations}
        if kinds == {Unread}:
            batch = self.plain.read_bodies(cast("Sequence[Unread]", operations))
            if batch is not None:
                return self._alone(batch)
        if Unread in kinds:
            read = [_read(part) for part in parts]
            refused = [_refusal(part) for part in read]
            right = [part for part, error in zip(read, refused, strict=True) if error is None]
            found = iter(self._events_or_more(right) if right else ())
            return [
                result
                for part, error in zip(read, refused, strict=True)
                for result in ([error] if error else islice(found, len(part.operations)))
            ]
        return self._events_or_more(parts)

    def _events_or_more(self, parts: Sequence[Part]) -> list[Result]:
        if all(type(each) in _EVENTS for part in parts for each in part.operations):
            return self._events(Block.of(parts, self.bundle.schema))
        return self._mixed(parts)

    def _alone(self, batch: PlainEvents) -> list[Result]:
        processed = self._step(batch)
        if processed.plain:
            return [*self.plain.bodies(batch, processed)]
        return self.words.results(batch, processed, self.words.errors(batch, processed))

    def _mixed(self, parts: Sequence[Part]) -> list[Result]:
        """Do events together, and what is between them one by one."""
        results: list[Result] = []
        for part in parts:
            for are_events, run in groupby(part.operations, lambda each: type(each) in _EVENTS):
                if are_events:
                    again = Part([*run], failed=part.failed)
                    found = self._events(Block.of([again], self.bundle.schema))
                    self._note_failures([again], found)
                    results += found
                else:
                    results += [self._manage(cast("Read | Delete", each)) for each in run]
        return results

    def _events(self, block: Batch) -> list[Result]:
        processed = self._step(block)
        return self.words.results(block, processed, self.words.errors(block, processed))

    def _step(self, block: Batch) -> Processed:
        self._metrics.batch_events.observe(block.size)
        self._load(block)
        began = perf_counter()
        processed = block.process(self.table, self._clock(), self._group, self._next_ticket)
        self._metrics.step_seconds.observe(perf_counter() - began)
        self._hand_over()
        if not processed.plain:
            tally.count_marks(self._metrics, self.bundle.name, processed)
        return processed

    @property
    def _next_ticket(self) -> int:
        # What has no ticket is never rolled back: nothing else has it.
        return 0 if self._group is None else self._issued + 1

    def _hand_over(self) -> None:
        """Give the store what changed; a batch that changed nothing waits for those before it."""
        group = self._group
        if group is not None and len(group):
            try:
                self._ticket = self._issued = self._store.append(group)
            finally:
                group.clear()

    # Memory

    def _load(self, block: Batch) -> None:
        """Read the sessions that are not in memory, all at once."""
        if self._store.volatile:
            return
        missing = block.missing(self.table)
        if not missing:
            return
        began = perf_counter()
        names = [block.session(index) for index in missing]
        self._load_named(names)
        self._metrics.load_seconds.observe(perf_counter() - began)

    def _load_named(self, names: Sequence[str]) -> None:
        found = self._read_records([self._prefix + name.encode() for name in names])
        there = [(name, data) for name, data in zip(names, found, strict=True) if data is not None]
        if there:
            self.table.load(*zip(*there, strict=True))
            self._metrics.loaded_sessions.inc(len(there))

    def _read_records(self, keys: list[bytes]) -> list[bytes | None]:
        """Read records; no bytes, which are no record, stand for one that cannot be read."""
        try:
            return self._store.get(keys)
        except StoreError as error:
            if error.code != "store_damaged":
                raise
            if len(keys) == 1:
                _log.error("a record cannot be read: %s", error)
                return [b""]
        half = len(keys) // 2
        return self._read_records(keys[:half]) + self._read_records(keys[half:])

    def evict(self, durable: int) -> None:
        """Drop the sessions that were asked for longest ago, down to the limits.

        Parameters
        ----------
        durable : int
            The ticket up to which the store has everything for good: only such sessions may go.
        """
        if self._store.volatile:
            return
        excess = len(self.table) - self._limits.cached_sessions
        if self._limits.memory_bytes:
            beyond = self.table.nbytes - self._limits.memory_bytes
            if beyond > 0:
                excess = max(excess, -(-beyond * len(self.table) // self.table.nbytes))
        # Also where none has to go: the table then knows what it need not be able to take back.
        evicted = self.table.evict(max(excess, 0), durable)
        if evicted:
            self._metrics.evicted_sessions.inc(evicted)

    def wait(self, ticket: int) -> None:
        """Wait until the results of a ticket may be given out.

        Raises
        ------
        StoreError
            ``store_failed``.
        """
        if not self._store.volatile:
            self._store.wait(ticket)

    def roll_back(self, durable: int) -> None:
        """Forget what the store does not have: it is asked again.

        Parameters
        ----------
        durable : int
            The ticket up to which it has everything. Nothing later may still be on its way.
        """
        self._ticket = durable
        self.table.rollback(durable)

    def _undo(self) -> None:
        """Forget what the batch at hand has changed, which the store was not given."""
        if self._group is None:
            return
        self._group.clear()
        with suppress(StoreError):  # then all that is on its way has failed: it is rolled back too
            # What this batch changed is read again, and earlier changes must be there by then.
            self._store.wait(self._ticket)
        self.table.rollback(self._ticket)

    def _failed(self, cause: StoreError) -> StoreError:
        """Forget a batch that the store did not take; return the error of all that is in it."""
        _log.error("the store failed: %s", cause)
        self._metrics.store_failures.inc()
        self._undo()
        return refusals.store_failed()

    @staticmethod
    def _note_failures(parts: Sequence[Part], results: Sequence[Result]) -> None:
        at = iter(results)
        for part in parts:
            for operation, result in zip(part.operations, at, strict=False):
                if operation.session and isinstance(result, TidegateError):
                    part.failed.add(operation.session)

    # One session

    def _manage(self, operation: Read | Delete) -> Result:
        try:
            if type(operation) is Read:
                return self._read(operation.session)
            return self._delete(operation.session)
        except TidegateError as error:
            if isinstance(error, StoreError) and error.code == "store_failed":
                raise
            return error

    def _head(self, session: str) -> _Head | None:
        if session not in self.table and not self._store.volatile:
            self._load_named([session])
        head = self.table.head(session, self._clock())
        return None if head is None else _Head._make(head)

    def _read(self, session: str) -> SessionView:
        head = self._head(session)
        if head is None:
            raise refusals.session_unknown(session)
        if head.status == "damaged":
            raise refusals.record_damaged()
        if head.status != "live":
            raise rules.refusal(rules.gone(head.status, head.seq))
        return _view(session, head)

    def _delete(self, session: str) -> SessionView:
        if self._head(session) is None:
            raise refusals.session_unknown(session)
        self.table.delete(session, self._clock(), self._group, self._next_ticket)
        self._hand_over()
        head = self._head(session)
        assert head is not None
        return _view(session, head)


_EVENTS: frozenset[type[Operation]] = frozenset({Event, Refused})


def _read(part: Part) -> Part:
    """Read an event that came alone."""
    if len(part.operations) != 1 or not isinstance(part.operations[0], Unread):
        return part
    return Part([wire.read(part.operations[0])], part.failed, part.deadline, part.queued)


def _refusal(part: Part) -> TidegateError | None:
    """Return the error of a part that is nothing else: no session need be loaded for it."""
    if len(part.operations) != 1 or not isinstance(part.operations[0], Refused):
        return None
    return part.operations[0].error


def _view(session: str, head: _Head) -> SessionView:
    return SessionView(
        session=session,
        status=head.status,
        seq=head.seq,
        time=head.time,
        created=head.created,
        updated=head.updated,
        model_version=head.model_version,
    )
