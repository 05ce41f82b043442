"""What a table makes of records, and what it writes."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from changed_records import NO_ENCODER, NO_HIDDEN, blank, stepped, tombstone
from hypothesis import given, settings
from hypothesis import strategies as st
from table_model import MODEL, PREFIX, PRINT, SCHEMA, VERSION, Sent, new_table, process, told

from tidegate import core, record
from tidegate.record import Record, StoredAnswer
from tidegate.serve.limits import Limits

NOW = 1_700_000_000.0
OTHER = bytes(32)
OUTPUT = np.array([0.25, -1.5], np.float32)


def some_record(**changed: Any) -> Record:
    """A live session at 3, of which the answers to 2 and 3 are kept."""
    rng = np.random.default_rng(5)
    hashes = [SCHEMA.payload_hash(Sent("s").payload, None)] * 2
    members: dict[str, Any] = {
        "status": "live",
        "fingerprint": PRINT,
        "model_version": VERSION,
        "seq": 3,
        "time": NOW - 5.0,
        "created": NOW - 10.0,
        "updated": NOW - 1.0,
        "encoder": np.full(SCHEMA.state_size, np.nan),
        "hidden": rng.random(MODEL.state_size, dtype=np.float32),
        "answers": tuple(
            StoredAnswer(seq, payload_hash, NOW - seq, OUTPUT.tobytes())
            for seq, payload_hash in zip((2, 3), hashes, strict=True)
        ),
    }
    return Record(**(members | changed))


def load(table: core.Table, stored: Record, session: str = "s") -> str:
    [code] = table.load([session], [record.encode(stored)])
    return core.RECORD_CODES[code]


def write(table: core.Table, *events: Sent, now: float = NOW) -> Record:
    """Process events of one session and read what goes to the store."""
    group = core.Group()
    process(table, events, now, group=group, ticket=1)
    [(key, value)] = group.items()
    assert key == PREFIX + b"s"
    assert value is not None
    return record.decode(value)


def without_states(stored: Record) -> Record:
    return msgspec.structs.replace(stored, encoder=NO_ENCODER, hidden=NO_HIDDEN)


def test_a_loaded_session_goes_on() -> None:
    table = new_table()
    assert load(table, some_record()) == ""
    assert table.head("s", NOW) == ("live", 3, NOW - 5.0, NOW - 10.0, NOW - 1.0, VERSION, False)
    encoder, hidden = table.states("s")
    np.testing.assert_array_equal(hidden, some_record().hidden)
    np.testing.assert_array_equal(encoder, some_record().encoder)
    repeated, stepped = process(table, [Sent("s", seq=2), Sent("s", seq=4)], NOW).codes
    assert (core.OUTCOMES[repeated], core.OUTCOMES[stepped]) == ("repeat", "step")
    assert table.live == 1


def test_a_session_that_is_held_is_left_alone() -> None:
    table = new_table()
    load(table, some_record())
    before = table.head("s", NOW)
    assert load(table, some_record(seq=9)) == ""
    assert table.load(["s", "x", "x"], [b"rubbish", None, None]) == [0, 0, 0]
    assert table.head("s", NOW) == before
    assert "x" not in table


def test_sections_that_nothing_needs_are_kept() -> None:
    table = new_table()
    extra: dict[str, Any] = {
        "answer_state": b"state",
        "events": (b"one", b"", b"three"),
        "unknown": ((77, b"later"), (9, b""), (1000, b"12345678")),
    }
    stored = some_record(**extra)
    assert load(table, stored) == ""
    found = write(table, Sent("s"))
    after = stepped(stored, found.answers[-1], VERSION, NOW, Limits())
    whole = msgspec.structs.replace(after, encoder=found.encoder, hidden=found.hidden)
    assert record.encode(found) == record.encode(whole)
    assert (found.answer_state, found.events, found.unknown) == tuple(extra.values())
    ended = write(table, Sent("s", end=True))
    assert (ended.answer_state, ended.events, ended.unknown) == tuple(extra.values())
    before = table.nbytes
    anew = write(table, Sent("s", start=True))
    assert (anew.answer_state, anew.events, anew.unknown) == (b"", (), ())
    assert table.nbytes < before


@pytest.mark.parametrize("sizes", [(SCHEMA.state_size, MODEL.state_size), (1, 7), (0, 0)])
def test_a_session_of_another_model_goes_on_from_nothing(sizes: tuple[int, int]) -> None:
    table = new_table()
    states: dict[str, Any] = {
        "encoder": np.zeros(sizes[0]),
        "hidden": np.ones(sizes[1], np.float32),
    }
    foreign = some_record(fingerprint=OTHER, model_version="old", events=(b"raw",), **states)
    assert load(table, foreign) == "other_model"
    times = (NOW - 5.0, NOW - 10.0, NOW - 1.0)
    assert table.head("s", NOW) == ("live", 3, *times, "old", True)
    with pytest.raises(KeyError):
        table.states("s")
    # Its answers are of no use: a retry is an old event.
    [stale] = told(process(table, [Sent("s", seq=3)], NOW))
    assert (stale.code, stale.expected) == ("seq_stale", 4)
    # A failure leaves it as it was.
    [failed] = told(process(table, [Sent("s", ("a", float("inf"), "ann", None))], NOW))
    assert failed.code == "schema_fault"
    assert table.head("s", NOW) == ("live", 3, *times, "old", True)

    group = core.Group()
    processed = process(table, [Sent("s", seq=4, time=NOW - 6.0)], NOW, group=group, ticket=1)
    [answer] = told(processed)
    assert (answer.code, answer.seq, answer.marks) == ("step", 4, 2 | 4)
    [fresh] = told(process(new_table(), [Sent("s", time=NOW - 6.0)], NOW))
    assert answer.output == fresh.output
    assert table.head("s", NOW) == ("live", 4, NOW - 6.0, NOW - 10.0, NOW, VERSION, False)
    [(_, value)] = group.items()
    assert value is not None
    found = record.decode(value)
    assert (found.fingerprint, found.events, len(found.answers)) == (PRINT, (), 1)
    assert found.answers[0].reset
    [again] = told(process(table, [Sent("s", seq=4, time=NOW - 6.0)], NOW, ticket=1))
    assert (again.code, again.marks, again.output) == ("repeat", 1 | 2, answer.output)


@pytest.mark.parametrize("status", ["ended", "deleted", "expired"])
@pytest.mark.parametrize("fingerprint", [PRINT, OTHER])
def test_tombstones(status: Any, fingerprint: bytes) -> None:
    table = new_table()
    gone = without_states(some_record(status=status, fingerprint=fingerprint))
    assert load(table, gone) == ("other_model" if fingerprint == OTHER else "")
    assert table.live == 0
    with pytest.raises(KeyError):
        table.states("s")
    [retried] = told(process(table, [Sent("s", seq=3)], NOW))
    kept = status == "ended" and fingerprint == PRINT
    assert retried.code == ("repeat" if kept else f"session_{status}")
    [begun] = told(process(table, [Sent("s", start=True)], NOW))
    assert (begun.code, begun.marks) == ("begin_anew", 16)
    assert table.head("s", NOW) == ("live", 1, NOW, NOW, NOW, VERSION, False)


@pytest.mark.parametrize("fingerprint", [PRINT, OTHER])
def test_a_deleted_session_keeps_only_its_head(fingerprint: bytes) -> None:
    table = new_table()
    stored = some_record(
        fingerprint=fingerprint, model_version="old", unknown=((9, b"x"),), events=(b"raw",)
    )
    load(table, stored)
    group = core.Group()
    assert table.delete("s", NOW, group, 1)
    assert group.items() == [
        (PREFIX + b"s", record.encode(tombstone(stored, NOW))),
    ]
    assert table.live == 0
    assert table.delete("s", NOW + 1.0, group, 2)  # it is; nothing changes
    assert len(group) == 1
    assert not table.delete("s", NOW + 86_400.0, group, 3)
    assert not table.delete("never", NOW, group, 3)


def test_answers_of_another_version_say_so() -> None:
    table = new_table()
    first, second = some_record().answers
    older = msgspec.structs.replace(first, model_version="5")
    stored = some_record(model_version="6", answers=(older, second))
    load(table, stored)
    assert [row[-1] for row in table.kept("s")] == ["5", "6"]
    head = table.head("s", NOW)
    assert head is not None
    assert head[5] == "6"
    processed = process(table, [Sent("s", seq=2), Sent("s", seq=3), Sent("s")], NOW)
    assert [t.code for t in told(processed)] == ["repeat", "repeat", "step"]
    assert processed.versions == {0: "5", 1: "6"}
    found = write(table, Sent("s"))
    assert [answer.model_version for answer in found.answers] == ["5", "6", "", ""]
    assert found.model_version == VERSION
    one = stepped(stored, found.answers[2], VERSION, NOW, Limits())
    two = stepped(one, found.answers[3], VERSION, NOW, Limits())
    whole = msgspec.structs.replace(two, encoder=found.encoder, hidden=found.hidden)
    assert record.encode(found) == record.encode(whole)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"hidden": np.zeros(4, np.float32)}, "other_size"),
        ({"encoder": np.zeros(1)}, "other_size"),
        ({"answers": (StoredAnswer(3, 1, NOW, b"{}"),)}, "record_damaged"),
        ({"seq": 2**63}, "record_damaged"),
        ({"updated": float("nan")}, "record_damaged"),
        ({"time": float("inf"), "fingerprint": OTHER}, "record_damaged"),
    ],
)
def test_damaged_sessions_refuse_events_until_they_are_begun_anew(
    changed: dict[str, Any], code: str
) -> None:
    table = new_table()
    assert load(table, some_record(**changed)) == code
    assert table.head("s", NOW) == ("damaged", 0, 0.0, 0.0, 0.0, VERSION, False)
    assert len(table) == 1
    assert table.live == 0
    events = [Sent("s", seq=4), Sent("s"), Sent("s", start=True), Sent("s", start=True, request=1)]
    said = told(process(table, events, NOW))
    assert [t.code for t in said] == ["record_damaged"] * 2 + ["previous_failed", "begin"]
    assert said[-1].marks == 32
    assert table.head("s", NOW) == ("live", 1, NOW, NOW, NOW, VERSION, False)


def test_a_damaged_session_can_be_deleted() -> None:
    table = new_table()
    table.load(["s"], [b""])
    group = core.Group()
    assert table.delete("s", NOW, group, 1)
    left = tombstone(blank(NOW, PRINT, VERSION), NOW)
    assert group.items() == [(PREFIX + b"s", record.encode(left))]


def test_every_flipped_or_missing_byte_is_damage() -> None:
    whole = record.encode(some_record(unknown=((9, b"abc"),)))
    spoiled = [whole[:i] + bytes([whole[i] ^ 0x40]) + whole[i + 1 :] for i in range(len(whole))]
    spoiled += [whole[:i] for i in range(len(whole))] + [whole + b"\0"]
    table = new_table()
    names = [f"s{i}" for i in range(len(spoiled))]
    codes = table.load(names, spoiled)
    assert 0 not in codes
    assert core.RECORD_CODES.index("other_model") not in codes
    said = told(process(table, [Sent(name) for name in names], NOW))
    assert {t.code for t in said} == {"record_damaged"}


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_whole_records_of_any_kind_can_be_gone_on_with(data: st.DataObject) -> None:
    """Any record that the codec takes: loaded, stepped, ended, written, read again."""
    answers = st.builds(
        StoredAnswer,
        seq=st.integers(0, 2**64 - 1),
        payload_hash=st.integers(0, 2**64 - 1),
        time=st.floats(),
        answer=st.binary(max_size=12) | st.just(OUTPUT.tobytes()),
        model_version=st.sampled_from(["", "ü", VERSION]),
        reset=st.booleans(),
    )
    stored = some_record(
        status=data.draw(st.sampled_from(["live", "ended", "deleted", "expired"])),
        fingerprint=data.draw(st.sampled_from([PRINT, OTHER])),
        model_version=data.draw(st.sampled_from([VERSION, "", "6"])),
        seq=data.draw(st.integers(0, 2**64 - 1) | st.integers(0, 9)),
        time=data.draw(st.floats(allow_nan=False, allow_infinity=False) | st.floats()),
        answers=tuple(data.draw(st.lists(answers, max_size=4))),
        events=tuple(data.draw(st.lists(st.binary(max_size=9), max_size=2))),
        answer_state=data.draw(st.binary(max_size=9)),
    )
    table = new_table(answers=2, answer_bytes=data.draw(st.sampled_from([0, 10, 999])))
    load(table, stored)
    group = core.Group()
    events = [Sent("s", seq=3), Sent("s"), Sent("s", start=True), Sent("s", end=True)]
    events = [event._replace(request=i) for i, event in enumerate(events)]
    process(table, events, NOW, group=group, ticket=1)
    for key, value in group.items():
        assert key == PREFIX + b"s"
        assert value is not None
        assert record.encode(record.decode(value)) == value
        assert new_table().load(["s"], [value]) == [0]
