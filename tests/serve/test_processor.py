from __future__ import annotations

import contextlib
import dataclasses

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidegate import answers, record
from tidegate.engine import offline
from tidegate.serve.operations import Delete, Part, Read, SessionView
from tidegate.spec import LayerSpec
from tidegate.store import LogStore


def code(result):
    return result.code if isinstance(result, Exception) else None


def codes(results):
    return [code(result) for result in results]


def test_a_session_begins_and_continues(rig):
    first = rig.one(rig.event("s", 50.0))
    second = rig.one(rig.event("s", 60.0, seq=2))
    assert (first.seq, second.seq, first.duplicate, first.session_reset) == (1, 2, False, False)
    assert first.model_version == "1"
    assert set(first.answer) == {"label", "probabilities"}
    assert first.answer != second.answer
    assert rig.outcomes() == {"answered": 2}
    assert rig.kinds() == {}


def test_the_client_s_time_is_kept_and_echoed(rig):
    assert rig.one(rig.event("s")).time == rig.now
    assert rig.one(rig.event("s", time=rig.now + 5.25)).time == rig.now + 5.25
    earlier = rig.one(rig.event("s", time=rig.now - 9.0))
    assert (earlier.seq, earlier.time) == (3, rig.now - 9.0)
    assert rig.kinds() == {"time_backwards": 1}


def test_a_repeat_gets_the_same_bytes_and_changes_nothing(rig):
    first = rig.one(rig.event("s", time=1.0))
    state = rig.hidden("s")
    appended = rig.store.appended
    again = rig.one(rig.event("s", seq=1, time=1.0))
    assert (again.duplicate, again.seq, again.time) == (True, 1, 1.0)
    assert again.answer == first.answer
    assert rig.hidden("s") == state
    assert rig.store.appended == appended
    rig.start(rig.bundle)
    assert rig.one(rig.event("s", seq=1, time=1.0)).answer == first.answer
    assert rig.outcomes() == {"answered": 1, "repeat": 2}


@pytest.mark.parametrize(
    ("refused", "expected", "kind"),
    [
        ({"seq": 5}, "seq_gap", "gap"),
        ({"seq": 1}, "seq_stale", "stale"),
        ({"seq": 3, "speed": 51.0}, "payload_conflict", "conflict"),
    ],
)
def test_each_refusal_by_number_is_counted_and_changes_nothing(make_rig, refused, expected, kind):
    rig = make_rig(answers=2)
    rig.do(*(rig.event("s") for _ in range(3)))
    before = rig.store.get([rig.key("s")])
    error = rig.one(rig.event("s", **refused))
    assert (error.code, error.expected, error.field) == (expected, 4, "seq")
    assert rig.store.get([rig.key("s")]) == before
    assert rig.kinds() == {kind: 1}
    assert rig.outcomes() == {"answered": 3, expected: 1}
    assert rig.one(rig.event("s", seq=4)).seq == 4


def test_start_begins_anew_a_live_session(rig):
    first = rig.one(rig.event("s", 50.0))
    rig.one(rig.event("s", 90.0))
    anew = rig.one(rig.event("s", 50.0, start=True))
    assert (anew.seq, anew.duplicate, anew.answer) == (1, False, first.answer)
    assert rig.kinds() == {"start_on_live": 1}
    assert rig.one(rig.event("s", 90.0, seq=2)).seq == 2
    # The answers of the old session are forgotten: number 2 is the new session's.
    assert code(rig.one(rig.event("s", 91.0, seq=2))) == "payload_conflict"


def test_every_session_begins_with_what_was_learned(make_rig, make_bundle):
    layer = LayerSpec("lstm", 6, learned_initial_state=True)
    rig = make_rig(make_bundle((layer,), fingerprint=b"l" * 32))
    zeros = make_rig()
    fields = (50.0, 60.0)
    first = [rig.one(rig.event("s", speed)).answer for speed in fields]
    for session, start in (("s", True), ("t", False), ("t", True)):
        anew = rig.one(rig.event(session, fields[0], start=start))
        assert [anew.answer, rig.one(rig.event(session, fields[1])).answer] == first
    rig.one(Delete("t"))
    assert rig.one(rig.event("t", fields[0], start=True)).answer == first[0]
    # What was learned is no row of zeros: without it the answer is another.
    weights = {**rig.bundle.weights, "layers.0.forward.initial": np.zeros(12, np.float32)}
    zeros.start(dataclasses.replace(rig.bundle, weights=weights))
    assert zeros.one(zeros.event("s", fields[0])).answer != first[0]


def test_a_start_that_is_refused_leaves_the_session_as_it_was(rig):
    rig.one(rig.event("s", 50.0))
    state = rig.hidden("s")
    broken = rig.event("s", start=True)
    del broken.event["driver"]  # a constant, which a first event must bring
    assert code(rig.one(broken)) == "missing_field"
    assert rig.kinds() == {}
    assert rig.hidden("s") == state
    assert rig.one(rig.event("s", seq=2)).seq == 2


def test_end_answers_and_leaves_a_tombstone(rig):
    rig.one(rig.event("s"))
    last = rig.one(rig.event("s", seq=2, end=True))
    assert last.seq == 2
    assert rig.record("s").hidden.size == 0
    for refused in (rig.event("s"), rig.event("s", seq=3), Read("s")):
        assert code(rig.one(refused)) == "session_ended"
    retried = rig.one(rig.event("s", seq=2))
    assert (retried.duplicate, retried.answer) == (True, last.answer)
    assert rig.kinds() == {"ended": 2}  # to look is no break
    assert rig.one(rig.event("s", start=True)).seq == 1
    assert rig.kinds() == {"ended": 2, "start_on_tombstone": 1}


def test_delete_leaves_a_tombstone_and_may_be_repeated(rig):
    assert code(rig.one(Delete("s"))) == "session_unknown"
    rig.one(rig.event("s"))
    rig.now += 60.0
    view = rig.one(Delete("s"))
    assert view == SessionView("s", "deleted", 1, rig.now - 60, rig.now - 60, rig.now, "1")
    left = rig.record("s")
    assert (left.status, left.hidden.size, left.encoder.size) == ("deleted", 0, 0)
    assert left.answers == ()
    appended = rig.store.appended
    assert rig.one(Delete("s")) == view
    assert rig.store.appended == appended
    assert codes(rig.do(rig.event("s", seq=1), Read("s"))) == ["session_deleted"] * 2
    assert rig.kinds() == {"deleted": 1}


def test_an_expired_session_says_so(rig):
    rig.one(rig.event("s"))
    known = rig.record("s")
    expired = msgspec.structs.replace(known, status="expired")
    rig.replace("s", record.encode(expired))
    rig.start(rig.bundle)
    assert codes(rig.do(rig.event("s", seq=2), Read("s"))) == ["session_expired"] * 2
    assert rig.kinds() == {"expired": 1}
    assert rig.outcomes() == {"answered": 1, "session_expired": 1}


@pytest.mark.parametrize("leave", [Delete("s"), None])
def test_a_tombstone_is_forgotten_after_its_time(make_rig, leave):
    rig = make_rig(tombstone_seconds=100.0)
    rig.one(rig.event("s"))
    rig.one(leave or rig.event("s", end=True))
    rig.now += 99.0
    assert code(rig.one(rig.event("s"))) in ("session_deleted", "session_ended")
    rig.now += 1.0
    assert codes(rig.do(Read("s"), Delete("s"))) == ["session_unknown"] * 2
    assert code(rig.one(rig.event("s", seq=2))) == "seq_gap"
    assert rig.one(rig.event("s")).seq == 1


def test_a_forgotten_tombstone_is_swept_when_the_store_is_cut(make_rig):
    rig = make_rig(tombstone_seconds=100.0)
    for session in "abcd":
        rig.do(rig.event(session), Delete(session))
    rig.store.ages(rig.limits.ttl_seconds, rig.limits.tombstone_seconds, rig.now + 99.0)
    rig.store.cut()
    assert len([*rig.store.scan()]) == 4
    rig.now += 100.0
    appended = rig.store.appended
    found = rig.do(Read("a"), rig.event("b", seq=2), rig.event("c"))
    assert codes(found) == ["session_unknown", "seq_gap", None]
    assert rig.store.appended == appended + 1
    rig.store.ages(rig.limits.ttl_seconds, rig.limits.tombstone_seconds, rig.now + 1.0)
    rig.store.cut()
    assert [key for key, _ in rig.store.scan()] == [rig.key("c")]
    rig.start(rig.bundle)
    assert rig.one(rig.event("c", seq=2)).seq == 2


def test_a_live_session_can_be_read(rig):
    assert code(rig.one(Read("s"))) == "session_unknown"
    rig.one(rig.event("s", time=5.0))
    rig.start(rig.bundle)
    assert rig.one(Read("s")) == SessionView("s", "live", 1, 5.0, rig.now, rig.now, "1")


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("speed", "fast", "wrong_type"),
        ("speed", 10**400, "not_finite"),
        ("wheels", 4, "unknown_field"),
        ("driver", "bob", "constant_changed"),
        ("road", ["A1"], "wrong_type"),
    ],
)
def test_bad_input_changes_nothing(rig, field, value, expected):
    rig.one(rig.event("s"))
    before, state = rig.store.get([rig.key("s")]), rig.hidden("s")
    bad = rig.event("s", seq=2)
    bad.event[field] = value
    error = rig.one(bad)
    assert (error.code, error.field) == (expected, field)
    assert rig.store.get([rig.key("s")]) == before
    assert rig.hidden("s") == state
    assert rig.outcomes() == {"answered": 1, "bad_input": 1}
    assert rig.one(rig.event("s", seq=2)).seq == 2


def test_memory_is_bounded_also_by_events_that_fail(make_rig):
    rig = make_rig(cached_sessions=1)
    rig.do(*(rig.event(session) for session in "abc"))
    for session in "abc":
        changed = rig.event(session)
        changed.event["driver"] = "bob"
        assert code(rig.one(changed)) == "constant_changed"
        assert len(rig.table) == 1
        assert session in rig.table
    rig.one(rig.event("d", end=True))
    assert len(rig.table) <= 1


def test_after_a_failed_event_the_rest_of_its_session_in_the_request_fails(rig):
    request = Part(
        [
            rig.event("s", seq=1),
            rig.event("s", "fast", seq=2),
            rig.event("s", seq=3),
            rig.event("s"),
            rig.event("s", seq=2),
            rig.event("t"),
        ]
    )
    results = rig.parts(request, Part([rig.event("s", seq=2)]))
    assert codes(results) == [
        None,
        "wrong_type",
        "seq_gap",
        "previous_failed",
        "seq_gap",
        None,
        None,
    ]
    for late in (results[2], results[3], results[4]):
        assert late.expected == 2
        assert "an earlier event" in late.message  # not that 2 came where 2 was expected
    assert request.failed == {"s"}
    # Also in a later micro-batch of the same request.
    later = Part([rig.event("s", seq=3), rig.event("t", seq=2)], failed=request.failed)
    assert codes(rig.parts(later)) == ["seq_gap", None]


def test_an_answer_that_is_not_finite_is_refused_alone(make_rig, make_bundle):
    bundle = make_bundle(fingerprint=b"o" * 32)
    speeds = [float(speed) for speed in range(-400, 400, 20)]
    # A head so large that about half of the first events overflow it.
    usual = make_rig(bundle)
    usual.do(*(usual.event(f"s{speed}", speed) for speed in speeds))
    sums = [abs(usual.table.states(f"s{speed}")[1].sum()) for speed in speeds]
    weights = dict(bundle.weights)
    size = np.finfo(np.float32).max / np.median(sums)
    weights["head.weight"] = np.full_like(weights["head.weight"], size)
    rig = make_rig(dataclasses.replace(bundle, weights=weights))
    results = rig.do(*(rig.event(f"s{speed}", speed) for speed in speeds))
    refused = [speed for speed, result in zip(speeds, results, strict=True) if code(result)]
    assert set(codes(results)) == {None, "not_finite_output"}
    assert rig.outcomes()["not_finite_output"] == len(refused)
    for speed in refused:
        assert code(rig.one(Read(f"s{speed}"))) == "session_unknown"
    # A live session is as it was before.
    good = next(speed for speed in speeds if speed not in refused)
    for seq, speed in enumerate(refused, start=2):
        state = rig.hidden(f"s{good}")
        if code(rig.one(rig.event(f"s{good}", speed, seq=seq))) == "not_finite_output":
            assert rig.hidden(f"s{good}") == state
            break
    else:
        pytest.fail("no event overflowed a live session")


def test_a_damaged_record_fails_its_session_alone(rig):
    rig.do(*(rig.event(session) for session in "abc"))
    for session in "ac":
        data = bytearray(rig.store.get([rig.key(session)])[0])
        data[len(data) // 2] ^= 1
        rig.replace(session, bytes(data))
    rig.start(rig.bundle)
    results = rig.do(rig.event("a", seq=2), rig.event("b", seq=2), Read("a"))
    assert codes(results) == ["record_damaged", None, "record_damaged"]
    assert rig.kinds() == {"record_damaged": 1}
    assert rig.outcomes() == {"answered": 4, "record_damaged": 1}
    # Two ways out.
    assert rig.one(rig.event("a", start=True)).seq == 1
    assert rig.one(Delete("c")).status == "deleted"
    assert code(rig.one(rig.event("c"))) == "session_deleted"


def test_a_batch_of_sessions_in_the_store_of_every_kind(make_rig, make_bundle):
    """Those whose memory goes on, and those whose does not, read at once."""
    rig = make_rig(make_bundle(seed=5, version="2", fingerprint=b"n" * 32))
    rig.one(rig.event("other", 10.0))
    rig.start(make_rig().bundle)
    names = ["cut", "ended", "expired", "later", "plain"]
    rig.do(*(rig.event(name, 10.0, end=name == "ended") for name in [*names, "twin"]))
    stored = {name: rig.store.get([rig.key(name)])[0] for name in names}
    known = {name: record.decode(data) for name, data in stored.items()}
    changed = {
        "expired": msgspec.structs.replace(known["expired"], status="expired"),
        "later": msgspec.structs.replace(known["later"], unknown=((4000, b"of a later version"),)),
    }
    puts = [(rig.key(name), record.encode(each)) for name, each in changed.items()]
    rig.store.commit([*puts, (rig.key("cut"), stored["cut"][:-1])])
    rig.start(rig.bundle)
    names.insert(0, "other")
    results = rig.do(*(rig.event(name, 20.0, seq=2) for name in [*names, "twin"]))
    assert codes(results) == [
        *(None, "record_damaged", "session_ended", "session_expired"),
        *(None, None, None),
    ]
    fresh, *_, later, plain, twin = results
    assert [result.session_reset for result in (fresh, later, plain)] == [True, False, False]
    assert later.answer == plain.answer == twin.answer
    kept = record.decode(rig.store.get([rig.key("later")])[0])
    assert kept.unknown == changed["later"].unknown


def test_a_record_with_states_of_another_size_counts_as_damaged(rig):
    rig.one(rig.event("s"))
    known = rig.record("s")
    short = msgspec.structs.replace(known, hidden=known.hidden[:-1])
    rig.replace("s", record.encode(short))
    rig.start(rig.bundle)
    assert code(rig.one(rig.event("s", seq=2))) == "record_damaged"
    assert rig.one(rig.event("s", start=True)).seq == 1


def test_damaged_frames_of_the_store_fail_their_sessions_alone(make_rig, tmp_path, caplog):
    names = [f"s{number}" for number in range(400)]
    rig = make_rig(where=tmp_path)
    rig.do(*(rig.event(name) for name in names))
    rig.store.close()
    with contextlib.closing(LogStore(tmp_path, read_only=True)) as look:
        offsets = sorted(offset for *_, offset, _ in look.frames())
    segment = tmp_path / "0000000000000001.log"
    data = bytearray(segment.read_bytes())
    for offset in offsets[200:210]:
        data[offset] ^= 1
    segment.write_bytes(data)
    rig = make_rig(where=tmp_path)
    results = rig.do(*(rig.event(name, seq=2) for name in names))
    damaged = [name for name, result in zip(names, results, strict=True) if code(result)]
    assert set(codes(results)) == {None, "record_damaged"}
    assert len(damaged) == 10
    error = next(result for result in results if code(result))
    assert error.field == "session"
    assert str(tmp_path) not in str(error)
    assert str(tmp_path) in caplog.text
    # Alone too, and there are the same two ways out.
    assert code(rig.one(Read(damaged[0]))) == "record_damaged"
    begun = rig.do(*(rig.event(name, start=True) for name in damaged[1:]))
    assert [answer.seq for answer in begun] == [1] * len(begun)
    assert rig.one(Delete(damaged[0])).status == "deleted"
    rig.start(rig.bundle)
    assert code(rig.one(rig.event(damaged[0]))) == "session_deleted"
    assert rig.one(rig.event(damaged[1], seq=2)).seq == 2
    rig.store.close()


def test_sessions_of_another_model_begin_anew_at_their_next_event(rig, make_bundle):
    rig.do(rig.event("a", 10.0), rig.event("a", 20.0), rig.event("b"))
    rig.start(make_bundle(seed=5, version="2", fingerprint=b"n" * 32))
    # What the old model answered cannot be worded by the new one, but is not stepped again either.
    retried = rig.one(rig.event("a", 20.0, seq=2))
    assert (retried.code, retried.expected) == ("seq_stale", 3)
    third = rig.one(rig.event("a", 30.0, seq=3))
    assert (third.seq, third.session_reset, third.model_version) == (3, True, "2")
    fresh = rig.one(rig.event("fresh", 30.0))
    assert third.answer == fresh.answer
    # If that answer was lost, its retry says again that the memory went.
    retried = rig.one(rig.event("a", 30.0, seq=3))
    assert (retried.duplicate, retried.session_reset) == (True, True)
    fourth = rig.one(rig.event("a", 40.0))
    assert (fourth.seq, fourth.session_reset) == (4, False)
    assert code(rig.one(rig.event("a", 20.0, seq=2))) == "seq_stale"
    assert rig.kinds() == {"reset": 1, "stale": 2}


def test_a_new_version_of_the_same_model_goes_on_and_old_answers_keep_theirs(rig, make_bundle):
    first, second = rig.do(rig.event("a", 10.0), rig.event("a", 20.0))
    rig.start(make_bundle(version="2", fingerprint=rig.bundle.fingerprint))
    third = rig.one(rig.event("a", 30.0))
    assert (third.seq, third.session_reset, third.model_version) == (3, False, "2")
    rig.start(make_bundle(version="3", fingerprint=rig.bundle.fingerprint))
    rig.one(rig.event("a", 40.0))
    for speed, told_before in ((10.0, first), (20.0, second), (30.0, third)):
        again = rig.one(rig.event("a", speed, seq=told_before.seq))
        assert msgspec.structs.replace(again, duplicate=False) == told_before
    assert rig.one(Read("a")).model_version == "3"


def test_a_failed_commit_gives_nothing_out_and_changes_nothing(rig):
    first = rig.one(rig.event("s", 10.0))
    before = rig.store.get([rig.key("s")])
    rig.store.broken = True
    part = Part([rig.event("s", 20.0, seq=2), rig.event("t"), Read("s")])
    assert codes(rig.parts(part)) == ["store_failed"] * 3
    assert part.failed == {"s", "t"}
    rig.store.broken = False
    assert rig.store.get([rig.key("s")]) == before
    assert rig.one(rig.event("s", 10.0, seq=1)).duplicate
    assert code(rig.one(Read("t"))) == "session_unknown"
    second = rig.one(rig.event("s", 20.0, seq=2))
    twin = rig.do(rig.event("twin", 10.0), rig.event("twin", 20.0))
    assert [answer.answer for answer in twin] == [first.answer, second.answer]
    assert rig.outcomes() == {"answered": 4, "repeat": 1, "store_failed": 2}
    assert rig.kinds() == {}


def test_a_batch_is_one_commit(rig):
    rig.do(*(rig.event(f"s{i % 7}") for i in range(40)))
    assert rig.store.appended == 1


def test_what_goes_wrong_inside_is_told_as_internal_and_forgotten(rig, caplog, monkeypatch):
    rig.one(rig.event("s"))
    with monkeypatch.context() as planted:
        planted.setattr(rig.processor, "_hand_over", lambda: 1 / 0)
        results = rig.do(rig.event("s"), rig.event("t"))
    assert codes(results) == ["internal", "internal"]
    assert "a batch of 2 operations failed" in caplog.text
    assert "Traceback" not in str(results[0])
    assert rig.one(Read("s")).seq == 1
    assert rig.one(rig.event("s", seq=2)).seq == 2


def test_a_request_that_the_table_refuses_fails_alone(rig, caplog):
    # No transport lets such ids in; should one, it must not cost the others theirs.
    parts = [Part([rig.event(name)]) for name in ("a", "\ud800", "b")]
    done = rig.processor.process(parts)
    rig.processor.wait(done.ticket)
    first, refused, second = done.results
    assert (first.seq, code(refused), second.seq) == (1, "internal", 1)
    assert rig.one(rig.event("a", seq=2)).seq == 2
    assert "failed" in caplog.text


def test_answers_are_kept_within_both_bounds(make_rig):
    rig = make_rig(answers=4, answer_bytes=11)  # an answer is the outputs of a head: 4 bytes
    rig.do(*(rig.event("s", float(i), time=0.0) for i in range(6)))
    kept = [
        seq
        for seq in range(1, 7)
        if code(rig.one(rig.event("s", float(seq - 1), seq=seq, time=0.0))) is None
    ]
    assert kept == [5, 6]
    assert [len(answer.answer) for answer in rig.record("s").answers] == [4, 4]


def test_the_offline_replay_gives_the_same_answers(rig):
    times = [rig.now + 30.0 * i for i in range(8)]
    told = rig.do(*(rig.event("s", float(i * i), time=t) for i, t in enumerate(times)))
    typed = [rig.bundle.schema.type_event(rig.event("s", float(i * i)).event) for i in range(8)]
    columns = rig.bundle.schema.stack(typed)
    outputs = offline.outputs(rig.engine, columns, np.array(times), np.array([0, 8]))
    words = answers.open(rig.bundle.task).answer(outputs)
    assert [answer.answer for answer in told] == words


arrivals = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from(["next", "next", "next", "none", "repeat", "other", "gap", "bad", "start"])
        | st.sampled_from(["end", "delete", "read", "bare"]),
        st.integers(0, 3),
    ),
    max_size=30,
)


def operations(rig, history):
    """Operations whose numbers follow what a client would know."""
    last = {}
    for i, (session, what, speed) in enumerate(history):
        seq = last.get(session, 0)
        event = rig.event(session, float(speed), time=rig.now + i)
        if what == "delete":
            yield Delete(session)
        elif what == "read":
            yield Read(session)
        elif what in ("repeat", "other"):
            event.seq, event.time = max(seq, 1), float(what == "repeat")
            yield event
        elif what == "gap":
            event.seq = seq + 2
            yield event
        elif what == "bad":
            event.event["speed"] = "fast"
            yield event
        else:
            event.time = 1.0
            event.seq = seq + 1 if what == "next" else None
            event.start, event.end = what == "start", what == "end"
            last[session] = 1 if what == "start" else seq + 1
            if what == "bare":
                del event.event["driver"]
            yield event


def told(results):
    return [
        (result.code, result.expected) if isinstance(result, Exception) else result
        for result in results
    ]


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(history=arrivals, sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_batches_evictions_and_restarts_do_not_show(make_rig, history, sizes):
    """One by one, in batches of any size, with memory for one session, restarted at every batch."""
    alone, batched, small, restarted = (
        make_rig(),
        make_rig(),
        make_rig(cached_sessions=1),
        make_rig(),
    )
    expected = told([alone.one(operation) for operation in operations(alone, history)])
    for rig in (batched, small, restarted):
        pending = list(operations(rig, history))
        found = []
        for i in range(len(pending)):
            part, pending = pending[: sizes[i % len(sizes)]], pending[sizes[i % len(sizes)] :]
            if not part:
                break
            if rig is restarted:
                rig.start(rig.bundle)
            found += told(rig.parts(*(Part([operation]) for operation in part)))
        assert found == expected
        assert rig.kinds() == alone.kinds()
        assert rig.outcomes() == alone.outcomes()
        assert len(small.table) <= 1
        for session in "abc":
            [data] = rig.store.get([rig.key(session)])
            assert [data] == alone.store.get([alone.key(session)])
            assert data is None or record.encode(record.decode(data)) == data
            if session in rig.table and record.decode(data).status == "live":
                encoder, hidden = rig.table.states(session)
                assert record.decode(data).hidden.tobytes() == hidden.tobytes()
                assert record.decode(data).encoder.tobytes() == encoder.tobytes()
    for rig in (alone, batched, small, restarted):
        rig.store.close()
