"""The check: replay equals live, and the store holds what was acknowledged.

The events are replayed offline, through an engine of the same bundle and without any server. Every
answer that a client received must equal the replay's to the byte, and after the server's end each
session's record must hold the last acknowledged event and, to the bit, the state that the replay
ends with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
from client import Received
from numpy.typing import NDArray

from tidegate import answers, record, store
from tidegate.bundle import Bundle
from tidegate.engine import Engine
from tidegate.errors import RecordError
from tidegate.record import Record
from tidegate.tables import EventTable

__all__ = ["Finding", "Replayed", "audit", "compare", "replay"]


@dataclass(frozen=True)
class Finding:
    """Something that is not as it must be, and in which session."""

    session: str
    what: str


@dataclass(frozen=True)
class Replayed:
    """What the engine makes of a table, offline.

    Parameters
    ----------
    engine : Engine
        Holds every session's state after its last event.
    outputs : float32 array (events, output_size)
        In the table's order.
    answers : list of bytes
        The answers' JSON.
    """

    engine: Engine
    outputs: NDArray[np.float32]
    answers: list[bytes]


@dataclass
class Compared:
    """How many answers were compared, and which differ."""

    count: int = 0
    findings: list[Finding] = field(default_factory=list)


def replay(bundle: Bundle, table: EventTable) -> Replayed:
    """Step all sessions through the bundle's engine: their first events together, then the second.

    The server batched the same events quite differently; that must not matter to a single bit.
    """
    engine = Engine.open(bundle)
    outputs = np.empty((table.n_events, bundle.spec.output_size), dtype=np.float32)
    begins, lengths = table.offsets[:-1], table.lengths
    for step in range(lengths.max()):
        alive = np.flatnonzero(lengths > step)
        rows = begins[alive] + step
        stepped = engine.step_events(
            [table.sessions[session] for session in alive],
            {name: column[rows] for name, column in table.columns.items()},
            table.times[rows],
        )
        for error in stepped.errors.values():
            raise error
        outputs[rows] = stepped.outputs
    words = answers.open(bundle.task).answer(outputs)
    return Replayed(engine, outputs, [msgspec.json.encode(word) for word in words])


def compare(table: EventTable, replayed: Replayed, received: Sequence[Received]) -> Compared:
    """Compare every answer that was received with the replay's, byte for byte."""
    first_row = dict(zip(table.sessions, table.offsets.tolist(), strict=False))
    done = Compared()
    for answer in received:
        due = replayed.answers[first_row[answer.session] + answer.seq - 1]
        done.count += 1
        if answer.answer != due:
            what = f"seq {answer.seq} was answered {answer.answer!r}, the replay says {due!r}"
            done.findings.append(Finding(answer.session, what))
    return done


def audit(
    folder: Path, bundle: Bundle, table: EventTable, replayed: Replayed, tenant: str = "default"
) -> list[Finding]:
    """Read the store of a server that has ended, and compare each session's record.

    A record that cannot be read, is missing or does not hold the state after the session's last
    event is a finding; so is a session that nobody sent.
    """
    opened = store.open(folder)
    try:
        prefix = store.session_prefix(tenant, bundle.name)
        found = {store.split_session_key(key)[2]: data for key, data in opened.scan(prefix)}
    finally:
        opened.close()
    findings = [
        Finding(session, what)
        for session, last_seq in zip(table.sessions, table.lengths.tolist(), strict=True)
        for what in _wrong_with(found.pop(session, None), bundle, session, last_seq, replayed)
    ]
    return findings + [Finding(session, "a record, though nobody sent it") for session in found]


def _wrong_with(
    data: bytes | None, bundle: Bundle, session: str, last_seq: int, replayed: Replayed
) -> list[str]:
    """Say what is wrong with a session's stored bytes."""
    if data is None:
        return [f"no record, though seq {last_seq} was acknowledged"]
    try:
        found = record.decode(data)
    except RecordError as error:
        return [f"the record is damaged: {error}"]
    wrong = []
    if found.status != "live":
        wrong.append(f"the record is {found.status}")
    if found.fingerprint != bundle.fingerprint:
        wrong.append("the record belongs to another model")
    if found.seq != last_seq:
        wrong.append(f"the record ends with seq {found.seq}, seq {last_seq} was acknowledged")
    return wrong + _wrong_state(found, replayed, session, last_seq)


def _wrong_state(found: Record, replayed: Replayed, session: str, last_seq: int) -> list[str]:
    due = replayed.engine.export_state(session)
    pairs = {"encoder": (found.encoder, due.encoder), "hidden": (found.hidden, due.hidden)}
    return [
        f"the {name} state is not the one after seq {last_seq}"
        for name, (stored, replays) in pairs.items()
        if stored.tobytes() != replays.tobytes()  # to the bit: a NaN equals itself
    ]
