"""What is held in memory, for how long, and what becomes of it when the store fails."""

from __future__ import annotations

import pytest

from tidegate.serve.limits import Limits
from tidegate.serve.operations import Delete, Part, Read


def code(result):
    return result.code if isinstance(result, Exception) else None


@pytest.mark.parametrize("restarted", [False, True])
def test_a_session_that_is_silent_expires(make_rig, restarted):
    rig = make_rig(ttl_seconds=1000.0, tombstone_seconds=100.0)
    rig.do(rig.event("s"), rig.event("t"), rig.event("u"), rig.event("v"))
    rig.now += 600.0
    rig.one(rig.event("t"))  # speaks again
    rig.now += 399.0
    assert rig.one(Read("s")).status == "live"
    rig.now += 1.0
    if restarted:
        rig.start(rig.bundle)
    for refused in (rig.event("s", seq=2), rig.event("s"), rig.event("s", seq=1), Read("s")):
        assert code(rig.one(refused)) == "session_expired"
    assert rig.one(rig.event("t", seq=3)).seq == 3
    assert rig.one(rig.event("u", start=True)).seq == 1
    assert rig.one(Delete("v")).status == "deleted"
    assert rig.kinds() == {"expired": 3, "start_on_tombstone": 1}
    assert rig.outcomes()["session_expired"] == 3
    # After the tombstone's time nobody remembers it.
    rig.now += 99.0
    assert code(rig.one(Read("s"))) == "session_expired"
    rig.now += 1.0
    assert code(rig.one(Read("s"))) == "session_unknown"
    assert code(rig.one(rig.event("s", seq=2))) == "seq_gap"
    assert rig.one(rig.event("s")).seq == 1
    assert code(rig.one(rig.event("v"))) is None


def test_the_store_lets_expired_records_go_when_it_is_cut(make_rig):
    rig = make_rig(ttl_seconds=1000.0, tombstone_seconds=100.0)
    rig.do(rig.event("s"), rig.event("t"))
    rig.now += 1099.0
    rig.one(rig.event("t", start=True))
    for more, left in ((0.0, ["s", "t"]), (2.0, ["t"])):
        rig.store.ages(1000.0, 100.0, rig.now + more)
        rig.store.cut()
        assert sorted(key for key, _ in rig.store.scan()) == [rig.key(name) for name in left]


def test_what_is_not_durable_is_never_evicted(held):
    process, table = held.processor.process, held.table
    done = [process([Part([held.event(name)])]) for name in "abcd"]
    held.processor._limits = Limits(cached_sessions=1)
    held.store.let(2)
    durable, _, _ = held.store.progress()
    held.processor.evict(durable)
    assert {name for name in "abcd" if name in table} == {"c", "d"}
    # One that changed again is not durable either.
    done.append(process([Part([held.event("c", seq=2)])]))
    held.store.let()
    held.processor.evict(done[2].ticket)
    assert {name for name in "abcd" if name in table} == {"c", "d"}
    held.store.let(2)
    held.processor.evict(done[-1].ticket)
    assert len(table) == 1
    # All of them are where they were.
    assert [held.one(Read(name)).seq for name in "abcd"] == [1, 1, 2, 1]


def test_memory_is_bounded_in_bytes_too(make_rig):
    rig = make_rig(memory_bytes=30_000)
    for i in range(200):
        rig.one(rig.event(f"s{i}"))
        assert rig.table.nbytes <= 31_000
    assert 1 <= len(rig.table) < 150
    assert rig.metrics.registry.get_sample_value("tidegate_evicted_sessions_total") >= 50
    assert [rig.one(rig.event(f"s{i}", seq=2)).seq for i in range(200)] == [2] * 200


def test_a_bound_in_bytes_is_no_reason_to_evict_what_is_in_use(make_rig):
    """Sessions that fit stay, however many there were before."""
    rig = make_rig(memory_bytes=200_000)

    def seen(name: str) -> float:
        return rig.metrics.registry.get_sample_value(f"tidegate_{name}_sessions_total") or 0

    for i in range(0, 1000, 50):
        for _ in range(4):
            rig.parts(Part([rig.event(f"s{i + k}") for k in range(50)]))
    assert seen("evicted") > 500
    for _ in range(3):
        before = seen("loaded"), seen("evicted")
        for i in range(0, 100, 20):
            rig.parts(Part([rig.event(f"s{i + k}") for k in range(20)]))
    assert (seen("loaded"), seen("evicted")) == before


def test_to_roll_back_forgets_what_the_store_does_not_have(held):
    process = held.processor.process
    first = process([Part([held.event("a", time=1.0), held.event("b")])])
    held.store.let()
    before = held.hidden("a")
    process([Part([held.event("a", time=2.0), held.event("c")])])
    process([Part([Delete("b")])])
    held.store.fail()
    held.processor.roll_back(first.ticket)
    assert [name for name in "abc" if name in held.table] == []
    held.store.recover()
    held.store.let_all()
    assert held.one(Read("a")).seq == 1
    assert held.one(Read("b")).status == "live"
    assert code(held.one(Read("c"))) == "session_unknown"
    assert held.one(held.event("a", seq=1, time=1.0)).duplicate
    assert held.hidden("a") == before


def test_a_batch_that_fails_inside_leaves_those_on_their_way_alone(held, monkeypatch):
    process = held.processor.process
    process([Part([held.event("a", 10.0)])])
    with monkeypatch.context() as planted:
        planted.setattr(held.processor, "_hand_over", lambda: 1 / 0)
        done = process([Part([held.event("a", 20.0), held.event("b")])])
    assert [code(result) for result in done.results] == ["internal"] * 2
    held.store.let_all()
    assert held.one(Read("a")).seq == 1
    assert held.one(held.event("a", 20.0, seq=2)).seq == 2
    assert code(held.one(Read("b"))) == "session_unknown"


def test_a_store_in_memory_forgets_nothing_while_it_runs(make_rig):
    rig = make_rig(where="memory:", cached_sessions=1)
    rig.do(*(rig.event(name) for name in "abc"))
    assert [rig.one(rig.event(name, seq=2)).seq for name in "abc"] == [2, 2, 2]
    assert rig.one(Delete("a")).status == "deleted"
    assert code(rig.one(rig.event("a"))) == "session_deleted"
    assert rig.store.appended == 0
