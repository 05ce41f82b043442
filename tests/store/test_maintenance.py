"""Copies, checks and tables of a store, while somebody writes to it."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from logs import contents, newest

from tidegate import record
from tidegate.errors import InputError, RecordError, StoreError
from tidegate.record import Record
from tidegate.store import LogStore, meta_key, session_key
from tidegate.store.backup import backup, restore
from tidegate.store.exchange import export, import_sessions
from tidegate.store.verify import verify


def session(seq: int, status: str = "live") -> bytes:
    encoder = np.array([np.nan, seq])
    hidden = np.array([0.5, -seq], dtype=np.float32)
    return record.encode(Record(status, b"f" * 32, "v1", seq, 2.0, 0.0, 3.0, encoder, hidden))


def key(number: int) -> bytes:
    return session_key("default", "m", f"s/{number}")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with contextlib.closing(LogStore(tmp_path / "store", segment_size=1 << 12)) as records:
        for seq in range(1, 4):
            records.commit([(key(number), session(seq)) for number in range(20)])
        records.commit([(key(3), session(4, "ended")), (meta_key("note"), b"n")], [key(5)])
    return tmp_path / "store"


def test_a_copy_is_the_store(path: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    size = backup(path, tmp_path / "copy", lambda *figures: seen.append(figures))
    assert seen[-1] == (size, size)
    assert verify(tmp_path / "copy").damaged == []
    assert restore(tmp_path / "copy", tmp_path / "again") == size
    assert contents(tmp_path / "again") == contents(tmp_path / "copy") == contents(path)


def test_a_copy_of_a_store_that_is_written(tmp_path: Path) -> None:
    """Each copy is one state that the store went through, not older than when it began."""
    done = threading.Event()
    acknowledged = 0
    with contextlib.closing(LogStore(tmp_path / "store", segment_size=1 << 14)) as records:

        def write() -> None:
            nonlocal acknowledged
            number = 0
            while not done.is_set():
                number += 1
                text = b"%d" % number
                records.commit([(b"a", text * 50), (b"b", text), (b"c%d" % (number % 50), text)])
                acknowledged = number

        records.commit([(b"a", b"0" * 50), (b"b", b"0")])
        thread = threading.Thread(target=write)
        thread.start()
        try:
            for copy in range(8):
                before = acknowledged
                backup(records.path, tmp_path / f"{copy}")
                found = contents(tmp_path / f"{copy}")
                number = int(found[b"b"])
                assert before <= number <= acknowledged + 1
                assert found[b"a"] == b"%d" % number * 50
                for last in range(max(number - 49, 1), number + 1):
                    assert found[b"c%d" % (last % 50)] == b"%d" % last
        finally:
            done.set()
            thread.join()


def test_a_copy_that_was_interrupted_is_no_store(path: Path, tmp_path: Path) -> None:
    backup(path, tmp_path / "copy")
    (tmp_path / "copy" / "CURRENT").unlink()
    with pytest.raises(StoreError) as caught:
        LogStore(tmp_path / "copy")
    assert caught.value.code == "store_damaged"


def test_places_that_are_taken_or_hold_no_store(path: Path, tmp_path: Path) -> None:
    for call in (backup, restore):
        with pytest.raises(InputError) as caught:
            call(path, path)
        assert caught.value.code == "target_exists"
        for source in (tmp_path / "nothing", tmp_path):
            with pytest.raises(StoreError):
                call(source, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_damage_is_named(path: Path, tmp_path: Path) -> None:
    assert verify(path).damaged == []
    with contextlib.closing(LogStore(path, read_only=True)) as look:
        places = {key: (segment, offset) for key, _, _, segment, offset, _ in look.frames()}
    value, header = places[key(7)], places[key(9)]
    for (segment, offset), into in ((value, 100), (header, 20)):
        with (path / f"{segment:016}.log").open("r+b") as file:
            file.seek(offset + into)
            [byte] = file.read(1)
            file.seek(offset + into)
            file.write(bytes([byte ^ 4]))
    report = verify(path)
    found = {(damage.file, damage.offset, damage.session) for damage in report.damaged}
    assert (f"{value[0]:016}.log", value[1], ("default", "m", "s/7")) in found
    assert (f"{header[0]:016}.log", header[1], None) in found
    with pytest.raises(StoreError, match="at byte"):
        restore(path, tmp_path / "new")


def test_a_record_that_is_none_is_named(path: Path) -> None:
    with contextlib.closing(LogStore(path)) as records:
        records.commit([(key(1), b"no record")])
    [damage] = verify(path).damaged
    assert damage.session == ("default", "m", "s/1")
    assert "record_truncated" in damage.what


def test_sessions_go_to_a_table_and_back(path: Path, tmp_path: Path) -> None:
    assert export(path, tmp_path / "out.parquet") == 19
    frame = pl.read_parquet(tmp_path / "out.parquet").sort("session")
    row = frame.row(by_predicate=pl.col("session") == "s/3", named=True)
    assert row.pop("record") == session(4, "ended")
    assert np.isnan(row.pop("encoder")[0])
    assert row == {
        "tenant": "default",
        "model": "m",
        "session": "s/3",
        "status": "ended",
        "seq": 4,
        "time": 2.0,
        "created": 0.0,
        "updated": 3.0,
        "model_version": "v1",
        "fingerprint": b"f".hex() * 32,
        "hidden": [0.5, -4.0],
        "answers": 0,
    }
    assert import_sessions(tmp_path / "out.parquet", tmp_path / "new") == 19
    expected = contents(path)
    del expected[meta_key("note")]
    with contextlib.closing(LogStore(tmp_path / "new")) as records:
        assert dict(records.scan()) == expected
        assert (records.stats().sessions, records.stats().tombstones) == (19, 1)


def test_tables_that_are_no_export(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("no")
    pl.DataFrame({"tenant": ["a"]}).write_parquet(tmp_path / "few.parquet")
    good = {"tenant": "t", "model": "m", "session": "s"}
    pl.DataFrame([{**good, "record": None}]).write_parquet(tmp_path / "null.parquet")
    for name in ("text", "few", "null", "nothing"):
        with pytest.raises(InputError) as caught:
            import_sessions(tmp_path / f"{name}.parquet", tmp_path / "new")
        assert caught.value.code == "bad_table"
    rows = [{**good, "record": session(1)}, {**good, "record": b"none"}]
    pl.DataFrame(rows).write_parquet(tmp_path / "bad.parquet")
    with pytest.raises(RecordError):
        import_sessions(tmp_path / "bad.parquet", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_the_newest_segment_may_be_torn_in_a_copy_of_files(path: Path) -> None:
    """A store that was not closed is copied up to its last whole group."""
    with newest(path).open("ab") as file:
        file.write(b"junk" * 100)
    assert verify(path).damaged == []
