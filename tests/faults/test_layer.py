"""The library of faults and the model of a disk, under small programs that are told what to do."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest
from faults.disk import Disk
from faults.layer import KINDS, Layer


class Bench:
    """Runs Python on a folder under the library."""

    def __init__(self, tmp_path):
        self.layer = Layer(tmp_path / "faults", tmp_path / "disk")
        self.folder = self.layer.prefix
        self.disk = Disk(self.folder, self.layer.recording, 1)

    def run(self, program):
        """Run it in the folder, with `os` there and `f` opened for writing; return its status."""
        beginning = "import os, sys; f = os.open('f', os.O_RDWR | os.O_CREAT)\n"
        done = subprocess.run(
            [sys.executable, "-S", "-c", beginning + program],
            cwd=self.folder,
            env={**os.environ, **self.layer.environment()},
            check=False,
        )
        assert self.layer.attached
        self.differing = self.disk.read()
        return done.returncode

    def left(self, **options):
        """The files and their contents after a loss of power."""
        self.disk.lose_power(**options)
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in files}


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    yield made
    made.layer.close()


SYNC_FOLDER = "d = os.open('.', os.O_RDONLY); os.fsync(d)\n"
CALLS = {
    "write": (
        "os.write(f, b'a'); os.pwrite(f, b'b', 1); os.writev(f, [b'c', b'd']);"
        "os.pwritev(f, [b'e'], 4); os.pwritev(f, [b'f'], 5, os.RWF_DSYNC)",
        5,
    ),
    "sync": ("os.fsync(f); os.fdatasync(f)", 2),
    "dirsync": (SYNC_FOLDER, 1),
    "create": ("os.close(os.open('g', os.O_RDWR | os.O_CREAT))", 2),
    "open": ("os.open('f', os.O_RDONLY); open('f').close()", 2),
    "rename": ("os.rename('f', 'g'); os.replace('g', 'f')", 2),
    "unlink": ("os.unlink('f'); os.mkdir('d'); os.rmdir('d')", 2),
    "truncate": ("os.ftruncate(f, 9); os.truncate('f', 8); os.posix_fallocate(f, 0, 99)", 3),
    "read": ("os.read(f, 1); os.pread(f, 1, 0); os.preadv(f, [bytearray(1)], 0)", 3),
    "mkdir": ("os.mkdir('d'); os.makedirs('e')", 2),
    "send": (
        "import socket; s = socket.create_server(('127.0.0.1', 0))\n"
        "c = socket.create_connection(s.getsockname()); c.send(b'a'); c.sendall(b'b');"
        "c.sendmsg([b'c']); os.write(c.fileno(), b'd'); os.writev(c.fileno(), [b'e', b'f'])\n"
        "a, b = socket.socketpair(); a.send(b'not on the network')",
        5,
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_calls_are_counted_and_recorded(bench, kind):
    program, calls = CALLS[kind]
    assert bench.run(program) == 0
    assert bench.layer.count(kind) == calls
    assert bench.differing == 0


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_program_dies_where_it_is_told_to(bench, kind, after):
    program, calls = CALLS[kind]
    rule = bench.layer.kill(kind, after=after, nth=calls)
    assert bench.run(program + "\nos._exit(0)") == -9
    assert (rule.seen, rule.fired) == (calls, 1)
    assert bench.layer.count(kind) == calls


def test_calls_outside_the_folder_are_left_alone(bench):
    assert bench.run("os.write(os.open('../other', os.O_RDWR | os.O_CREAT), b'one')") == 0
    assert (bench.layer.count("create"), bench.layer.count("write")) == (1, 0)


def test_what_was_synced_stays_and_nothing_else(bench):
    bench.run("os.write(f, b'one'); os.fsync(f);" + SYNC_FOLDER + "os.write(f, b'two')")
    assert (bench.folder / "f").read_bytes() == b"onetwo"
    assert bench.left() == {"f": b"one"}


def test_a_file_whose_folder_was_not_synced_is_gone(bench):
    bench.run("os.write(f, b'one'); os.fsync(f)")
    assert bench.left() == {}


def test_a_name_that_was_changed_unsynced_is_the_old_one(bench):
    bench.run("os.write(f, b'old'); os.fsync(f);" + SYNC_FOLDER)
    bench.run(
        "g = os.open('g', os.O_RDWR | os.O_CREAT); os.write(g, b'new'); os.fsync(g);"
        "os.rename('g', 'f')"
    )
    assert (bench.folder / "f").read_bytes() == b"new"
    assert bench.left() == {"f": b"old"}


def test_a_name_that_was_changed_and_synced_is_the_new_one(bench):
    bench.run(
        "g = os.open('g', os.O_RDWR | os.O_CREAT); os.write(g, b'new'); os.fsync(g);"
        "os.rename('g', 'f');" + SYNC_FOLDER
    )
    assert bench.left() == {"f": b"new"}


def test_a_removed_file_is_back(bench):
    bench.run("os.write(f, b'one'); os.fsync(f);" + SYNC_FOLDER + "os.unlink('f')")
    assert bench.left() == {"f": b"one"}


def test_a_cut_that_was_not_synced_is_undone(bench):
    bench.run("os.write(f, b'one'); os.fsync(f);" + SYNC_FOLDER + "os.ftruncate(f, 1)")
    assert bench.left() == {"f": b"one"}


def test_pages_reach_the_disk_in_any_choice(bench):
    bench.run(SYNC_FOLDER + "os.write(f, b'x' * 4096 * 64)")
    pages = bench.left(partly=True)["f"]
    kinds = {pages[at : at + 4096] for at in range(0, len(pages), 4096)}
    assert kinds == {b"x" * 4096, bytes(4096)}


def test_a_sync_that_is_swallowed_keeps_nothing(bench):
    rule = bench.layer.arm("sync", "swallow", count=0)
    bench.run(SYNC_FOLDER + "os.write(f, b'one'); os.fdatasync(f)")
    assert rule.fired == 1
    assert bench.left() == {"f": b""}


def test_after_a_sync_that_failed_the_next_one_does_not_help(bench):
    rule = bench.layer.fail("sync", errno.EIO)
    bench.run(
        SYNC_FOLDER + "os.write(f, b'one')\n"
        "try: os.fdatasync(f)\n"
        "except OSError as error: assert error.errno == 5\n"
        "else: os._exit(1)\n"
        "os.fdatasync(f); os.pwrite(f, b'two', 3); os.fdatasync(f)"
    )
    assert rule.fired == 1
    assert bench.left()["f"] in (b"onetwo", b"\0\0\0two")  # the page may have got there


def test_a_write_that_is_cut_short(bench):
    rule = bench.layer.arm("write", "short", argument=2)
    assert bench.run("sys.exit(os.writev(f, [b'o', b'ne']))") == 2
    assert rule.fired == 1
    assert (bench.folder / "f").read_bytes() == b"on"


def test_what_goes_past_the_library_is_noticed(bench):
    bench.run("os.ftruncate(f, 4096); import mmap\nwith mmap.mmap(f, 4096) as m: m[0] = 1")
    assert bench.differing == 1


def test_what_one_process_left_unsynced_a_later_one_can_lose(bench):
    bench.run(SYNC_FOLDER + "os.write(f, b'one')")
    bench.run("os.lseek(f, 0, 2); os.write(f, b'two')")
    assert bench.left() == {"f": b""}
