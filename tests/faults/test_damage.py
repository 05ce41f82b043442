"""Damaged files: it is said, or nothing that was answered is missing; never an older state."""

from __future__ import annotations

import shutil
from collections import Counter
from contextlib import closing

import pytest
from faults.campaign import BUSY, Campaign
from faults.tally import say

from tidegate import record
from tidegate.errors import StoreError
from tidegate.store import LogStore

REFUSALS = ("store_damaged", "store_version")
"""A number of a format that was changed may be that of a newer tidegate."""


def flip(data, rng, end):
    at = rng.randrange(end)
    return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]


def truncate(data, rng, end):
    return data[: rng.randrange(end)]


def zero(data, rng, end):
    at = rng.randrange(end)
    size = min(4096, end - at)
    return data[:at] + bytes(size) + data[at + size :]


def tear(data, rng, end):
    """What a sector holds that was written only in part: bytes of another place."""
    at, other = rng.randrange(end), rng.randrange(end)
    size = min(512, end - max(at, other))
    return data[:at] + data[other : other + size] + data[at + size :]


@pytest.fixture(scope="module")
def stored(saved_bundle, tmp_path_factory):
    """A store of several starts and segments, closed: it knows to where it was written."""
    folder = tmp_path_factory.mktemp("damage")
    with Campaign(saved_bundle, folder, 20, recorded=False, **BUSY) as run:
        run.start()
        run.load_volume(clients=1, sessions=500, events=200)
        run.progress(1500)
        run.kill()
        run.start()
        run.progress(1500)
        run.passes()
        run.stop()
        run.intact = folder / "intact"
        shutil.copytree(run.store, run.intact)
        run.contents, _ = contents(run)
        yield run


@pytest.fixture
def run(stored):
    shutil.rmtree(stored.store)
    shutil.copytree(stored.intact, stored.store)
    return stored


def segments(run):
    return sorted(run.store.glob("*.log"))


def written(path):
    """How far a segment is written, which was given its size beforehand."""
    data = path.read_bytes()
    return min(len(data.rstrip(b"\0")) + 8, len(data))  # a frame may itself end with zeros


def contents(run):
    """Open the store; return the records that it has, and the keys of those that are damaged."""
    found, damaged = {}, set()
    with closing(LogStore(run.store, segment_size=1 << 20)) as store:
        for key, value in store.scan():
            try:
                record.decode(value) if key.startswith(b"s") else None
            except StoreError:
                damaged.add(key)
            else:
                found[key] = value
    return found, damaged


def judge(run, what):
    """Open the damaged store; say what came of it, or fail if it is silent."""
    run.tally.faults += 1
    try:
        found, damaged = contents(run)
    except StoreError as error:
        return "refused" if error.code in REFUSALS else error.code
    wrong = [
        key for key in run.contents if key not in damaged and found.get(key) != run.contents[key]
    ]
    assert not wrong, f"{what}: {wrong}"
    assert found.keys() <= run.contents.keys(), what
    return "said" if damaged else "unharmed"


def damage(run, path, way, end):
    path.write_bytes(way(path.read_bytes(), run.rng, end))
    return f"{way.__name__} {path.name}"


def restore(run):
    """Put it all back: to open a store changes it."""
    for file in run.store.iterdir():
        file.unlink()
    shutil.copytree(run.intact, run.store, dirs_exist_ok=True)


@pytest.mark.parametrize("way", [flip, truncate, zero, tear])
def test_damaged_segments_are_said(run, way):
    found = Counter()
    for path in segments(run) * 12:  # most of what is written is outdated, and its damage harmless
        what = damage(run, path, way, written(path))
        found[judge(run, what)] += 1
        restore(run)
    say(f"{way.__name__}: {dict(found)}")
    assert found["refused"] + found["said"] > 0
    assert found.keys() <= {"refused", "said", "unharmed"}


def test_damaged_index_files_cost_nothing(run):
    """They are made again from their segments."""
    for way in (flip, truncate, zero, tear, "removed", "another's"):
        files = sorted(run.store.glob("*.idx"))
        assert len(files) > 1
        contents = [path.read_bytes() for path in files]
        for path, other in zip(files, contents[1:] + contents[:1], strict=True):
            if way == "removed":
                path.unlink()
            elif way == "another's":
                path.write_bytes(other)
            else:
                path.write_bytes(way(path.read_bytes(), run.rng, path.stat().st_size))
        assert judge(run, way) == "unharmed"
        restore(run)


def test_a_damaged_list_of_segments_is_said(run):
    for way in (flip, truncate, zero, tear) * 4:
        path = run.store / "CURRENT"
        before = path.read_bytes()
        what = damage(run, path, way, len(before))
        expected = "unharmed" if path.read_bytes() == before else "refused"
        assert judge(run, what) == expected, what
        restore(run)


def test_a_missing_segment_is_said(run):
    for path in segments(run):
        path.unlink()
        assert judge(run, f"without {path.name}") == "refused"
        restore(run)


def test_what_a_crash_leaves_at_the_end_harms_nothing(run):
    newest = segments(run)[-1]
    end = written(newest)
    for tail in (bytes(8192), run.rng.randbytes(3000), newest.read_bytes()[64:3000]):
        with newest.open("r+b") as file:
            file.seek(end)
            file.write(tail)
        assert judge(run, "more at the end") == "unharmed"
        restore(run)


def test_a_server_says_it_too(run):
    for path in run.store.glob("*.idx"):
        path.write_bytes(flip(path.read_bytes(), run.rng, path.stat().st_size))
    run.start()
    run.kill()
    with closing(LogStore(run.store)) as store:
        assert store.stats().frames_indexed > 0  # it has made them again
    path = segments(run)[0]
    path.write_bytes(flip(path.read_bytes(), run.rng, 64))
    assert run.start(ready=False)["code"] in REFUSALS
    assert run.wait_dead() == 5
