"""What every store does. A new store is added to `stores` and must pass as it is."""

from __future__ import annotations

import contextlib
import select
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate import core, store
from tidegate.errors import InputError, StoreError
from tidegate.store import Store

stores = pytest.mark.parametrize("kind", ["memory", "log"])


@pytest.fixture
def begin(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Store]:
    def make(kind: str) -> Store:
        return store.open("memory:" if kind == "memory" else tmp_path_factory.mktemp("store"))

    return make


@pytest.fixture
def records(kind: str, begin: Callable[[str], Store]) -> Iterator[Store]:
    with contextlib.closing(begin(kind)) as opened:
        yield opened


@stores
def test_values_come_in_the_order_of_the_keys_asked_for(records: Store) -> None:
    records.commit([(b"a", b"1"), (b"b", b"2"), (b"c", b"")])
    assert records.get([b"c", b"nothing", b"a", b"b", b"a"]) == [b"", None, b"1", b"2", b"1"]
    assert records.get([]) == []


@stores
def test_a_commit_puts_and_deletes(records: Store) -> None:
    records.commit([(b"a", b"1"), (b"b", b"2")])
    records.commit([(b"a", b"3"), (b"c", b"4")], [b"b", b"never was"])
    assert sorted(records.scan()) == [(b"a", b"3"), (b"c", b"4")]


@stores
def test_the_last_put_wins_and_deletes_come_last(records: Store) -> None:
    records.commit([(b"a", b"1"), (b"b", b"1"), (b"a", b"2")], [b"b"])
    assert records.get([b"a", b"b"]) == [b"2", None]


@stores
def test_an_empty_commit(records: Store) -> None:
    records.commit([])
    assert list(records.scan()) == []


@stores
def test_a_large_value(records: Store) -> None:
    value = bytes(range(256)) * 40_000
    records.commit([(b"large", value)])
    assert records.get([b"large"]) == [value]


@stores
def test_keys_of_any_bytes(records: Store) -> None:
    keys = [b"\0", b"a\0", b"a\0\0b", "🌊".encode(), b"\xff" * 600, b"a" * 65_535]
    records.commit([(key, key[::-1]) for key in keys])
    assert records.get(keys) == [key[::-1] for key in keys]
    assert {key for key, _ in records.scan()} == set(keys)


@stores
def test_a_scan_sees_its_prefix(records: Store) -> None:
    inside = [b"p" + bytes([i // 256, i % 256]) for i in range(1000)]
    outside = [b"o\xff", b"q", b"\0"]
    records.commit([(key, b"v" + key) for key in inside[::-1] + outside])
    assert sorted(records.scan(b"p")) == [(key, b"v" + key) for key in inside]
    assert list(records.scan(b"nothing")) == []
    assert sorted(key for key, _ in records.scan()) == sorted(inside + outside)


@stores
def test_commits_during_a_scan(records: Store) -> None:
    records.commit([(b"%04d" % i, b"old") for i in range(1000)])
    seen = []
    for key, _ in records.scan():
        seen.append(key)
        records.commit([(key, b"new")])
    assert sorted(seen) == [b"%04d" % i for i in range(1000)]
    assert {value for _, value in records.scan()} == {b"new"}


@stores
@pytest.mark.parametrize("key", [b"", b"a" * 65_536])
def test_keys_that_are_none(records: Store, key: bytes) -> None:
    for commit in (
        lambda: records.commit([(b"a", b"1"), (key, b"")]),
        lambda: records.commit([], [key]),
    ):
        with pytest.raises(InputError) as caught:
            commit()
        assert caught.value.code == "bad_key"
    assert records.get([b"a", key]) == [None, None]


@stores
def test_groups_are_done_in_order(records: Store) -> None:
    group = core.Group()
    tickets = []
    for number in range(20):
        group.add(b"last", b"%d" % number, 2, 12.5)
        group.add(b"%d" % number, b"")
        tickets.append(records.append(group))
        assert len(group) == 0
    records.wait(tickets[-1])
    assert select.select([records], [], [], 0)[0]
    done, failed, timings = records.progress()
    assert (done, failed, records.queued_bytes, records.failed) == (tickets[-1], False, 0, False)
    assert all(write >= 0 and sync >= 0 and size > 0 for write, sync, size, _ in timings)
    assert not select.select([records], [], [], 0)[0]
    assert tickets == sorted(set(tickets))
    assert records.get([b"last", b"0", b"20"]) == [b"19", b"", None]
    group.delete(b"last")
    records.wait(records.append(group), timeout=60)
    assert records.get([b"last"]) == [None]
    records.wait(records.append(group))  # an empty one, too
    assert records.recover()


@stores
def test_a_closed_store_refuses(records: Store) -> None:
    records.commit([(b"a", b"1")])
    records.close()
    records.close()
    calls: list[Callable[[], object]] = [
        lambda: records.get([b"a"]),
        lambda: records.commit([(b"a", b"2")]),
        lambda: records.commit([]),
        lambda: records.scan(),
        lambda: records.append(core.Group()),
        lambda: records.progress(),
        lambda: records.fileno(),
        lambda: records.wait(1),
        lambda: records.recover(),
    ]
    for call in calls:
        with pytest.raises(StoreError) as caught:
            call()
        assert caught.value.code == "store_closed"


small = st.binary(min_size=1, max_size=3)
commits = st.lists(
    st.tuples(
        st.lists(st.tuples(small, small), max_size=5),
        st.lists(small, max_size=3),
    ),
    max_size=6,
)


@stores
@settings(deadline=None, max_examples=20)
@given(commits=commits, prefix=small)
def test_any_commits(
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    commits: list[tuple[list[tuple[bytes, bytes]], list[bytes]]],
    prefix: bytes,
) -> None:
    """A store does as a dictionary does, and a store on disk still after it was opened again."""
    where: str | Path = "memory:" if kind == "memory" else tmp_path_factory.mktemp("store")
    expected: dict[bytes, bytes] = {}
    records = store.open(where)
    for puts, deletes in commits:
        records.commit(puts, deletes)
        expected.update(puts)
        for key in deletes:
            expected.pop(key, None)
    for _ in range(2):
        asked = [*expected, b"nothing"]
        assert records.get(asked) == [expected.get(key) for key in asked]
        items = sorted(item for item in expected.items() if item[0].startswith(prefix))
        assert sorted(records.scan(prefix)) == items
        if kind != "memory":
            records.close()
            records = store.open(where)
    records.close()
