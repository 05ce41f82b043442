"""Damaged files: it is said, or nothing that was answered is missing; never an older state."""

from __future__ import annotations

import shutil

import pytest
from faults.campaign import BUSY
from faults.history import check
from faults.tally import say

from tidegate import bundle as bundles


def files_of(run):
    """The store's files with something in them, the largest first."""
    files = [path for path in run.store.rglob("*") if path.is_file() and path.stat().st_size > 0]
    files = [path for path in files if not path.name.startswith(("LOG", "OPTIONS"))]  # of RocksDB
    return sorted(files, key=lambda path: (-path.stat().st_size, path.name))


def head(files):
    """The file that commits are added to, in either layout: the last of the logs."""
    return max((path for path in files if path.suffix == ".log"), key=lambda path: path.name)


def written(path):
    """How far a file is written, if it was given its size beforehand."""
    data = path.read_bytes()
    end = len(data.rstrip(b"\0")) + 64  # what was written may itself end with zeros
    return min(end, len(data))


def flip(path, rng, end):
    at = rng.randrange(max(end, 1))
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ (1 << rng.randrange(8))]))
    return f"a bit at {at} of {path.stat().st_size} of {path.name}"


def truncate(path, rng, end):
    size = rng.randrange(max(end, 1))
    with path.open("r+b") as file:
        file.truncate(size)
    return f"{path.name} cut to {size}"


def zero(path, rng, end):
    at = rng.randrange(max(end, 1))
    with path.open("r+b") as file:
        file.seek(at)
        file.write(bytes(min(4096, end - at)))
    return f"zeros from {at} of {path.name}"


@pytest.fixture
def stored(campaign):
    """A store of several starts, its server dead; and what it had answered."""
    run = campaign(recorded=False, **BUSY)
    run.start()
    run.load(clients=3, sessions=6)
    run.progress(150)
    run.kill()
    run.start()
    run.progress(100)
    run.halt()
    run.kill()
    run.intact = run.layer.prefix.parent / "intact"
    shutil.copytree(run.store, run.intact)
    return run


def restore(run):
    shutil.rmtree(run.store)
    shutil.copytree(run.intact, run.store)


def judge(run, what):
    """Start on the damaged store; say what came of it, or fail if it is silent."""
    run.tally.faults += 1
    if run.start(ready=False).get("event") != "ready":
        run.wait_dead()
        assert run.said["code"].startswith("store_"), (what, run.said)
        return "refused"
    final, damaged = {}, set()
    for session in sorted({attempt.session for attempt in run.history.attempts}):
        status, body = run.get(f"/v1/models/small/sessions/{session}")
        if status == 500:
            assert body["error"]["code"] == "record_damaged", (what, body)
            damaged.add(session)
        else:
            final[session] = body["seq"] if status == 200 else 0
    attempts = [a for a in run.history.attempts if a.session not in damaged]
    report = check(attempts, bundles.load(run.bundle), final)
    assert not report.breaks, f"{what}: {report}"
    run.kill()
    return "said" if damaged else "unharmed"


def test_damage_is_said(stored):
    run = stored
    files = files_of(run)
    log = head(files)
    outcomes = []
    for number in range(6):
        restore(run)
        path = files[number % min(len(files), 5)]
        size = written(path)
        # What the end of the log's last file says cannot be told from what a crash leaves there.
        end = size // 2 if path == log else size
        ways = [flip, zero] if path == log else [flip, zero, truncate]
        what = run.rng.choice(ways)(path, run.rng, end)
        outcomes.append((judge(run, what), what))
        say(": ".join(outcomes[-1]))
    for tail in (bytes(8192), run.rng.randbytes(3000)):  # what a crash leaves harms nothing
        restore(run)
        end = written(log)
        with log.open("r+b") as file:
            file.seek(end)
            file.write(tail)
        assert judge(run, "more at the end of the log") == "unharmed"
    run.tally.events += run.history.acknowledged
    assert any(outcome != "unharmed" for outcome, _ in outcomes)
