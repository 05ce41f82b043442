"""What a log does when its disk fails, and when its process is killed."""

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
from logs import contents

from tidegate import store
from tidegate.errors import InputError, StoreError
from tidegate.store import LogStore

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
    if "LD_PRELOAD" in os.environ and "LD_PRELOAD" in environment:
        # A sanitizer's library has to be the first.
        environ["LD_PRELOAD"] = f"{os.environ['LD_PRELOAD']}:{environment['LD_PRELOAD']}"
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


# Who may open it


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


def test_a_store_of_the_time_of_rocksdb_is_left_alone(tmp_path: Path) -> None:
    names = ["000008.log", "CURRENT", "IDENTITY", "LOCK", "MANIFEST-000005", "tidegate.lock"]
    for name in names:
        (tmp_path / name).write_text("MANIFEST-000005\n")
    with pytest.raises(StoreError, match="RocksDB") as caught:
        store.open(tmp_path)
    assert caught.value.code == "store_foreign"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == names


# When the disk fails

FAIL = """
    import json, os, sys
    from pathlib import Path
    from tidegate.store import LogStore
    from tidegate.errors import StoreError

    keys = [b"%d" % number for number in range(50)]
    sync = sys.argv[3] if len(sys.argv) > 3 else "every"
    records = LogStore(Path(sys.argv[1]), segment_size=1 << 18, sync=sync, sync_ms=1)

    def values(records):
        return sorted({value[:3].decode() for value in records.get(keys)})

    def commit(text, size=1300):
        try:
            records.commit([(key, text + os.urandom(size)) for key in keys])
        except StoreError as error:
            return error.code
        return "done"
"""


@pytest.mark.parametrize("sync", ["every", "interval"])
def test_a_disk_that_is_full_and_has_room_again(tmp_path: Path, sync: str) -> None:
    source = (
        FAIL
        + """
    from resource import RLIM_INFINITY, RLIMIT_FSIZE, setrlimit
    seen = [commit(b"old"), values(records)]
    setrlimit(RLIMIT_FSIZE, (100_000, RLIM_INFINITY))
    for attempt in range(3):
        seen += [commit(b"bad", 2000), values(records), len(list(records.scan())), records.failed]
    setrlimit(RLIMIT_FSIZE, (RLIM_INFINITY, RLIM_INFINITY))
    seen += [values(records), commit(b"new"), values(records), records.failed]
    records.close()
    records = LogStore(Path(sys.argv[1]))
    seen += [values(records), commit(b"end")]
    records.close()
    print(json.dumps(seen))
    """
    )
    with child(source, tmp_path / "store", "", sync) as process:
        output, _ = process.communicate()
    failed = ["store_failed", ["old"], 50, True]
    assert json.loads(output) == (
        ["done", ["old"], *failed * 3, ["old"], "done", ["new"], False, ["new"], "done"]
    )


BAD_SYNC = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static volatile int bad;
void set_bad(int value) { bad = value; }
int fdatasync(int file) {
    if (bad) { errno = EIO; return -1; }
    return (int)syscall(SYS_fdatasync, file);
}

static volatile int folder_syncs_left = -1;
void set_folder_syncs_left(int value) { folder_syncs_left = value; }
int fsync(int file) {
    if (folder_syncs_left == 0) { errno = EIO; return -1; }
    if (folder_syncs_left > 0) folder_syncs_left--;
    return (int)syscall(SYS_fsync, file);
}

static const char *spare; /* as long as there is this file, the disk is full */
void set_full_with(const char *path) { spare = path; }
static int is_full(void) {
    if (!spare || access(spare, F_OK)) return 0;
    errno = ENOSPC;
    return 1;
}
int fallocate(int file, int mode, off_t offset, off_t size) {
    int (*next)(int, int, off_t, off_t) = dlsym(RTLD_NEXT, "fallocate");
    return is_full() ? -1 : next(file, mode, offset, size);
}
ssize_t pwritev(int file, const struct iovec *parts, int n, off_t offset) {
    ssize_t (*next)(int, const struct iovec *, int, off_t) = dlsym(RTLD_NEXT, "pwritev");
    return is_full() ? -1 : next(file, parts, n, offset);
}

static volatile int slow;
void set_slow_removal(int value) { slow = value; }
int unlinkat(int folder, const char *name, int flags) {
    int (*next)(int, const char *, int) = dlsym(RTLD_NEXT, "unlinkat");
    if (slow && strstr(name, ".log")) usleep(100000);
    return next(folder, name, flags);
}
"""


@pytest.fixture(scope="module")
def bad_sync(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a library whose syncs and writes fail when told to."""
    folder = tmp_path_factory.mktemp("library")
    (folder / "bad_sync.c").write_text(BAD_SYNC)
    library = folder / "bad_sync.so"
    compiler = os.environ.get("CC", "cc")
    command = [compiler, "-shared", "-fPIC", "-o", library, "bad_sync.c"]
    subprocess.run(command, cwd=folder, check=True)
    return library


@pytest.mark.parametrize("end", ["close", "kill"])
def test_a_commit_whose_sync_fails_is_void(tmp_path: Path, bad_sync: Path, end: str) -> None:
    """The frames are in the file by then: nobody may ever see them."""
    source = (
        FAIL
        + """
    import ctypes
    library = ctypes.CDLL(sys.argv[2])
    seen = [commit(b"old")]
    library.set_bad(1)
    seen += [commit(b"bad"), values(records), commit(b"bad"), records.recover(), records.failed]
    library.set_bad(0)
    seen += [records.recover(), values(records), records.failed]
    if sys.argv[4] == "close":
        records.close()
    print(json.dumps(seen), flush=True)
    os._exit(0)
    """
    )
    path = tmp_path / "store"
    with child(source, path, bad_sync, "every", end, LD_PRELOAD=str(bad_sync)) as process:
        output, _ = process.communicate()
    failed = "store_failed"
    assert json.loads(output) == (
        ["done", failed, ["old"], failed, False, True, True, ["old"], False]
    )
    assert {value[:3] for value in contents(path).values()} == {b"old"}


def test_an_interval_whose_sync_fails_loses_no_more(tmp_path: Path, bad_sync: Path) -> None:
    """Values that were done but not synced are gone, for this process as for the next."""
    source = (
        FAIL
        + """
    import ctypes
    library = ctypes.CDLL(sys.argv[2])
    seen = [commit(b"old")]
    records.cut()  # which syncs
    library.set_bad(1)
    commit(b"bad")
    while not records.failed:
        pass
    library.set_bad(0)
    seen += [records.recover(), values(records), commit(b"new"), values(records)]
    records.close()
    records = LogStore(Path(sys.argv[1]))
    seen += [values(records)]
    print(json.dumps(seen), flush=True)
    records.close()
    """
    )
    with child(
        source, tmp_path / "store", bad_sync, "interval", LD_PRELOAD=str(bad_sync)
    ) as process:
        output, _ = process.communicate()
    assert json.loads(output) == ["done", True, ["old"], "done", ["new"], ["new"]]


def test_a_failed_sync_takes_back_what_was_done(tmp_path: Path, bad_sync: Path) -> None:
    """What is read and what is done agree from the moment that the failure is known."""
    source = (
        FAIL
        + """
    import ctypes
    library = ctypes.CDLL(sys.argv[2])
    def look():
        done, failed, _ = records.progress()
        seen.append([done, records.synced, failed, values(records)])
    seen = [commit(b"old")]
    records.cut()  # which syncs
    look()
    library.set_bad(1)
    commit(b"bad")
    while not records.failed:
        pass
    look()
    library.set_bad(0)
    records.recover()
    look()
    try:
        records.wait(2)
    except StoreError as error:
        seen.append(error.code)
    seen.append(commit(b"new"))
    records.cut()
    look()
    print(json.dumps(seen), flush=True)
    records.close()
    """
    )
    with child(
        source, tmp_path / "store", bad_sync, "interval", LD_PRELOAD=str(bad_sync)
    ) as process:
        output, _ = process.communicate()
    assert json.loads(output) == [
        "done",
        [1, 1, False, ["old"]],
        [1, 1, True, ["old"]],
        [1, 1, False, ["old"]],
        "store_failed",
        "done",
        [3, 3, False, ["new"]],
    ]


def test_a_segment_that_is_full_is_safe_from_a_later_failure(
    tmp_path: Path, bad_sync: Path
) -> None:
    source = (
        FAIL
        + """
    import ctypes
    library = ctypes.CDLL(sys.argv[2])
    records.close()
    records = LogStore(
        Path(sys.argv[1]), segment_size=1 << 18, sync="interval", sync_ms=1_000_000
    )
    seen = [commit(b"old", 3000), records.synced]
    seen += [commit(b"bad", 3000), records.synced]  # in a new segment, after a sync of the first
    library.set_bad(1)
    try:
        records.cut()
    except StoreError as error:
        seen.append(error.code)
    seen += [*records.progress()[:2], values(records)]
    print(json.dumps(seen), flush=True)
    os._exit(0)
    """
    )
    with child(source, tmp_path / "store", bad_sync, LD_PRELOAD=str(bad_sync)) as process:
        output, _ = process.communicate()
    assert json.loads(output) == ["done", 0, "done", 1, "store_failed", 1, True, ["old"]]


def test_closing_tells_what_was_lost(tmp_path: Path, bad_sync: Path) -> None:
    source = (
        FAIL
        + """
    import ctypes
    library = ctypes.CDLL(sys.argv[2])
    commit(b"old")
    library.set_bad(1)
    try:
        records.close()
    except StoreError as error:
        print(error.code)
    records.close()
    """
    )
    with child(source, tmp_path / "store", bad_sync, LD_PRELOAD=str(bad_sync)) as process:
        output, _ = process.communicate()
    assert output.strip() == "store_failed"
    assert {value[:3] for value in contents(tmp_path / "store").values()} == {b"old"}


def test_tickets_that_a_failure_dropped_are_never_done(tmp_path: Path, bad_sync: Path) -> None:
    source = (
        FAIL
        + """
    import ctypes, select
    from tidegate import core
    library = ctypes.CDLL(sys.argv[2])
    group = core.Group()
    def append(text):
        group.add(b"a", text)
        return records.append(group)
    records.wait(append(b"old"))
    library.set_bad(1)
    lost = append(b"bad")
    while not records.progress()[1]:
        select.select([records], [], [])
    seen = [records.progress()[0] < lost, records.queued_bytes]
    try:
        append(b"bad")
    except StoreError as error:
        seen.append(error.code)
    group.clear()
    library.set_bad(0)
    records.recover()
    done = append(b"new")
    records.wait(done)
    for ticket in (lost, done):
        try:
            records.wait(ticket)
            seen.append("done")
        except StoreError as error:
            seen.append(error.code)
    print(json.dumps(seen))
    records.close()
    """
    )
    with child(source, tmp_path / "store", bad_sync, LD_PRELOAD=str(bad_sync)) as process:
        output, _ = process.communicate()
    assert json.loads(output) == [True, 0, "store_failed", "store_failed", "done"]


@pytest.mark.parametrize("kept", ["old", "new"])
def test_a_folder_whose_sync_fails_may_have_the_old_current(
    tmp_path: Path, bad_sync: Path, kept: str
) -> None:
    """Nobody knows which CURRENT a loss of power leaves then: the store opens with each."""
    source = (
        FAIL
        + """
    import ctypes
    library = ctypes.CDLL(sys.argv[2])
    seen = [commit(b"old")]
    current = Path(sys.argv[1], "CURRENT")
    old = current.read_bytes()
    library.set_folder_syncs_left(1)  # that of the new segment, not that of CURRENT
    try:
        records.cut()
    except StoreError as error:
        seen += [error.code, current.read_bytes() != old]
    if sys.argv[4] == "old":
        current.write_bytes(old)
    print(json.dumps(seen), flush=True)
    os._exit(0)
    """
    )
    path = tmp_path / "store"
    with child(source, path, bad_sync, "every", kept, LD_PRELOAD=str(bad_sync)) as process:
        output, _ = process.communicate()
    assert json.loads(output) == ["done", "store_failed", True]
    assert {value[:3] for value in contents(path).values()} == {b"old"}


def test_a_killed_process_on_a_full_disk_opens_again(tmp_path: Path, bad_sync: Path) -> None:
    """With the room that was taken in advance for this."""
    source = (
        """
    import ctypes, os, sys
    spare = os.path.join(sys.argv[1], "spare").encode()
    if sys.argv[4] == "close":
        ctypes.CDLL(sys.argv[2]).set_full_with(spare)
    """
        + FAIL
        + """
    if sys.argv[4] == "kill":
        print(commit(b"old"), flush=True)
        os._exit(0)
    print(values(records), os.path.exists(spare), commit(b"new"), values(records))
    records.close()
    """
    )
    path = tmp_path / "store"
    printed = ["done", "['old'] False done ['new']"]
    for end, expected in zip(["kill", "close"], printed, strict=True):
        with child(source, path, bad_sync, "every", end, LD_PRELOAD=str(bad_sync)) as process:
            output, _ = process.communicate()
        assert output.strip() == expected
    assert {value[:3] for value in contents(path).values()} == {b"new"}


FULL = (
    FAIL
    + """
    import ctypes
    library = ctypes.CDLL(sys.argv[2])
    folder = Path(sys.argv[1])
    name = ctypes.create_string_buffer(1000)

    def full_with(path):
        name.value = os.fsencode(path)
        library.set_full_with(name)
"""
)


def test_a_full_disk_without_a_spare_file_gives_up_index_files(
    tmp_path: Path, bad_sync: Path
) -> None:
    """They can be made again; without their room nothing could be cut, and so nothing written."""
    source = (
        FULL
        + """
    full_with(folder / "spare")
    seen = [commit(b"old"), commit(b"new")]
    while not (indexed := sorted(folder.glob("*.idx"))):
        commit(b"new")
    seen.append((folder / "spare").exists())
    full_with(indexed[0])
    seen += [commit(b"bad"), values(records), commit(b"end"), values(records)]
    seen.append(len([*folder.glob("*.idx")]))
    records.close()
    print(json.dumps(seen))
    """
    )
    path = tmp_path / "store"
    with child(source, path, bad_sync, LD_PRELOAD=str(bad_sync)) as process:
        output, _ = process.communicate()
    opened = ["store_failed", "done", False]
    assert json.loads(output) == [*opened, "store_failed", ["new"], "done", ["end"], 0]
    assert {value[:3] for value in contents(path).values()} == {b"end"}


def test_a_full_disk_has_the_room_of_what_is_being_removed(tmp_path: Path, bad_sync: Path) -> None:
    """However slow that is: a commit that could have had it is not refused."""
    source = (
        FULL
        + """
    library.set_slow_removal(1)
    seen = [commit(b"old"), commit(b"new")]
    records.cut()
    full_with(folder / "0000000000000001.log")
    seen += [commit(b"bad"), commit(b"end"), values(records)]
    records.close()
    print(json.dumps(seen))
    """
    )
    path = tmp_path / "store"
    with child(source, path, bad_sync, LD_PRELOAD=str(bad_sync)) as process:
        output, _ = process.communicate()
    assert json.loads(output) == ["done", "done", "store_failed", "done", ["end"]]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a disk of 3 MB, which only root can have; else one that another limit stands for."""
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", tmp_path]
    mounted = subprocess.run(command, check=False, capture_output=True).returncode == 0
    yield tmp_path
    if mounted:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_disk_full_of_outdated_values_gets_room_again(small_disk: Path) -> None:
    """What others took of it is gone, what is current stays, and cutting finds room to copy to."""
    values = {}
    is_small = os.path.ismount(small_disk)
    with contextlib.closing(
        LogStore(small_disk / "store", segment_size=1 << 18, space=100.0)
    ) as records:
        failures = in_a_row = longest = 0
        for number in range(8000):
            if number == 2000 and is_small:
                with contextlib.suppress(OSError), (small_disk / "others").open("wb", 0) as file:
                    while file.write(bytes(4096)):
                        pass
            puts = {b"%d" % (number % 300): b"%d" % number * 100}
            try:
                records.commit([*puts.items()])
                values.update(puts)
                in_a_row = 0
            except StoreError:
                failures += 1
                in_a_row += 1
                longest = max(longest, in_a_row)
        assert 0 < failures < 50 if is_small else not failures
        assert longest <= 2
        assert dict(records.scan()) == values
    assert contents(small_disk / "store") == values


# When the process dies


@pytest.mark.parametrize("segment_size", [1 << 14, 1 << 26])
def test_a_killed_process_loses_no_acknowledged_commit(tmp_path: Path, segment_size: int) -> None:
    source = """
        import sys
        from pathlib import Path
        from tidegate.store import LogStore
        records = LogStore(Path(sys.argv[1]), segment_size=int(sys.argv[2]))
        number = 0
        while True:
            number += 1
            text = b"%d" % number
            records.commit([(b"last", text), (b"again", text), (b"n" + text, text + bytes(1300))])
            print(number, flush=True)
    """
    with child(source, tmp_path, segment_size) as process:
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
