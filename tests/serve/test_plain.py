"""Events that came alone: nobody can tell by the answers whether they were read as plain JSON."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidegate import core
from tidegate.serve import wire
from tidegate.serve.operations import Delete, Event, Part, Read, Unread
from tidegate.serve.plain import Plain

SESSIONS = st.sampled_from(["a", "b", "ü/3"])
FIELDS = {"speed": 50.0, "load": 3.0, "road": "A1", "wet": True, "driver": "ann"}


def body(session: str | None = None, seq: int | None = None, **members: Any) -> bytes:
    named = {} if session is None else {"session": session}
    fields = FIELDS | members.pop("fields", {})
    numbered = {} if seq is None else {"seq": seq}
    return msgspec.json.encode({**named, **numbered, **members, "event": fields})


RIGHT = st.builds(
    lambda session, in_path, **members: Unread(
        session if in_path else "", body(None if in_path else session, **members)
    ),
    SESSIONS,
    st.booleans(),
    seq=st.none() | st.integers(1, 5),
    time=st.sampled_from([1_700_000_000.0, 1_700_000_000.25, "2023-11-14T22:13:21Z"]),
    start=st.booleans(),
    end=st.sampled_from([False, False, True]),
    fields=st.fixed_dictionaries({"speed": st.sampled_from([50.0, 51.5, -0.0, 1e-7, 3e38])}),
)
WRONG = st.builds(
    Unread,
    SESSIONS,
    st.sampled_from(
        [
            *(b"", b"{", b"null", b'{"event":{}}', body("other"), body(seq=0)),
            *(body(fields={"speed": "fast"}), body(fields={"road": "A\n1"}), b" \n" + body()),
        ]
    ),
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # it makes new ones
)
@given(
    st.lists(
        st.lists(RIGHT, min_size=1, max_size=5) | st.lists(RIGHT | WRONG, min_size=1, max_size=4),
        min_size=1,
        max_size=4,
    )
)
def test_answers_are_the_same_either_way(make_rig: Any, batches: list[list[Unread]]) -> None:
    """Answers, repeats, errors, counters and what a restart finds."""
    rigs = make_rig(), make_rig()
    for batch in batches:
        unread = rigs[0].parts(*[Part([each]) for each in batch])
        read = rigs[1].parts(*[Part([wire.read(each)]) for each in batch])
        assert [*map(wire.encode_result, unread)] == [*map(wire.encode_result, read)]
    assert rigs[0].outcomes() == rigs[1].outcomes()
    assert rigs[0].kinds() == rigs[1].kinds()
    for rig in rigs:
        rig.start(rig.bundle)
    views = [rig.parts(*[Part([Read(name)]) for name in ("a", "b", "ü/3")]) for rig in rigs]
    assert [*map(wire.encode_result, views[0])] == [*map(wire.encode_result, views[1])]
    for rig in rigs:
        rig.store.close()


def test_what_is_right_needs_no_object(make_rig: Any) -> None:
    rig = make_rig()
    with patch.object(wire, "read", side_effect=AssertionError):
        results = rig.parts(*[Part([Unread(name, body(seq=1))]) for name in "abc"])
    assert [type(result) for result in results] == [bytes] * 3
    assert msgspec.json.decode(results[0])["session"] == "a"


def test_a_repeat_is_answered_as_such(make_rig: Any) -> None:
    rig = make_rig()
    first, again = (rig.parts(Part([Unread("a", body(seq=1))]))[0] for _ in range(2))
    assert wire.encode_result(again) == first[:-1] + b',"duplicate":true}'
    assert rig.outcomes() == {"answered": 1, "repeat": 1}


def test_it_may_come_with_anything_else(make_rig: Any) -> None:
    rig = make_rig()
    results = rig.parts(
        Part([Unread("a", body(seq=1))]),
        Part([Read("a")]),
        Part([Event(FIELDS, "a", 2), Event(FIELDS, "a", 3)]),
        Part([Unread("", body("a", seq=4))]),
        Part([Delete("a")]),
    )
    found = [msgspec.json.decode(wire.encode_result(result)) for result in results]
    assert [each["seq"] for each in found] == [1, 1, 2, 3, 4, 4]
    assert found[-1]["status"] == "deleted"


def test_each_is_a_request_of_its_own(make_rig: Any) -> None:
    """That one fails does not make a later one of its session fail."""
    rig = make_rig()
    results = rig.parts(*[Part([Unread("a", body(seq=seq))]) for seq in (1, 7, 2)])
    assert [getattr(result, "code", "") for result in results] == ["", "seq_gap", ""]


def test_what_is_wrong_loads_no_session(make_rig: Any) -> None:
    """Else anybody could have others evicted with garbage."""
    rig = make_rig(cached_sessions=2)
    for name in "abcd":
        rig.parts(Part([Unread(name, body(seq=1))]))
    assert ["a" in rig.table, "d" in rig.table] == [False, True]
    results = rig.parts(
        Part([Unread("a", b"{bad")]), Part([Unread("d", body(seq=2))]), Part([Unread("b", b"7")])
    )
    codes = [getattr(result, "code", "answered") for result in results]
    assert codes == ["bad_json", "answered", "not_an_object"]
    assert ["a" in rig.table, "b" in rig.table, "d" in rig.table] == [False, False, True]
    assert [error.code for error in rig.parts(Part([Unread("a", b"{bad")]))] == ["bad_json"]
    assert rig.outcomes() == {"answered": 5, "bad_input": 3}


def test_a_batch_of_nothing_but_a_list_without_events(make_rig: Any) -> None:
    assert make_rig().parts(Part([])) == []


def test_what_is_known_of_a_batch(make_rig: Any) -> None:
    batch = Plain(make_rig().bundle).read_bodies([Unread("a", body())])
    assert batch is not None
    assert (batch.size, [*batch.names()], batch.errors) == (1, ["a"], {})
    assert batch.columns["speed"].tolist() == [50.0]


def test_events_of_other_fields_are_refused_by_a_table(make_rig: Any) -> None:
    table = make_rig().processor.table
    for fields, reason in [
        ([("speed", "numeric", True)], "is not among the fields of the lines"),
        ([(name, "numeric", False) for name in FIELDS], "is of another kind in the lines"),
    ]:
        events = core.LinePlan(fields, 0.0, 1e10, 9).read_bodies([b'{"event":{"speed":1}}'], ["a"])
        assert events is not None
        with pytest.raises(ValueError, match=reason):
            table.process_lines(events, 0.0, None, 0)
    assert len(table) == 0
