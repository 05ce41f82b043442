"""What opening a log makes of what a crash or a bad disk left: at every byte."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from logs import contents_or_code, files_of, killed, newest, states, write_files

from tidegate import core
from tidegate.errors import StoreError
from tidegate.store import LogStore

COMMITS: list[tuple[dict[bytes, bytes], list[bytes]]] = [
    ({b"a": b"a1", b"b": b"b1" * 9}, []),
    ({b"a": b"a2", b"c": b""}, [b"b"]),
    ({b"c": b"c3", b"d": b"d3"}, [b"nothing"]),
    ({b"a": b"a4", b"b": b"b4", b"d": b"d4"}, [b"c"]),
]
STATES = states(COMMITS)
SEGMENT = 4096


def commit_all(records: LogStore) -> None:
    for puts, deletes in COMMITS:
        records.commit([*puts.items()], deletes)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Return a folder in memory, if there is such a thing: here it is opened a thousand times."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture
def crashed(tmp_path: Path) -> Path:
    """Return a store that a process had open when it died."""
    with contextlib.closing(LogStore(tmp_path / "open", segment_size=SEGMENT)) as records:
        commit_all(records)
        path = killed(tmp_path / "open", tmp_path / "crashed")
        end = records.stats().bytes
    os.truncate(newest(path), end)
    return path


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    with contextlib.closing(LogStore(tmp_path / "closed", segment_size=SEGMENT)) as records:
        commit_all(records)
    return tmp_path / "closed"


def test_a_crash_at_every_byte(crashed: Path, tmp_path: Path) -> None:
    """A file that was cut anywhere holds the commits that are whole; nothing in between."""
    files, name = files_of(crashed), newest(crashed).name
    size = len(files[name])
    seen = []
    for end in range(64, size + 1):
        write_files(tmp_path / "cut", {**files, name: files[name][:end]})
        found = contents_or_code(tmp_path / "cut")
        assert found in STATES
        seen.append(STATES.index(found))
        assert contents_or_code(tmp_path / "cut") == found  # and again
    assert seen == sorted(seen)
    assert set(seen) == set(range(len(STATES)))


def test_a_segment_that_lost_its_header(crashed: Path, tmp_path: Path) -> None:
    files, name = files_of(crashed), newest(crashed).name
    for end in range(64):
        write_files(tmp_path / "cut", {**files, name: files[name][:end]})
        assert contents_or_code(tmp_path / "cut") == "store_damaged"


def test_a_flipped_bit_at_every_byte_after_a_crash(crashed: Path, tmp_path: Path) -> None:
    """Damage is told, is in one value, or is taken for the end of the last commit."""
    files = files_of(crashed)
    told = 0
    for name in ("CURRENT", newest(crashed).name):
        for at in range(len(files[name])):
            spoiled = bytearray(files[name])
            spoiled[at] ^= 1 << at % 8
            write_files(tmp_path / "flipped", {**files, name: bytes(spoiled)})
            found = contents_or_code(tmp_path / "flipped")
            if isinstance(found, str):
                assert found in ("store_damaged", "store_version")
                told += 1
                continue
            if found in STATES[-2:]:  # a byte that says nothing, or the last commit is torn
                continue
            [key] = [key for key in STATES[-1] if found.get(key) != STATES[-1][key]]
            assert found.keys() == STATES[-1].keys()
            assert found[key] not in [state.get(key) for state in STATES]
    assert told > 300


def test_a_flipped_bit_at_every_byte_after_closing(closed: Path, tmp_path: Path) -> None:
    """Where the end is known, nothing at all may be missing."""
    files = files_of(closed)
    for name in files.keys() - {"tidegate.lock", "spare"}:
        for at in range(len(files[name])):
            spoiled = bytearray(files[name])
            spoiled[at] ^= 1 << at % 8
            write_files(tmp_path / "flipped", {**files, name: bytes(spoiled)})
            found = contents_or_code(tmp_path / "flipped")
            if name.endswith(".idx"):
                assert found == STATES[-1]  # it is made again
            elif not isinstance(found, str) and found != STATES[-1]:
                [key] = [key for key in STATES[-1] if found[key] != STATES[-1][key]]
                assert found.keys() == STATES[-1].keys()
                assert found[key] not in [state.get(key) for state in STATES]


def test_a_closed_store_that_is_cut_off_is_damaged(closed: Path, tmp_path: Path) -> None:
    files, name = files_of(closed), newest(closed).name
    for end in range(len(files[name])):
        write_files(tmp_path / "cut", {**files, name: files[name][:end]})
        assert contents_or_code(tmp_path / "cut") == "store_damaged"


@pytest.mark.parametrize("pages", range(1, 32))
def test_pages_of_the_last_commit_are_lost_in_any_order(tmp_path: Path, pages: int) -> None:
    """What was not synced may be there in part; what was, not at all lost."""
    records = LogStore(tmp_path / "open", segment_size=1 << 20)
    records.commit([(b"%d" % i, b"old" * 400) for i in range(10)])
    before = records.stats().bytes
    records.commit([(b"%d" % i, b"new" * 700) for i in range(8)])
    path = killed(tmp_path / "open", tmp_path / "crashed")
    records.close()
    with newest(path).open("r+b") as file:
        for page in range(5):
            if pages >> page & 1:
                file.seek(before if page == 0 else (before // 4096 + page) * 4096)
                file.write(bytes(4096 - file.tell() % 4096))
    found = contents_or_code(path)
    assert found == {b"%d" % i: b"old" * 400 for i in range(10)}


def test_a_hole_before_the_last_commit_is_damage(tmp_path: Path) -> None:
    records = LogStore(tmp_path / "open", segment_size=1 << 20)
    ends = []
    for number in range(3):
        records.commit([(b"key", b"%d" % number * 3000)])
        ends.append(records.stats().bytes)
    path = killed(tmp_path / "open", tmp_path / "crashed")
    records.close()
    with newest(path).open("r+b") as file:
        file.seek(ends[0])
        file.write(bytes(100))
    assert contents_or_code(path) == "store_damaged"
    with pytest.raises(StoreError, match=f"0000000000000001.log at byte {ends[0]}"):
        LogStore(path)
    with contextlib.closing(LogStore(path, read_only=True, tolerant=True)) as look:
        assert (1, ends[0]) in [damage[:2] for damage in look.damages]
        assert look.get([b"key"]) == [b"2" * 3000]


def test_a_group_is_whole_or_void(tmp_path: Path) -> None:
    """Groups that were written together are told apart: those before the torn one are there."""
    records = LogStore(tmp_path / "open", segment_size=1 << 20, sync="interval", sync_ms=10**6)
    ends = []
    for number in range(4):
        records.commit([(b"a", b"%d" % number), (b"b", b"%d" % number)])
        ends.append(records.stats().bytes)
    path = killed(tmp_path / "open", tmp_path / "crashed")
    records.close()
    with newest(path).open("r+b") as file:
        file.seek(ends[2] - 8)
        file.write(b"x")
    assert contents_or_code(path) == {b"a": b"1", b"b": b"1"}


def test_files_that_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "store"
    for number in range(4):
        with contextlib.closing(LogStore(path)) as records:
            records.commit([(b"%d" % number, b"")])
    files = files_of(path)
    expected = {b"%d" % number: b"" for number in range(4)}
    for name in files:
        write_files(path, {other: content for other, content in files.items() if other != name})
        found = contents_or_code(path)
        if name.endswith(".log") or name == "CURRENT":
            assert found == "store_damaged"
        else:
            assert found == expected


def test_a_current_from_yesterday(tmp_path: Path) -> None:
    path = tmp_path / "store"
    LogStore(path).close()
    old = (path / "CURRENT").read_bytes()
    with contextlib.closing(LogStore(path)) as records:
        records.commit([(b"a", b"1")])
    (path / "CURRENT").write_bytes(old)
    assert contents_or_code(path) == "store_damaged"


def test_segments_of_another_store(tmp_path: Path) -> None:
    for name in ("one", "two"):
        with contextlib.closing(LogStore(tmp_path / name)) as records:
            records.commit([(b"a", name.encode())])
    segment = newest(tmp_path / "two")
    (tmp_path / "one" / segment.name).write_bytes(segment.read_bytes())
    with pytest.raises(StoreError, match="another store"):
        LogStore(tmp_path / "one")


def test_a_store_of_a_newer_version(closed: Path) -> None:
    for name in ("CURRENT", newest(closed).name):
        content = bytearray((closed / name).read_bytes())
        content[8] = 2
        (closed / name).write_bytes(content)
        assert contents_or_code(closed) == "store_version"
        content[8] = 1
        (closed / name).write_bytes(content)
    assert contents_or_code(closed) == STATES[-1]


def test_what_a_killed_opening_left(crashed: Path) -> None:
    """A segment that CURRENT does not name was never read; files beside others are nobody's."""
    for name in ("CURRENT.tmp", "0000000000000001.idx.tmp", "0000000000000002.new"):
        (crashed / name).write_bytes(b"junk")
    assert contents_or_code(crashed) == STATES[-1]
    assert not [*crashed.glob("*.tmp"), *crashed.glob("*.new")]


def test_a_segment_that_was_not_yet_renamed(crashed: Path) -> None:
    newest(crashed).rename(crashed / "0000000000000001.new")
    assert contents_or_code(crashed) == STATES[-1]


def test_index_files_are_made_and_used(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with contextlib.closing(LogStore(path, segment_size=SEGMENT)) as records:
        for number in range(100):
            records.commit([(b"%d" % (number % 10), b"%d" % number * 50)])
        expected = dict(records.scan())
    with contextlib.closing(LogStore(path, segment_size=SEGMENT)) as records:
        stats = records.stats()
        assert (stats.frames_indexed > 20, stats.frames_scanned) == (True, 0)
        assert dict(records.scan()) == expected
        assert records.get([*expected]) == [*expected.values()]
    for file in path.glob("*.idx"):
        file.unlink()
    with contextlib.closing(LogStore(path, segment_size=SEGMENT)) as records:
        assert (records.stats().frames_indexed, records.stats().frames_scanned > 20) == (0, True)
        assert dict(records.scan()) == expected
    assert [*path.glob("*.idx")]


def test_the_folder_stays_tidy(tmp_path: Path) -> None:
    for number in range(40):
        with contextlib.closing(LogStore(tmp_path / "store")) as records:
            records.commit([(b"%d" % (number % 3), b"")])
            records.cut() if number == 20 else None
    assert len([*(tmp_path / "store").iterdir()]) < 60


def test_a_frame_that_another_key_is_in(tmp_path: Path) -> None:
    """The index says where; what lies there must be the key that was asked for."""
    path = tmp_path / "store"
    with contextlib.closing(LogStore(path)) as records:
        records.commit([(b"a", b"1"), (b"b", b"1")])
        with newest(path).open("r+b") as file:
            frames = file.read()[64 : records.stats().bytes]
            size = len(frames) // 2
            file.seek(64)
            file.write(frames[size:] + frames[:size])
        with pytest.raises(StoreError) as caught:
            records.get([b"a"])
        assert caught.value.code == "store_damaged"


def test_siphash_gives_the_authors_vectors() -> None:
    """From vectors.h of the reference implementation."""
    key = bytes(range(16))
    assert core.siphash(key, b"").hex() == "a3817f04ba25a8e66df67214c7550293"
    assert core.siphash(key, b"\0").hex() == "da87c1d86b99af44347659119b22fc45"
