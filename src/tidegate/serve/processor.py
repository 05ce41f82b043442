"""The synchronous heart: a micro-batch of operations in, results out, committed in between.

Nothing that this module returns was given out before the store said it is durable: one commit a
batch, then the results. What the store refused is forgotten here too, so that memory never runs
ahead of what a restart would find.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING, cast

import msgspec
import numpy as np

from tidegate import answers, record
from tidegate.engine import Engine, SessionState
from tidegate.errors import RecordError, StoreError, TidegateError
from tidegate.metrics import GateMetrics
from tidegate.record import Record, StoredAnswer
from tidegate.serve import refusals, rules, sessions, tally
from tidegate.serve.batch import Batch, Step
from tidegate.serve.operations import Answer, Delete, Event, Operation, Result, SessionView
from tidegate.serve.sessions import Limits
from tidegate.store import Store, meta_key, session_key

if TYPE_CHECKING:
    from tidegate.bundle import Bundle

__all__ = ["Processor"]

_log = logging.getLogger(__name__)

_PROBE = meta_key("probe")


class Processor:
    """Steps events of many sessions, in order within each, and makes them durable.

    Parameters
    ----------
    bundle : Bundle
        The model.
    engine : Engine
        Opened on the bundle; the processor owns its sessions.
    store : Store
        Where records live.
    metrics : GateMetrics
        Counts what happens.
    clock : callable
        Unix seconds.
    limits : Limits
        What is kept, and for how long.

    Notes
    -----
    Not for several threads at once: the server runs it in one.
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
        self.healthy = True
        self._engine = engine
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._limits = limits or Limits()
        self._answers = answers.open(bundle.task)
        self._cached = metrics.cached_sessions.labels(bundle.name)
        # Sessions whose memory the engine holds, the least recently changed first. Their records
        # are kept here without that memory, which would be there twice.
        self._live: dict[str, Record] = {}

    def process(self, operations: Sequence[Operation]) -> list[Result]:
        """Do a micro-batch of operations, in order within each session.

        Parameters
        ----------
        operations : sequence of Operation
            Over any sessions, several of one allowed.

        Returns
        -------
        list of Result
            One each, in order: an answer, a view, or the error that the client gets. Everything
            they say is durable.
        """
        self._metrics.batch_events.observe(len(operations))
        batch = Batch(operations, self._clock())
        try:
            began = perf_counter()
            self._load(batch)
            for indices in _rounds(operations):
                self._round(batch, indices)
            self._metrics.step_seconds.observe(perf_counter() - began)
            self._commit(batch)
        except StoreError as error:
            self._forget(batch)
            self._store_failed(batch, error)
        except Exception:
            _log.exception("a batch of %d operations failed", len(operations))
            self._forget(batch)
            batch.fail_all(refusals.internal())
        self._evict()
        results = cast("list[Result]", batch.results)
        tally.count(self._metrics, self.bundle.name, operations, results, batch.kinds)
        return results

    def probe(self) -> bool:
        """Try a commit if the last one failed; return whether the store takes them."""
        if not self.healthy:
            try:
                self._store.commit([(_PROBE, b"")])
                self.healthy = True
            except StoreError:
                self._metrics.store_failures.inc()
        return self.healthy

    # What is known

    def _load(self, batch: Batch) -> None:
        """Read the sessions that are not in memory, all at once."""
        looked = {each.session for each in batch.operations if not isinstance(each, Event)}
        stepped = {
            each.session for each in batch.operations if isinstance(each, Event) and not each.error
        }
        missing = sorted((looked | stepped) - self._live.keys())
        if not missing:
            return
        stored = {name: data for name, data in self._fetch(batch, missing) if data is not None}
        # Only events bring a session's memory into the engine.
        self._load_states(batch, {k: data for k, data in stored.items() if k in stepped})
        for name in stored.keys() - stepped:
            try:
                self._met(batch, name, record.decode(stored[name]))
            except RecordError as error:
                batch.damaged[name] = refusals.record_damaged(error)

    def _load_states(self, batch: Batch, stored: Mapping[str, bytes]) -> None:
        imported = self._engine.import_records([*stored], [*stored.values()])
        for i, (name, head) in enumerate(zip(stored, imported.heads, strict=True)):
            error = imported.errors.get(i)
            if error is not None and error.code != "record_other_model":
                batch.damaged[name] = refusals.record_damaged(error)
            elif head is not None and head.status == "live" and error is None:
                self._live[name] = head
            elif head is not None:
                self._met(batch, name, head)

    def _met(self, batch: Batch, session: str, known: Record) -> None:
        if rules.is_forgotten(known, batch.now, self._limits.tombstone_seconds):
            batch.forgotten.append(session)
        else:
            batch.loaded[session] = known

    def _fetch(self, batch: Batch, missing: Sequence[str]) -> Iterator[tuple[str, bytes | None]]:
        """Yield sessions with their stored bytes, without those that lie in a damaged block."""
        try:
            found = self._store.get([self._key(session) for session in missing])
        except StoreError as error:
            if error.code != "store_damaged":
                raise
            _log.error("a part of the store is damaged: %s", error)
        else:
            yield from zip(missing, found, strict=True)
            return
        # One damaged block fails the read of all: ask for each, to find whose it is.
        for session in missing:
            try:
                [data] = self._store.get([self._key(session)])
            except StoreError as error:
                if error.code != "store_damaged":
                    raise
                batch.damaged[session] = refusals.block_damaged()
            else:
                yield session, data

    def _known(self, batch: Batch, session: str) -> Record | None:
        known = batch.changed.get(session) or self._live.get(session) or batch.loaded.get(session)
        if known is None:
            if session in batch.damaged:
                raise batch.damaged[session]
            return None
        if rules.is_forgotten(known, batch.now, self._limits.tombstone_seconds):
            return None
        return known

    def _key(self, session: str) -> bytes:
        return session_key(self._limits.tenant, self.bundle.name, session)

    # One round: at most one operation of each session

    def _round(self, batch: Batch, indices: Iterable[int]) -> None:
        steps = []
        for index in indices:
            operation = batch.operations[index]
            outcome: Result | Step
            try:
                if isinstance(operation, Event):
                    outcome = self._judge(batch, index, operation)
                elif isinstance(operation, Delete):
                    outcome = self._delete(batch, operation.session)
                else:
                    outcome = self._read(batch, operation.session)
            except TidegateError as error:
                batch.fail(index, error)
            else:
                if isinstance(outcome, Step):
                    steps.append(outcome)
                else:
                    batch.results[index] = outcome
        if steps:
            self._step(batch, steps)

    def _judge(self, batch: Batch, index: int, event: Event) -> Answer | Step:
        """Decide what an event is to its session; raise what refuses it."""
        if event.error is not None:
            raise event.error
        kinds: list[str] = []
        try:
            known = self._known(batch, event.session)
        except RecordError:
            if not event.start:
                raise
            known = None
            kinds.append("record_damaged")
        if event.session in event.failed:
            raise rules.refusal(rules.judge_after_failure(known, event.seq), after_failure=True)
        schema = self.bundle.schema
        typed = schema.type_event(event.event)
        payload_hash = schema.payload_hash(typed, event.time)
        verdict = rules.judge(known, seq=event.seq, payload_hash=payload_hash, start=event.start)
        if verdict.outcome == "repeat" and known is not None:
            return sessions.repeat(event.session, known, known.answers[verdict.answer or 0])
        if verdict.outcome not in rules.STEPS:
            raise rules.refusal(verdict)
        if verdict.outcome == "begin_anew" and known is not None:
            kinds.append("start_on_live" if known.status == "live" else "start_on_tombstone")
        continues = known if verdict.outcome == "step" else None
        reset = continues is not None and continues.fingerprint != self.bundle.fingerprint
        if reset:
            kinds.append("reset")
        return Step(
            index=index,
            event=event,
            seq=verdict.seq,
            payload_hash=payload_hash,
            typed=typed,
            time=event.received if event.time is None else event.time,
            known=continues,
            reset=reset,
            kinds=kinds,
            before=None if continues and not reset else self._put_aside(event.session),
        )

    def _put_aside(self, session: str) -> SessionState | None:
        """Let an event begin a session; return what the engine held of the one it replaces."""
        if session not in self._engine:
            return None
        before = self._engine.export_state(session)
        self._engine.forget(session)
        return before

    def _step(self, batch: Batch, steps: Sequence[Step]) -> None:
        stepped = self._engine.step_events(
            [step.event.session for step in steps],
            self.bundle.schema.stack([step.typed for step in steps]),
            np.array([step.time for step in steps], dtype=np.float64),
        )
        for k, error in stepped.errors.items():
            step = steps[k]
            if step.before is not None:
                self._engine.import_state(step.event.session, step.before)
            batch.fail(step.index, error)
        good = [k for k in range(len(steps)) if k not in stepped.errors]
        words = self._answers.answer(stepped.outputs[good])
        for k, word in zip(good, words, strict=True):
            self._keep(batch, steps[k], msgspec.json.encode(word))

    def _keep(self, batch: Batch, step: Step, answer: bytes) -> None:
        """Take a stepped event into its session's record."""
        event, known = step.event, step.known
        batch.kinds += step.kinds
        if known is None:
            known = self._blank(batch)
        elif step.time < known.time:
            batch.kinds.append("time_backwards")
        if step.reset:
            # Answers of the other model go with its memory.
            known = msgspec.structs.replace(self._blank(batch), created=known.created)
        stored = StoredAnswer(
            seq=step.seq,
            payload_hash=step.payload_hash,
            time=step.time,
            answer=answer,
            reset=step.reset,
        )
        batch.changed[event.session] = sessions.stepped(
            known, stored, self.bundle.version, batch.now, self._limits, ends=event.end
        )
        if event.end:
            self._engine.forget(event.session)
        batch.results[step.index] = Answer(
            session=event.session,
            seq=step.seq,
            time=step.time,
            model_version=self.bundle.version,
            answer=msgspec.Raw(answer),
            session_reset=step.reset,
        )

    def _read(self, batch: Batch, session: str) -> SessionView:
        known = self._known(batch, session)
        if known is None:
            raise refusals.session_unknown(session)
        if known.status != "live":
            raise rules.refusal(rules.gone(known))
        return sessions.view(session, known)

    def _delete(self, batch: Batch, session: str) -> SessionView:
        try:
            known = self._known(batch, session)
        except RecordError:
            known = self._blank(batch)
        if known is None:
            raise refusals.session_unknown(session)
        if known.status != "deleted":
            known = sessions.tombstone(known, batch.now)
            batch.changed[session] = known
            self._engine.forget(session)
        return sessions.view(session, known)

    def _blank(self, batch: Batch) -> Record:
        return sessions.blank(batch.now, self.bundle.fingerprint, self.bundle.version)

    # Durable, or forgotten

    def _commit(self, batch: Batch) -> None:
        # A tombstone that has stood for its time goes when somebody comes across it.
        swept = [self._key(name) for name in batch.forgotten if name not in batch.changed]
        if not batch.changed and not swept:
            return
        live = {name: head for name, head in batch.changed.items() if head.status == "live"}
        data = dict(zip(live, self._engine.export_records([*live], [*live.values()]), strict=True))
        for name, changed in batch.changed.items():
            if name not in live:
                data[name] = record.encode(changed)
        puts = [(self._key(name), value) for name, value in data.items()]
        began = perf_counter()
        self._store.commit(puts, swept)
        self._metrics.commit_seconds.observe(perf_counter() - began)
        self._engine.clean()
        self.healthy = True
        for name in batch.changed:
            self._live.pop(name, None)
        self._live.update(live)

    def _evict(self) -> None:
        """Drop the sessions that changed longest ago, down to the limit; the store has them."""
        excess = len(self._live) - self._limits.cached_sessions
        if excess > 0:
            coldest = list(islice(self._live, excess))
            for session in coldest:
                del self._live[session]
            self._engine.forget(*coldest)
        self._cached.set(len(self._live))

    def _forget(self, batch: Batch) -> None:
        """Drop what memory holds of a batch's sessions: the store is asked again."""
        for operation in batch.operations:
            self._live.pop(operation.session, None)
        self._engine.forget(*(operation.session for operation in batch.operations))

    def _store_failed(self, batch: Batch, cause: StoreError) -> None:
        _log.error("the store failed: %s", cause)
        self.healthy = False
        self._metrics.store_failures.inc()
        batch.fail_all(refusals.store_failed())


def _rounds(operations: Sequence[Operation]) -> list[list[int]]:
    """Split operations so that each session occurs at most once a round, in order."""
    rounds: list[list[int]] = []
    seen: dict[str, int] = {}
    for index, operation in enumerate(operations):
        occurrence = seen.get(operation.session, 0)
        seen[operation.session] = occurrence + 1
        if occurrence == len(rounds):
            rounds.append([])
        rounds[occurrence].append(index)
    return rounds
