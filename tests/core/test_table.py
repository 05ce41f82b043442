"""The table of sessions against a model of it that does one event at a time."""

from __future__ import annotations

import itertools
from random import Random
from typing import Any

import numpy as np
import pytest
import table_model as plain
from hypothesis import given, settings
from hypothesis import strategies as st
from table_model import POISON, Sent, new_table, process, told

from tidegate import core
from tidegate.serve import rules
from tidegate.serve.limits import Limits

NOW = 1_700_000_000.0
NAMES = ["a", "b", "a much longer id, which is no inline key", "ü"]
PAYLOADS = [
    ("a", 1.0, "ann", None),
    ("b", -0.0, "ann", None),
    (None, None, None, None),
    ("a", 1.0, "bob", None),
    ("c", float("inf"), "ann", None),
    POISON,
]


def test_outcomes_begin_with_those_of_the_rules() -> None:
    assert core.OUTCOMES[:11] == rules.Outcome.__args__


class Pair:
    """A table and its model, over a store; and a table that gets the events in other batches."""

    def __init__(self, limits: Limits, ttl: float) -> None:
        self.limits = limits
        options: dict[str, Any] = {
            "answers": limits.answers,
            "answer_bytes": limits.answer_bytes,
            "ttl_seconds": ttl,
            "tombstone_seconds": limits.tombstone_seconds,
        }
        self.table, self.other = new_table(**options), new_table(**options)
        self.model = plain.Model(limits, ttl)
        self.now = NOW
        self.ticket = self.durable = 0
        self.store: dict[str, bytes] = {}
        self.pending: dict[str, bytes] = {}
        self.snapshot = self.model.copy()
        self.sent: dict[tuple[str, int], Sent] = {}
        """The last event of a session that was answered with that number."""

    def load(self, names: list[str]) -> None:
        missing = [names[i] for i in self.table.missing(names)]
        assert len(set(missing)) == len(missing)
        assert not set(missing) & self.pending.keys()
        assert self.table.load(missing, [self.store.get(name) for name in missing]) == [0] * len(
            missing
        )

    def batch(self, events: list[Sent], cut: int) -> None:
        self.load([sent.session for sent in events])
        self.ticket += 1
        group = core.Group()
        failed: set[tuple[int, str]] = set()
        expected = [self.model.tell(sent, self.now, failed) for sent in events]
        processed = process(self.table, events, self.now, group=group, ticket=self.ticket)
        assert told(processed) == expected
        assert processed.changed == len(group) == len(self.model.changed)
        for row, state in processed.encoder_before.items():
            assert expected[row].code == "schema_fault"
            columns = plain.SCHEMA.stack([events[row].payload])
            time = np.array([expected[row].time])
            assert 0 in plain.SCHEMA.encode_rows(columns, time, state[None]).errors
        assert len(processed.encoder_before) == sum(t.code == "schema_fault" for t in expected)
        assert processed.versions == {}
        for sent, answered in zip(events, expected, strict=True):
            if answered.output is not None:
                self.sent[sent.session, answered.seq] = sent._replace(seq=answered.seq)
        self.take_in(group)
        self.in_other_batches(events, cut, expected)

    def in_other_batches(self, events: list[Sent], cut: int, expected: list[plain.Told]) -> None:
        failed: set[tuple[int, str]] = set()
        for start in range(0, len(events), cut):
            part = events[start : start + cut]
            said = told(process(self.other, part, self.now, failed=sorted(failed)))
            assert said == expected[start : start + cut]
            failed |= {
                (e.request, e.session) for e, t in zip(part, said, strict=True) if t.output is None
            }

    def take_in(self, group: core.Group) -> None:
        found = dict(group.items())
        assert found == {
            plain.PREFIX + name.encode(): self.model.record(name) for name in self.model.changed
        }
        for name in self.model.changed:
            self.pending[name] = self.model.record(name)
        self.model.changed.clear()

    def delete(self, name: str) -> None:
        self.load([name])
        self.ticket += 1
        group = core.Group()
        deleted = self.table.delete(name, self.now, group, self.ticket)
        assert deleted == self.model.delete(name, self.now)
        assert self.other.delete(name, self.now, None, 0) == deleted
        self.take_in(group)

    def commit(self) -> None:
        self.store |= self.pending
        self.pending.clear()
        self.durable = self.ticket
        self.snapshot = self.model.copy()

    def roll_back(self) -> None:
        dropped = self.table.rollback(self.durable)
        assert dropped == len(self.pending)
        for name in self.pending:
            assert name not in self.table
        self.pending.clear()
        self.model.sessions = dict(self.snapshot)
        self.other = new_table(
            answers=self.limits.answers,
            answer_bytes=self.limits.answer_bytes,
            ttl_seconds=self.model.ttl,
            tombstone_seconds=self.limits.tombstone_seconds,
        )
        self.other.load([*self.store], [*self.store.values()])

    def evict(self, count: int) -> None:
        before = len(self.table)
        dropped = self.table.evict(count, self.durable)
        assert dropped == min(count, before - len(self.pending))
        assert len(self.table) == before - dropped
        for name in self.pending:
            assert name in self.table

    def check(self) -> None:
        for name in NAMES:
            if name not in self.table:
                continue
            known = self.model.known(name, self.now)
            head = self.table.head(name, self.now)
            assert (head is None) == (known is None)
            if known is None or head is None:
                continue
            stored = self.model.sessions[name]
            times = (stored.time, stored.created, stored.updated)
            assert head == (known.status, known.seq, *times, plain.VERSION, False)
            assert self.table.kept(name) == [
                (a.seq, a.payload_hash, a.time, a.answer, a.reset, "") for a in stored.answers
            ]
            if stored.status == "live":
                encoder, hidden = self.table.states(name)
                assert encoder.tobytes() == stored.states[0].tobytes()
                assert hidden.tobytes() == stored.states[1].tobytes()
        held = [s for name, s in self.model.sessions.items() if name in self.table]
        assert self.table.live == sum(session.status == "live" for session in held)


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_is_equal_to_one_event_at_a_time(data: st.DataObject) -> None:
    limits = Limits(
        answers=data.draw(st.integers(1, 3)),
        answer_bytes=data.draw(st.sampled_from([0, 20, 16_384])),
        tombstone_seconds=60.0,
    )
    pair = Pair(limits, ttl=data.draw(st.sampled_from([float("inf"), 50.0])))
    for _ in range(data.draw(st.integers(5, 25))):
        what = data.draw(
            st.sampled_from(["batch"] * 4 + ["wait", "commit", "back", "evict", "delete"])
        )
        if what == "batch":
            events = [draw_event(data, pair) for _ in range(data.draw(st.integers(0, 9)))]
            pair.batch(events, data.draw(st.integers(1, 7)))
        elif what == "delete":
            pair.delete(data.draw(st.sampled_from(NAMES)))
        elif what == "commit":
            pair.commit()
        elif what == "back":
            pair.roll_back()
        elif what == "evict":
            pair.evict(data.draw(st.integers(0, 3)))
        else:
            pair.now += data.draw(st.sampled_from([1.0, 49.0, 50.0, 60.0, 111.0]))
        pair.check()


@pytest.mark.parametrize("seed", range(4))
def test_a_large_batch_is_equal_to_one_event_at_a_time(seed: int) -> None:
    """It is done a share at a time; what failed, began or was kept in one is known in the next."""
    random = Random(seed)
    limits = Limits(answers=3, tombstone_seconds=60.0)
    table = new_table(answers=3, tombstone_seconds=60.0)
    model = plain.Model(limits, float("inf"))
    for ticket in (1, 2):
        events = []
        for _ in range(1500):
            odd: dict[str, Any] = random.choice(
                [
                    *({} for _ in range(30)),
                    *({"start": True}, {"end": True}, {"refused": True}, {"payload": POISON}),
                    *({"payload": PAYLOADS[4]}, {"seq": 2}, {"seq": 9}),
                ]
            )
            sent = Sent(f"s-{random.randrange(200)}", random.choice(PAYLOADS[:2]))
            events.append(sent._replace(request=random.randrange(3), **odd))
        group, failed = core.Group(), set[tuple[int, str]]()
        expected = [model.tell(sent, NOW, failed) for sent in events]
        processed = process(table, events, NOW, group=group, ticket=ticket)
        assert told(processed) == expected
        assert {each.code for each in expected} > {"step", "repeat", "seq_gap", "schema_fault"}
        assert dict(group.items()) == {
            plain.PREFIX + name.encode(): model.record(name) for name in model.changed
        }
        assert len(group) == processed.changed == len(model.changed)  # once each
        assert len(table) == len(model.sessions)
        model.changed.clear()


def draw_event(data: st.DataObject, pair: Pair) -> Sent:
    name = data.draw(st.sampled_from(NAMES))
    known = pair.model.sessions.get(name)
    last = known.seq if known else 0
    kind = data.draw(st.sampled_from(["next", "next", "again", "next", "odd", "again"]))
    if kind == "again" and known and known.answers:
        place = data.draw(st.integers(0, last - 1))
        return pair.sent.get((name, place + 1), Sent(name, seq=place + 1))
    request = data.draw(st.integers(0, 3))
    seq = data.draw(st.sampled_from([last + 1, 0]))
    time = data.draw(st.none() | st.sampled_from([NOW, NOW - 5.0, NOW + 5.0]))
    sent = Sent(name, PAYLOADS[data.draw(st.integers(0, 2))], seq, time, request=request)
    if kind == "odd":
        odd: list[dict[str, Any]] = [
            {"start": True, "seq": 1},
            {"start": True, "seq": 0},
            {"end": True},
            {"start": True, "end": True, "seq": 0},
            {"refused": True},
            *({"payload": payload} for payload in PAYLOADS[3:]),
            {"payload": POISON, "start": True, "seq": 0},
            {"seq": last + 2},
            {"seq": max(1, last - 4)},
        ]
        sent = sent._replace(**data.draw(st.sampled_from(odd)))
    return sent


def test_the_rules_are_those_of_the_single_form() -> None:
    """Every small case: status, last number, kept answers; number, payload, start."""
    statuses = ["unknown", "live", "ended", "deleted", "expired"]
    cases, known = [], []
    for status, last, kept in itertools.product(range(5), range(4), range(4)):
        answers = [(seq, 10 * seq) for seq in range(1, last + 1)][last - min(last, kept) :]
        for seq, payload, start in itertools.product(range(6), (10, 20, 30, 99), (0, 1)):
            cases.append((status, last, seq, payload, start))
            known.append(answers)
    status, last, seq, payload, start = (np.array(column) for column in zip(*cases, strict=True))
    flat = [answer for answers in known for answer in answers]
    outcomes, seqs, expected, found = core.judge_each(
        status.astype(np.uint8),
        last,
        np.cumsum([0] + [len(answers) for answers in known]),
        np.array([seq for seq, _ in flat], np.uint64),
        np.array([payload for _, payload in flat], np.uint64),
        seq,
        payload.astype(np.uint64),
        start.astype(np.uint8),
    )

    class Stored:
        def __init__(self, seq: int, payload_hash: int) -> None:
            self.seq, self.payload_hash = seq, payload_hash

    class Known:
        updated = 0.0

    for i, (status_, last_, seq_, payload_, start_) in enumerate(cases):
        session: Any = Known()
        session.status, session.seq = statuses[status_], last_
        session.answers = [Stored(*answer) for answer in known[i]]
        verdict = rules.judge(
            session if status_ else None,
            seq=seq_ or None,
            payload_hash=payload_,
            start=bool(start_),
        )
        assert core.OUTCOMES[outcomes[i]] == verdict.outcome
        assert seqs[i] == verdict.seq
        assert expected[i] == (verdict.expected or -1)
        assert verdict.answer is None or found[i] == verdict.answer


@pytest.mark.parametrize("size", range(1, 71))
def test_a_poisoned_session_touches_no_other(size: int) -> None:
    alone = told(process(new_table(), [Sent("s0")], NOW))[0]
    for place in range(size):
        table = new_table()
        names = [f"s{i}" for i in range(size)]
        process(table, [Sent(names[place])], NOW)
        before = [array.tobytes() for array in table.states(names[place])]
        events = [Sent(name) for name in names]
        events[place] = Sent(names[place], POISON)
        said = told(process(table, events, NOW))
        assert said.pop(place).code == "not_finite_output"
        assert said == [alone] * (size - 1)
        assert [array.tobytes() for array in table.states(names[place])] == before
        assert table.head(names[place], NOW) == ("live", 1, NOW, NOW, NOW, "7", False)


@pytest.mark.parametrize("size", range(1, 71))
def test_all_poisoned_leave_nothing(size: int) -> None:
    table = new_table()
    group = core.Group()
    events = [Sent(f"s{i}", POISON) for i in range(size)]
    processed = process(table, events, NOW, group=group)
    assert {t.code for t in told(processed)} == {"not_finite_output"}
    assert len(table) == len(group) == table.live == processed.changed == 0
