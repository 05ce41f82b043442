"""Files and folders on disk: the old or the new, whatever happens in between."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tidegate import files
from tidegate.errors import InputError

OLD = {"a": b"old a", "b": b"old b"}
NEW = {"a": b"new a", "c": b"new c"}

# Forks a process that replaces the folder, and ends it, or lets the system refuse, at its n-th call
# to the file system; then at the next one, until a process gets through.
REPLACE = """
import os, sys
from pathlib import Path
from tidegate import files
from tidegate.errors import InputError

path, how = Path(sys.argv[1]), sys.argv[2]

def disturb(at):
    count = 0
    def hook(event, arguments):
        nonlocal count
        if event == "open" or event.startswith(("os.", "shutil.")):
            count += 1
            if count == at:
                if how == "kill":
                    os._exit(9)
                raise OSError(5, "Input/output error")
    sys.addaudithook(hook)

def read():
    return {file.name: file.read_text() for file in path.iterdir()}

last, statuses = 0, []
files.write_folder(path, {"n": b"0", "old": b"0"})
for at in range(1, 200):
    if not (child := os.fork()):
        disturb(at)
        try:
            files.write_folder(path, {"n": str(at).encode(), "new": str(at).encode()})
        except InputError as error:
            assert error.code == "cannot_write", error
            os._exit(8)
        os._exit(0)
    statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    found = read()
    n = found.pop("n")
    assert n in (str(at), str(last)) and list(found.values()) == [n], (at, found, n)
    last = int(n)
    if how == "kill" and statuses[-1] == 0:
        break
assert set(statuses) == ({0, 9} if how == "kill" else {0, 8}), statuses
print(len(statuses))
"""


def contents(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


@contextmanager
def full_disk(bytes_left: int) -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "folder"
    for wanted in (OLD, NEW):
        files.write_folder(path, wanted)
        assert contents(path) == wanted
        assert [entry.name for entry in path.parent.iterdir()] == ["folder"]


@pytest.mark.parametrize("how", ["kill", "refuse"])
def test_at_no_time_there_is_no_folder(how: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", REPLACE, str(tmp_path / "folder"), how],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10


def test_without_the_exchange_a_failure_moves_the_old_folder_back(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    files.write_folder(path, OLD)
    with pytest.raises(FileNotFoundError):
        files._replace_in_two_moves(tmp_path / "staging" / "folder", path)
    assert contents(path) == OLD
    (tmp_path / "staging").mkdir()
    files.write_folder(tmp_path / "staging" / "folder", NEW)
    files._replace_in_two_moves(tmp_path / "staging" / "folder", path)
    assert contents(path) == NEW
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["folder", "staging"]


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    files.write_folder(tmp_path / "folder", OLD)
    files.write_file(tmp_path / "file", b"old")
    big = bytes(1 << 17)
    with full_disk(1 << 16):
        for write in (
            lambda: files.write_folder(tmp_path / "folder", {"a": big}, "buy a disk"),
            lambda: files.write_file(tmp_path / "file", big),
        ):
            with pytest.raises(InputError, match="File too large") as caught:
                write()
            assert caught.value.code == "cannot_write"
    assert contents(tmp_path / "folder") == OLD
    assert (tmp_path / "file").read_bytes() == b"old"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder"]


def test_a_file_is_no_place_for_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"kept")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError) as caught:
            files.write_folder(path, NEW, "somewhere else")
        error = caught.value
        assert (error.code, error.field, error.hint) == (
            "cannot_write",
            str(path),
            "somewhere else",
        )
    with pytest.raises(InputError, match="cannot_write"):
        files.check_place(tmp_path / "file" / "below" / "deep")
    files.check_place(tmp_path / "new" / "deep")
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"kept"
