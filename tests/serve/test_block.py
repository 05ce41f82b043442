"""Events as columns are what they are as objects."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidegate import answers, core
from tidegate.errors import InputError, StoreError
from tidegate.serve.block import Block
from tidegate.serve.operations import Delete, Part, Read, Refused

arrivals = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "\u00e9"]),
        st.sampled_from(["next", "next", "none", "repeat", "other", "gap", "bad", "start", "end"])
        | st.sampled_from(["bare", "refused"]),
    ),
    min_size=1,
    max_size=25,
)


def operations(rig, history):
    last = {}
    for i, (session, what) in enumerate(history):
        seq = last.get(session, 0)
        event = rig.event(session, float(i % 3), time=1.0 + i % 3)
        if what in ("repeat", "other"):
            event.seq = max(seq, 1)
            event.time = 99.0 if what == "other" else 1.0 + (i - 1) % 3
        elif what == "gap":
            event.seq = seq + 2
        elif what == "bad":
            event.event["speed"] = "fast"
        elif what == "refused":
            event = Refused(session, InputError("unknown_member", "there is no such member"))
        else:
            event.seq = seq + 1 if what in ("next", "end") else None
            event.start, event.end = what == "start", what == "end"
            last[session] = 1 if what == "start" else seq + 1
            if what == "bare":
                del event.event["driver"]
        yield event


def utf8(sessions):
    """Session ids as Arrow has them."""
    parts = [session.encode() for session in sessions]
    offsets = np.cumsum([0, *map(len, parts)]).astype(np.int32)
    return offsets, np.frombuffer(b"".join(parts), np.uint8)


def told(rig, block, processed, errors):
    words = answers.open(rig.bundle.task).answer(np.nan_to_num(processed.outputs))
    return [
        (errors[i].code, errors[i].expected, errors[i].field)
        if i in errors
        else (block.session(i), processed.seqs[i], processed.times[i], words[i])
        for i in range(block.size)
    ]


def worded(results):
    return [
        (result.code, result.expected, result.field)
        if isinstance(result, Exception)
        else (result.session, result.seq, result.time, result.answer)
        for result in results
    ]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(history=arrivals, cut=st.integers(1, 20))
def test_a_block_of_columns_says_what_its_events_would(make_rig, history, cut):
    one, other = make_rig(where="memory:"), make_rig(where="memory:")
    failed, failed_columns = set(), set()
    pending = list(operations(one, history))
    for part in (pending[:cut], pending[cut:]):
        if not part:
            continue
        expected = one.parts(Part(part, failed))
        block = Block.of([Part(part)], one.bundle.schema)
        block.sessions = utf8([each.session for each in part])
        block.failed = [(0, session) for session in failed_columns]
        processed, errors, _ = other.processor.process_block(block)
        failed_columns.update(block.session(row) for row in errors)
        assert told(other, block, processed, errors) == worded(expected)
        assert failed == failed_columns
    assert one.kinds() == other.kinds()
    assert one.outcomes() == other.outcomes()
    for name in ("a", "b", "\u00e9"):
        assert one.table.head(name, one.now) == other.table.head(name, other.now)


def test_reads_and_deletes_between_events_have_their_turn(rig):
    found = rig.do(
        Read("s"),
        rig.event("s", seq=1),
        Read("s"),
        rig.event("s", seq=2),
        rig.event("t"),
        Delete("s"),
        rig.event("s", seq=3, start=False),
        rig.event("t", seq=2),
        Delete("t"),
        rig.event("t", start=True),
        Read("t"),
    )
    shown = [each.code if isinstance(each, Exception) else each.seq for each in found]
    assert shown == ["session_unknown", 1, 1, 2, 1, 2, "session_deleted", 2, 2, 1, 1]


def test_a_delete_in_a_part_is_seen_by_the_events_after_it(rig):
    found = rig.do(rig.event("s"), Delete("s"), Read("s"), rig.event("t"))
    assert [getattr(each, "code", None) for each in found] == [None, None, "session_deleted", None]
    rig.start(rig.bundle)
    assert rig.one(Read("t")).seq == 1
    assert rig.one(Delete("s")).status == "deleted"


def test_a_block_that_the_store_refuses_raises_and_changes_nothing(rig):
    rig.one(rig.event("s"))
    block = Block.of([Part([rig.event("s"), rig.event("t")])], rig.bundle.schema)
    rig.store.broken = True
    with pytest.raises(StoreError, match="store_failed"):
        rig.processor.process_block(block)
    rig.store.broken = False
    processed, errors, _ = rig.processor.process_block(block)
    assert (processed.seqs.tolist(), errors) == ([2, 1], {})


def test_a_damaged_record_in_a_block_is_named_and_a_start_replaces_it(rig):
    rig.do(rig.event("s"), rig.event("t"))
    rig.replace("s", b"no record")
    rig.start(rig.bundle)
    part = Part([rig.event("s", seq=2), rig.event("t", seq=2)])
    block = Block.of([part], rig.bundle.schema)
    processed, errors, _ = rig.processor.process_block(block)
    assert {row: error.code for row, error in errors.items()} == {0: "record_damaged"}
    assert core.OUTCOMES[processed.codes[1]] == "step"
    anew = Block.of([Part([rig.event("s", start=True)])], rig.bundle.schema)
    _, errors, ticket = rig.processor.process_block(anew)
    rig.processor.wait(ticket)
    assert errors == {}
    assert rig.record("s").seq == 1
    assert rig.kinds() == {"record_damaged": 2}
