"""Segments are cut away, and what they hold of the present is not lost."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import pytest
from logs import contents, killed

from tidegate import core
from tidegate.store import LogStore

SEGMENT = 1 << 14
LIVE, TOMBSTONE = 2, 3


def put(records: LogStore, key: bytes, value: bytes, kind: int, stamp: float) -> None:
    group = core.Group()
    group.add(key, value, kind, stamp)
    records.wait(records.append(group))


def test_space_is_bounded(tmp_path: Path) -> None:
    values = {}
    with contextlib.closing(LogStore(tmp_path, segment_size=SEGMENT)) as records:
        for number in range(2000):
            key = b"%d" % (number * 7919 % 90)
            values[key] = b"%d" % number * 200
            records.commit([(key, values[key])])
            stats = records.stats()
            assert stats.bytes <= max(3 * stats.live_bytes, 4 * SEGMENT) + 2 * SEGMENT
        assert stats.cuts > 20
        assert stats.keys == len(values)
        assert dict(records.scan()) == values
        assert stats.live_bytes == sum(
            -(-(40 + len(k) + len(v)) // 8) * 8 for k, v in values.items()
        )
    assert contents(tmp_path) == values
    assert len([*tmp_path.iterdir()]) < 40


def test_a_cut_leaves_what_is_current(tmp_path: Path) -> None:
    with contextlib.closing(LogStore(tmp_path, segment_size=SEGMENT)) as records:
        values = {b"%d" % number: bytes(100) + b"%d" % number for number in range(1000)}
        records.commit([*values.items()])
        deleted = [b"%d" % number for number in range(0, 1000, 3)]
        records.commit([(b"1", b"new")], deleted)
        values[b"1"] = b"new"
        for key in deleted:
            del values[key]
        for _ in range(2):
            records.cut()
            assert dict(records.scan()) == values
            assert records.get(deleted) == [None] * len(deleted)
        assert records.stats().segments < 20
        path = killed(tmp_path, tmp_path.with_name("killed"))
    assert contents(tmp_path) == contents(path) == values


def test_a_value_larger_than_a_slice(tmp_path: Path) -> None:
    with contextlib.closing(LogStore(tmp_path, segment_size=SEGMENT)) as records:
        value = bytes(range(256)) * 20_000
        records.commit([(b"small", b"1"), (b"large", value)])
        records.cut()
        assert records.get([b"small", b"large"]) == [b"1", value]
        assert records.stats().cuts == 1


def test_records_that_are_old_go(tmp_path: Path) -> None:
    with contextlib.closing(LogStore(tmp_path, segment_size=SEGMENT)) as records:
        for stamp in (100.0, 200.0, 300.0):
            put(records, b"live %d" % stamp, b"l", LIVE, stamp)
            put(records, b"gone %d" % stamp, b"t", TOMBSTONE, stamp)
        put(records, b"value", b"v", 1, 0.0)
        assert records.stats().sessions == 6
        assert records.stats().tombstones == 3
        records.ages(150.0, 50.0, now=350.0)
        records.cut()
        left = {b"live 200", b"live 300", b"gone 300", b"value"}
        assert {key for key, _ in records.scan()} == left
        stats = records.stats()
        assert (stats.swept, stats.expired, stats.sessions, stats.tombstones) == (2, 1, 3, 1)
        put(records, b"live 100", b"begun anew", LIVE, 350.0)
    assert contents(tmp_path).keys() == left | {b"live 100"}


def test_tombstones_go_although_the_store_is_small(tmp_path: Path) -> None:
    with contextlib.closing(LogStore(tmp_path, segment_size=SEGMENT)) as records:
        put(records, b"gone", b"t" * SEGMENT, TOMBSTONE, 100.0)
        put(records, b"more", b"v" * SEGMENT, LIVE, 100.0)
        records.ages(1e12, 50.0, now=1e11)
        while not records.stats().swept:  # the committer does it, with nobody asking
            records.commit([(b"value", b"")])
        assert records.get([b"gone"]) == [None]
        assert records.get([b"more"]) != [None]


def test_commits_reads_and_scans_while_it_is_cut(tmp_path: Path) -> None:
    """A copy never wins over a newer value; no reader ever finds nothing, or an older value."""
    keys = [b"%d" % number for number in range(40)]
    newest = dict.fromkeys(keys, 0)
    done = threading.Event()
    wrong: list[object] = []

    def text(number: int) -> bytes:
        return b"%d " % number + bytes(number * 37 % 700)

    def number_of(value: bytes | None) -> int:
        return -1 if value is None else int(value.split(b" ")[0])

    def read() -> None:
        while not done.is_set():
            before = newest.copy()
            found = dict(zip(keys, records.get(keys), strict=True))
            wrong.extend(k for k in keys if number_of(found[k]) < before[k])
            before = newest.copy()
            found = dict(records.scan())
            wrong.extend(k for k in keys if number_of(found.get(k)) < before[k])

    def cut() -> None:
        while not done.is_set():
            records.cut()

    with contextlib.closing(LogStore(tmp_path, segment_size=SEGMENT)) as records:
        records.commit([(key, text(0)) for key in keys])
        threads = [threading.Thread(target=call) for call in (read, cut)]
        for thread in threads:
            thread.start()
        for number in range(1, 400):
            key = keys[number * 31 % len(keys)]
            records.commit([(key, text(number))])
            newest[key] = number
        done.set()
        for thread in threads:
            thread.join()
        assert records.stats().cuts > 10
    assert not wrong
    assert contents(tmp_path) == {key: text(number) for key, number in newest.items()}


def test_many_keys(tmp_path: Path) -> None:
    with contextlib.closing(LogStore(tmp_path)) as records:
        for part in range(10):
            records.commit(
                [(b"%d" % n, b"v%d" % n) for n in range(part * 5000, part * 5000 + 5000)]
            )
        records.commit([], [b"%d" % n for n in range(0, 50_000, 2)])
        keys = [b"%d" % n for n in range(50_000)]
        expected = [b"v%d" % n if n % 2 else None for n in range(50_000)]
        assert records.get(keys) == expected
        assert records.stats().keys == 25_000
    with contextlib.closing(LogStore(tmp_path)) as records:
        assert records.get(keys) == expected


def test_sizes_that_make_no_log(tmp_path: Path) -> None:
    for options in ({"segment_size": 10}, {"space": 1.0}, {"tolerant": True}):
        with pytest.raises(ValueError, match=r"not|only"):
            LogStore(tmp_path, **options)
    LogStore(tmp_path).close()
