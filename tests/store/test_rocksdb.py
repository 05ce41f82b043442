"""The store on disk: who may open it, what it does when the disk fails, what a kill leaves."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rocksdict import Options, Rdict

from tidegate import store
from tidegate.errors import InputError, StoreError
from tidegate.store.keys import FORMAT_KEY

VALUE = bytes(range(256)) * 5


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(StoreError) as caught:
        call()
    assert caught.value.hint
    return caught.value.code


@contextlib.contextmanager
def child(source: str, *arguments: object, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program beside this one; it is killed in the end if it still runs."""
    command = [sys.executable, "-c", textwrap.dedent(source), *map(str, arguments)]
    pipe, environ = subprocess.PIPE, {**os.environ, **environment}
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_values_are_there_when_it_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "and deep"
    with contextlib.closing(store.open(path)) as records:
        records.commit([(b"a", VALUE)])
    with contextlib.closing(store.open(str(path))) as records:
        assert list(records.scan()) == [(b"a", VALUE)]


HOLD = """
    import sys
    from tidegate import store
    opened = store.open(sys.argv[1])
    print("open", flush=True)
    sys.stdin.read()
    opened.close()
"""


def test_another_process_has_it(tmp_path: Path) -> None:
    with child(HOLD, tmp_path) as process:
        assert line_of(process) == "open"
        with pytest.raises(StoreError) as caught:
            store.open(tmp_path)
        assert caught.value.code == "store_locked"
        assert str(tmp_path) in str(caught.value)
        assert f"process {process.pid}" in str(caught.value)
        process.communicate("")
        store.open(tmp_path).close()


def test_a_killed_process_has_it_no_more(tmp_path: Path) -> None:
    with child(HOLD, tmp_path) as process:
        assert line_of(process) == "open"
        process.kill()
        process.wait()
        store.open(tmp_path).close()


def test_this_process_has_it(tmp_path: Path) -> None:
    with contextlib.closing(store.open(tmp_path)) as records:
        assert code_of(lambda: store.open(tmp_path)) == "store_locked"
        records.commit([(b"a", b"1")])
        assert records.get([b"a"]) == [b"1"]


def test_another_program_has_it(tmp_path: Path) -> None:
    store.open(tmp_path).close()
    source = """
        import sys
        from rocksdict import Options, Rdict
        opened = Rdict(sys.argv[1], Options(raw_mode=True))
        print("open", flush=True)
        sys.stdin.read()
    """
    with child(source, tmp_path) as process:
        assert line_of(process) == "open"
        assert code_of(lambda: store.open(tmp_path)) == "store_locked"


def test_paths_that_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for path in (file, file / "below", Path("/proc/self/store")):
        assert code_of(lambda path=path: store.open(path)) == "store_unwritable"
    assert file.read_text() == "mine"


@pytest.mark.parametrize("where", ["", "redis://localhost", "a\0b"])
def test_what_is_no_path(where: str) -> None:
    with pytest.raises(InputError) as caught:
        store.open(where)
    assert (caught.value.code, caught.value.field) == ("bad_store", "store")


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_text("{}")
    assert code_of(lambda: store.open(tmp_path)) == "store_foreign"
    assert [entry.name for entry in tmp_path.iterdir()] == ["bundle.json"]


def write_raw(path: Path, key: bytes, value: bytes) -> None:
    with contextlib.closing(Rdict(str(path), Options(raw_mode=True))) as db:
        db[key] = value


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    write_raw(tmp_path, b"key", b"value")
    assert code_of(lambda: store.open(tmp_path)) == "store_foreign"


def test_a_store_of_a_newer_version(tmp_path: Path) -> None:
    store.open(tmp_path).close()
    write_raw(tmp_path, FORMAT_KEY, b"2")
    assert code_of(lambda: store.open(tmp_path)) == "store_version"
    write_raw(tmp_path, FORMAT_KEY, b"two")
    assert code_of(lambda: store.open(tmp_path)) == "store_damaged"
    write_raw(tmp_path, FORMAT_KEY, b"1")
    store.open(tmp_path).close()


def test_a_store_that_was_killed_before_its_first_key(tmp_path: Path) -> None:
    for name in ("tidegate.lock", "LOCK", "LOG", "IDENTITY", "MANIFEST-000001", "000001.dbtmp"):
        (tmp_path / name).touch()
    store.open(tmp_path).close()


def test_the_folder_stays_tidy(tmp_path: Path) -> None:
    for _ in range(6):
        store.open(tmp_path).close()
    assert len(list(tmp_path.glob("LOG*"))) <= 2
    assert len(list(tmp_path.iterdir())) < 20


FILL = """
    import os, sys
    from tidegate import store
    records = store.open(sys.argv[1])
    for number in range(200):
        records.commit([(b"%04d" % number, os.urandom(1300))])
    if sys.argv[2] == "close":
        records.close()
    os._exit(0)
"""


def filled(path: Path, end: str) -> None:
    with child(FILL, path, end) as process:
        assert process.wait() == 0


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x40
    path.write_bytes(data)


def test_a_damaged_log_loses_nothing_silently(tmp_path: Path) -> None:
    filled(tmp_path, "die")
    (log,) = tmp_path.glob("*.log")
    flip(log, log.stat().st_size // 2)
    with pytest.raises(StoreError, match="checksum mismatch") as caught:
        store.open(tmp_path)
    assert caught.value.code == "store_damaged"


def test_a_log_with_a_torn_end_opens(tmp_path: Path) -> None:
    filled(tmp_path, "die")
    (log,) = tmp_path.glob("*.log")
    os.truncate(log, log.stat().st_size - 100)
    with contextlib.closing(store.open(tmp_path)) as records:
        assert [key for key, _ in records.scan()] == [b"%04d" % number for number in range(199)]


def test_a_damaged_table_is_found_when_it_is_read(tmp_path: Path) -> None:
    filled(tmp_path, "close")
    table = max(tmp_path.glob("*.sst"), key=lambda path: path.stat().st_size)
    flip(table, table.stat().st_size // 2)
    keys = [b"%04d" % number for number in range(200)]
    with contextlib.closing(store.open(tmp_path)) as records:
        assert code_of(lambda: records.get(keys)) == "store_damaged"
        assert code_of(lambda: list(records.scan())) == "store_damaged"
        readable = 0
        for key in keys:
            with contextlib.suppress(StoreError):
                readable += records.get([key]) != [None]
        assert 190 < readable < 200


@pytest.mark.parametrize("name", ["*.sst", "MANIFEST-*", "CURRENT"])
@pytest.mark.parametrize("fault", ["flipped", "cut", "emptied"])
def test_damaged_files_are_found_on_opening(tmp_path: Path, name: str, fault: str) -> None:
    filled(tmp_path, "close")
    file = max(tmp_path.glob(name), key=lambda path: path.stat().st_size)
    size = file.stat().st_size
    if fault == "flipped":
        flip(file, size - 20 if name == "*.sst" else size // 2)
    else:
        os.truncate(file, size // 2 if fault == "cut" else 0)
    assert code_of(lambda: store.open(tmp_path)) == "store_damaged"


def test_a_disk_that_fails_and_recovers(tmp_path: Path) -> None:
    source = """
        import json, os, sys
        from resource import RLIM_INFINITY, RLIMIT_FSIZE, setrlimit
        from tidegate import store
        from tidegate.errors import StoreError

        keys = [b"%d" % number for number in range(50)]
        records = store.open(sys.argv[1])

        def values():
            return sorted({value[:3].decode() for value in records.get(keys)})

        def commit(text):
            try:
                records.commit([(key, text + os.urandom(1300)) for key in keys])
            except StoreError as error:
                return error.code
            return "done"

        seen = [commit(b"old"), values()]
        # Less than the log already has, so that RocksDB cannot be reopened either.
        setrlimit(RLIMIT_FSIZE, (40_000, RLIM_INFINITY))
        for attempt in range(3):
            seen += [commit(b"bad"), values(), len(list(records.scan()))]
        setrlimit(RLIMIT_FSIZE, (RLIM_INFINITY, RLIM_INFINITY))
        seen += [values(), commit(b"new"), values()]
        records.close()
        records = store.open(sys.argv[1])
        seen += [values(), commit(b"end")]
        print(json.dumps(seen))
    """
    with child(source, tmp_path) as process:
        output, _ = process.communicate()
    failed = ["store_failed", ["old"], 50]
    assert json.loads(output) == (
        ["done", ["old"], *failed * 3, ["old"], "done", ["new"], ["new"], "done"]
    )


BAD_SYNC = """
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

static int bad;
void set_bad(int value) { bad = value; }
int fdatasync(int file) {
    if (bad) { errno = EIO; return -1; }
    return (int)syscall(SYS_fdatasync, file);
}
"""


def test_a_commit_whose_sync_fails_is_taken_back(tmp_path: Path) -> None:
    """The batch is in the log by then: a mere reopening would bring it to life."""
    library = tmp_path / "bad_sync.so"
    compiler = os.environ.get("CC", "cc")
    (tmp_path / "bad_sync.c").write_text(BAD_SYNC)
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", library, "bad_sync.c"], cwd=tmp_path, check=True
    )
    source = """
        import ctypes, json, sys
        from tidegate import store
        from tidegate.errors import StoreError

        bad_sync = ctypes.CDLL(sys.argv[2])
        records = store.open(sys.argv[1])
        records.commit([(b"a", b"old"), (b"b", b"old"), (b"c", b"old")])

        def commit():
            try:
                records.commit([(b"a", b"bad"), (b"new", b"bad")], [b"b"])
            except StoreError as error:
                return error.code

        def values():
            return [value and value.decode() for value in records.get([b"a", b"b", b"c", b"new"])]

        bad_sync.set_bad(1)
        seen = [commit(), values(), commit(), commit()]
        bad_sync.set_bad(0)
        seen += [values()]
        records.commit([(b"c", b"end")])
        records.close()
        records = store.open(sys.argv[1])
        print(json.dumps([*seen, values()]))
    """
    with child(source, tmp_path / "store", library, LD_PRELOAD=str(library)) as process:
        output, _ = process.communicate()
    before, after = ["old", "old", "old", None], ["old", "old", "end", None]
    failed = "store_failed"
    assert json.loads(output) == [failed, before, failed, failed, before, after]


def test_a_scan_goes_on_across_reopening(tmp_path: Path) -> None:
    source = """
        import sys
        from resource import RLIM_INFINITY, RLIMIT_FSIZE, setrlimit
        from tidegate import store
        from tidegate.errors import StoreError

        records = store.open(sys.argv[1])
        records.commit([(b"%04d" % number, bytes(100)) for number in range(1000)])
        scan = records.scan()
        keys = [next(scan)[0]]
        setrlimit(RLIMIT_FSIZE, (1000, RLIM_INFINITY))
        try:
            records.commit([(b"x", bytes(100_000))])
        except StoreError as error:
            print(error.code)
        setrlimit(RLIMIT_FSIZE, (RLIM_INFINITY, RLIM_INFINITY))
        records.commit([(b"y", b"")])
        keys += [key for key, _ in scan]
        print(keys == [b"%04d" % number for number in range(1000)] + [b"y"])
    """
    with child(source, tmp_path) as process:
        output, _ = process.communicate()
    assert output.split() == ["store_failed", "True"]


def test_a_killed_process_loses_no_acknowledged_commit(tmp_path: Path) -> None:
    source = """
        import sys
        from tidegate import store
        records = store.open(sys.argv[1])
        number = 0
        while True:
            number += 1
            text = b"%d" % number
            records.commit([(b"last", text), (b"again", text), (b"n" + text, text + bytes(1300))])
            print(number, flush=True)
    """
    with child(source, tmp_path) as process:
        while (acknowledged := int(line_of(process))) < 100:
            pass
        process.kill()
        while line := line_of(process):  # what it had still said before it died
            acknowledged = int(line)
        process.wait()
    with contextlib.closing(store.open(tmp_path)) as records:
        last, again = records.get([b"last", b"again"])
        assert last is not None
        assert last == again
        found = int(last)
        assert acknowledged <= found <= acknowledged + 1
        keys = [b"n%d" % number for number in range(1, found + 2)]
        expected = [key[1:] + bytes(1300) for key in keys]
        assert records.get(keys) == [*expected[:-1], None]
