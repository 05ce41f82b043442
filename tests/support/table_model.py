"""A table of sessions in plain Python: one event at a time, nothing shared, nothing clever."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from changed_records import kept

from tidegate import core, record
from tidegate.record import Record, StoredAnswer
from tidegate.schema import Field, Schema, SchemaConfig, Time
from tidegate.schema.typed import TypedEvent
from tidegate.serve import rules
from tidegate.serve.limits import Limits
from tidegate.spec import LayerSpec, ModelSpec

PRINT = bytes(range(32))
VERSION = "7"
PREFIX = b"stenant\0model\0"


def poisonable(threads: int = 1) -> tuple[Schema, core.Model]:
    """A schema and a model; an event with `poison` makes its session's state infinite."""
    config = SchemaConfig(
        {
            "road": Field("category", missing="carry"),
            "speed": Field("numeric", missing="carry"),
            "driver": Field("category", constant=True),
            "poison": Field("numeric", missing="zero"),
        },
        Time(("delta",)),
    )
    columns: dict[str, Any] = {
        "road": np.array(["a", "b"] * 4, object),
        "speed": np.arange(8.0),
        "driver": np.array(["ann"] * 8, object),
        "poison": np.zeros(8),
    }
    schema = Schema.fit(config, columns, np.arange(8.0), np.array([0, 8]))
    layer = LayerSpec("rnn", 5, activation="relu", learned_initial_state=True)
    spec = ModelSpec(schema.width, (layer,), 2, schema.categories)
    rng = np.random.default_rng(3)
    weights = {
        name: rng.normal(0, 0.4, shape).astype(np.float32)
        for name, shape in spec.weight_shapes().items()
    }
    weights["layers.0.forward.input"][:, schema.columns.index("poison")] = 1e35
    return schema, core.pack(spec, weights, "fp32", threads=threads)


SCHEMA, MODEL = poisonable()


class Sent(NamedTuple):
    """An event as it is sent; its payload is road, speed, driver and poison."""

    session: str
    payload: TypedEvent = ("a", 1.0, "ann", None)
    seq: int = 0
    time: float | None = None
    start: bool = False
    end: bool = False
    refused: bool = False
    request: int = 0


POISON: TypedEvent = ("a", 1.0, "ann", 1e9)


class Told(NamedTuple):
    """What is said of an event."""

    code: str
    seq: int
    expected: int = -1
    time: float = 0.0
    marks: int = 0
    output: bytes | None = None
    fault: int = 0


@dataclass
class Session:
    """What the model knows of a session; `rules.Known`."""

    status: Any
    seq: int
    time: float
    created: float
    updated: float
    answers: tuple[StoredAnswer, ...]
    states: tuple[Any, Any]


@dataclass
class Model:
    """The sessions, and what changed since `changed` was last cleared."""

    limits: Limits
    ttl: float
    sessions: dict[str, Session] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)

    def known(self, name: str, now: float) -> Session | None:
        found = self.sessions.get(name)
        if found is None:
            return None
        status = rules.standing(
            found.status,
            found.updated,
            now,
            ttl_seconds=self.ttl,
            tombstone_seconds=self.limits.tombstone_seconds,
        )
        return None if status is None else replace(found, status=status)

    def tell(self, sent: Sent, now: float, failed: set[tuple[int, str]]) -> Told:
        told = self._tell(sent, now, (sent.request, sent.session) in failed)
        if told.output is None:
            failed.add((sent.request, sent.session))
        return told

    def _tell(self, sent: Sent, now: float, failed: bool) -> Told:
        time = now if sent.time is None else sent.time
        if sent.refused and not failed:
            return Told("refused", sent.seq, time=time)
        known, seq = self.known(sent.session, now), sent.seq or None
        if failed:
            after = rules.judge_after_failure(known, seq)
            return Told(after.outcome, sent.seq, after.expected or -1, time, 128)
        payload_hash = SCHEMA.payload_hash(sent.payload, sent.time)
        verdict = rules.judge(known, seq=seq, payload_hash=payload_hash, start=sent.start)
        if verdict.outcome == "repeat" and known is not None and verdict.answer is not None:
            found = known.answers[verdict.answer]
            return Told("repeat", found.seq, -1, found.time, 1, found.answer)
        if verdict.outcome not in rules.STEPS:
            return Told(verdict.outcome, sent.seq, verdict.expected or -1, time)
        goes_on = known if verdict.outcome == "step" else None
        states, output, fault = step(goes_on.states if goes_on else None, sent.payload, time)
        if fault:
            code = "schema_fault" if fault < core.ROWS_BAD else "not_finite_output"
            return Told(code, sent.seq, time=time, fault=fault if fault < core.ROWS_BAD else 0)
        marks = 64 * sent.end
        if known is not None and verdict.outcome == "begin_anew":
            marks += 8 if known.status == "live" else 16
        if goes_on is not None and time < goes_on.time:
            marks += 4
        answer = StoredAnswer(verdict.seq, payload_hash, time, output)
        self.sessions[sent.session] = Session(
            "ended" if sent.end else "live",
            verdict.seq,
            time,
            goes_on.created if goes_on else now,
            now,
            kept((*(goes_on.answers if goes_on else ()), answer), self.limits),
            states,
        )
        self.changed.add(sent.session)
        return Told(verdict.outcome, verdict.seq, -1, time, marks, output)

    def delete(self, name: str, now: float) -> bool:
        known = self.known(name, now)
        if known is not None and known.status != "deleted":
            self.sessions[name] = replace(known, status="deleted", updated=now, answers=())
            self.changed.add(name)
        return known is not None

    def record(self, name: str) -> bytes:
        found = self.sessions[name]
        live = found.status == "live"
        return record.encode(
            Record(
                found.status,
                PRINT,
                VERSION,
                found.seq,
                found.time,
                found.created,
                found.updated,
                encoder=found.states[0] if live else np.empty(0),
                hidden=found.states[1] if live else np.empty(0, np.float32),
                answers=found.answers,
            )
        )

    def copy(self) -> dict[str, Session]:
        return copy.copy(self.sessions)  # a session is replaced, never changed


def step(states: Any, payload: TypedEvent, time: float) -> tuple[Any, bytes, int]:
    """Step one event from some states; the states after it, the outputs and the fault."""
    arena = core.Arena(MODEL.state_size, SCHEMA.state_size, MODEL.initial)
    if states is not None:
        arena.import_state("s", *states)
    outputs, faults = np.empty((1, MODEL.output_size), np.float32), np.empty((1, 2), np.int32)
    columns = SCHEMA.stack([payload])
    core.step_events(
        MODEL, SCHEMA.encoder, arena, ["s"], columns, np.array([time]), outputs, faults
    )
    if faults[0, 0]:
        return None, b"", int(faults[0, 0])
    return arena.export_state("s"), outputs.tobytes(), 0


def new_table(**options: Any) -> core.Table:
    """A table of the model."""
    return core.Table(MODEL, SCHEMA.encoder, PRINT, VERSION, PREFIX, **options)


def process(
    table: core.Table,
    events: Sequence[Sent],
    now: float,
    *,
    group: core.Group | None = None,
    ticket: int = 0,
    failed: Iterable[tuple[int, str]] = (),
) -> core.Processed:
    """Give events to a table."""
    times = [np.nan if sent.time is None else sent.time for sent in events]
    flags = [sent.start + 2 * sent.end + 4 * sent.refused for sent in events]
    return table.process(
        [sent.session for sent in events],
        np.array([sent.seq for sent in events], np.int64),
        np.array(times, np.float64),
        now,
        np.array(flags, np.uint8),
        np.array([sent.request for sent in events], np.int64),
        dict(SCHEMA.stack([sent.payload for sent in events])),
        group,
        ticket,
        failed,
    )


def told(processed: core.Processed) -> list[Told]:
    """What a table said, an event at a time."""
    outputs = processed.outputs
    assert (np.isnan(outputs).all(axis=1) == np.isnan(outputs).any(axis=1)).all()
    return [
        Told(
            core.OUTCOMES[processed.codes[i]],
            int(processed.seqs[i]),
            int(processed.expected[i]),
            float(processed.times[i]),
            int(processed.marks[i]),
            None if np.isnan(outputs[i]).any() else outputs[i].tobytes(),
            int(processed.faults[i, 0]),
        )
        for i in range(len(processed.codes))
    ]
