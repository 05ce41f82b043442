"""The sequence rules, end to end in one process, against a model of them that fits on a page."""

from __future__ import annotations

from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from tidegate import answers, store
from tidegate.engine import Engine
from tidegate.metrics import GateMetrics
from tidegate.serve.limits import Limits
from tidegate.serve.operations import Answer, Delete, Event, Part, Read, SessionView
from tidegate.serve.processor import Processor

KEPT = 3
CACHED = 2
TOMBSTONE_SECONDS = 3600.0
TTL_SECONDS = 10_000.0
NAMES = ("a", "b")


class Gate:
    """What the machine needs of the server's heart: requests in, plain tuples out."""

    def __init__(self, bundle: Any) -> None:
        self.now = 1_700_000_000.0
        self._bundle = bundle
        self._folder = TemporaryDirectory()
        self._store = store.open(self._folder.name, segment_size=1 << 16, space=1.5)
        self.restart()

    def close(self) -> None:
        """Let go of the store."""
        self._store.close()
        self._folder.cleanup()

    def restart(self, *, reopen: bool = False) -> None:
        """Begin with empty memory over the same store."""
        if reopen:
            self._store.close()
            self._store = store.open(self._folder.name, segment_size=1 << 16, space=1.5)
        self._processor = Processor(
            self._bundle,
            Engine.open(self._bundle, replay=False),
            self._store,
            GateMetrics("0", {self._bundle.name: self._bundle.version}),
            lambda: self.now,
            Limits(
                answers=KEPT,
                cached_sessions=CACHED,
                ttl_seconds=TTL_SECONDS,
                tombstone_seconds=TOMBSTONE_SECONDS,
            ),
        )

    def cut(self) -> None:
        """Let the store drop what is outdated, and what is too old."""
        self._store.ages(TTL_SECONDS, TOMBSTONE_SECONDS, self.now)
        self._store.cut()

    def request(self, events: list[Asked]) -> list[tuple[Any, ...]]:
        """Send events in one request."""
        return self._do(
            [
                Event(
                    {"speed": asked.speed, "driver": "ann"},
                    asked.session,
                    seq=asked.seq,
                    time=asked.time,
                    start=asked.start,
                    end=asked.end,
                )
                for asked in events
            ]
        )

    def delete(self, session: str) -> tuple[Any, ...]:
        return self._do([Delete(session)])[0]

    def read(self, session: str) -> tuple[Any, ...]:
        return self._do([Read(session)])[0]

    def _do(self, operations: list[Any]) -> list[tuple[Any, ...]]:
        done = self._processor.process([Part(operations)])
        self._processor.wait(done.ticket)
        self._processor.evict(done.ticket)
        return [_told(result) for result in done.results]


def _told(result: Any) -> tuple[Any, ...]:
    if isinstance(result, Answer):
        answer = msgspec.json.encode(result.answer)
        return "answer", result.seq, result.time, answer, result.duplicate
    if isinstance(result, SessionView):
        return "view", result.seq
    if isinstance(result, Exception):
        return result.code, result.expected
    raise AssertionError(result)


class Asked(msgspec.Struct, frozen=True):
    """An event of a request."""

    session: str
    speed: Any
    seq: int | None = None
    time: float | None = None
    start: bool = False
    end: bool = False


# The model


@dataclass
class Known:
    memory: str
    status: str = "live"
    seq: int = 0
    updated: float = 0.0
    kept: list[tuple[int, tuple[Any, ...], float, bytes]] = field(default_factory=list)


class Model:
    """What the contract says."""

    def __init__(self, bundle: Any) -> None:
        self.now = 1_700_000_000.0
        self.sessions: dict[str, Known] = {}
        self.begun = 0
        self.schema = bundle.schema
        self.engine = Engine.open(bundle, replay=False)
        self.words = answers.open(bundle.task)

    def known(self, session: str) -> Known | None:
        known = self.sessions.get(session)
        if known and known.status == "live" and self.now - known.updated >= TTL_SECONDS:
            known.status, known.updated = "expired", known.updated + TTL_SECONDS
        gone = known and known.status != "live" and self.now - known.updated >= TOMBSTONE_SECONDS
        return None if gone else known

    def request(self, events: list[Asked]) -> list[tuple[Any, ...]]:
        failed: set[str] = set()
        results = []
        for asked in events:
            results.append(self.event(asked, asked.session in failed))
            if results[-1][0] != "answer":
                failed.add(asked.session)
        return results

    def event(self, asked: Asked, failed: bool) -> tuple[Any, ...]:
        known, seq = self.known(asked.session), asked.seq
        if asked.speed is BAD:
            return "wrong_type", None
        if failed:
            expected = known.seq + 1 if known and known.status == "live" else 1
            return "previous_failed" if seq is None else "seq_gap", expected
        payload = (asked.speed, asked.time)
        kept = {n: (p, time, answer) for n, p, time, answer in known.kept} if known else {}
        repeated = seq in kept and kept[seq][0] == payload
        begun = known and known.seq == seq == 1
        if known and repeated and (begun if asked.start else known.status != "expired"):
            return "answer", seq, kept[seq][1], kept[seq][2], True
        if known is None or asked.start:
            if seq not in (None, 1):
                return "seq_gap", 1
            self.begun += 1
            known = Known(f"{asked.session}{self.begun}")
        if known.status != "live":
            return f"session_{known.status}", None
        if seq is not None and seq > known.seq + 1:
            return "seq_gap", known.seq + 1
        if seq is not None and seq <= known.seq:
            return "payload_conflict" if seq in kept else "seq_stale", known.seq + 1
        return self.step(asked, known, payload)

    def step(self, asked: Asked, known: Known, payload: tuple[Any, ...]) -> tuple[Any, ...]:
        time = self.now if asked.time is None else asked.time
        typed = self.schema.type_event({"speed": asked.speed, "driver": "ann"})
        columns = self.schema.stack([typed])
        outputs = self.engine.step_events([known.memory], columns, np.array([time])).outputs
        answer = msgspec.json.encode(*self.words.answer(outputs))
        known.seq, known.updated = known.seq + 1, self.now
        known.status = "ended" if asked.end else "live"
        known.kept = [*known.kept, (known.seq, payload, time, answer)][-KEPT:]
        self.sessions[asked.session] = known
        return "answer", known.seq, time, answer, False

    def delete(self, session: str) -> tuple[Any, ...]:
        known = self.known(session)
        if known is None:
            return "session_unknown", None
        if known.status != "deleted":
            known.status, known.updated, known.kept = "deleted", self.now, []
        return "view", known.seq

    def read(self, session: str) -> tuple[Any, ...]:
        known = self.known(session)
        if known is None:
            return "session_unknown", None
        return ("view", known.seq) if known.status == "live" else (f"session_{known.status}", None)


BAD = "fast"
BUNDLE: list[Any] = []
names = st.sampled_from(NAMES)
good = st.sampled_from([10.0, 20.0, 30.0])
speeds = st.sampled_from([10.0, 20.0, 30.0, 10.0, 20.0, 30.0, BAD])
times = st.sampled_from([None, 1000.0, 2000.0])


class Machine(RuleBasedStateMachine):
    """Both get the same, and must say the same."""

    @initialize()
    def begin(self) -> None:
        self.gate, self.model = Gate(BUNDLE[0]), Model(BUNDLE[0])

    def both(self, events: list[Asked]) -> None:
        assert self.gate.request(events) == self.model.request(events)

    def following(self, session: str) -> int:
        known = self.model.known(session)
        return known.seq + 1 if known and known.status == "live" else 1

    @rule(session=names, speeds=st.lists(speeds, min_size=1, max_size=6), time=times)
    def step(self, session: str, speeds: list[Any], time: Any) -> None:
        first = self.following(session)
        self.both([Asked(session, s, first + i, time) for i, s in enumerate(speeds)])

    @rule(session=names, speeds=st.lists(good, min_size=1, max_size=6))
    def step_without_numbers(self, session: str, speeds: list[Any]) -> None:
        self.both([Asked(session, speed) for speed in speeds])

    @rule(session=names, numbered=st.booleans())
    def end(self, session: str, numbered: bool) -> None:
        seq = self.following(session) if numbered else None
        self.both([Asked(session, 30.0, seq, end=True)])

    @rule(session=names, speed=speeds, seq=st.sampled_from([None, 1, 1, 2]))
    def start(self, session: str, speed: Any, seq: int | None) -> None:
        self.both([Asked(session, speed, seq, start=True)])

    @precondition(lambda self: any(known.kept for known in self.model.sessions.values()))
    @rule(data=st.data())
    def repeat(self, data: Any) -> None:
        sessions = [name for name, known in self.model.sessions.items() if known.kept]
        session = data.draw(st.sampled_from(sorted(sessions)))
        seq, payload, _, _ = data.draw(st.sampled_from(self.model.sessions[session].kept))
        speed = data.draw(st.sampled_from([payload[0], payload[0], 99.0]))
        self.both([Asked(session, speed, seq, payload[1], start=data.draw(st.booleans()))])

    @rule(session=names, by=st.integers(-6, 4), speed=speeds)
    def any_number(self, session: str, by: int, speed: Any) -> None:
        self.both([Asked(session, speed, max(self.following(session) + by, 1))])

    @rule(
        events=st.lists(
            st.builds(
                Asked,
                names,
                speeds,
                st.one_of(st.none(), st.integers(1, 6)),
                times,
                st.sampled_from([False] * 3 + [True]),
                st.sampled_from([False] * 7 + [True]),
            ),
            min_size=2,
            max_size=8,
        )
    )
    def request(self, events: list[Asked]) -> None:
        self.both(events)

    @rule(session=names)
    def delete(self, session: str) -> None:
        assert self.gate.delete(session) == self.model.delete(session)

    @rule(session=names)
    def read(self, session: str) -> None:
        assert self.gate.read(session) == self.model.read(session)

    @rule(seconds=st.sampled_from([1.0, 1800.0, TOMBSTONE_SECONDS, TTL_SECONDS]))
    def wait(self, seconds: float) -> None:
        self.gate.now = self.model.now = self.model.now + seconds

    @rule()
    def evict(self) -> None:
        """Push the others out of memory."""
        for name in ("x", "y", "z")[: CACHED + 1]:
            self.both([Asked(name, 20.0)])

    @rule()
    def cut(self) -> None:
        """Move what is current to the end of the log; what is forgotten need not come along."""
        self.gate.cut()

    @rule(reopen=st.booleans())
    def restart(self, reopen: bool) -> None:
        self.gate.restart(reopen=reopen)

    def teardown(self) -> None:
        self.gate.close()


@pytest.fixture(scope="module", autouse=True)
def _bundle(make_bundle):
    BUNDLE[:] = [make_bundle(fingerprint=b"u" * 32)]


def test_the_gate_does_what_the_model_says():
    run_machine(
        Machine,
        settings=settings(
            deadline=None,
            max_examples=15,
            stateful_step_count=40,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
