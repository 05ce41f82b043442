"""Disks that are full, that fail, and that are slow."""

from __future__ import annotations

import errno
import os
import subprocess
from contextlib import ExitStack, contextmanager

import pytest
from faults.campaign import BUSY
from faults.layer import until
from faults.tally import say


def red(run):
    return run.get("/readyz")[0] == 503


def wait_ready(run):
    until(lambda: run.get("/readyz")[0] == 200, "readiness")


def wait_refused(run):
    before = [client.refused for client in run.clients]
    until(
        lambda: all(c.refused > n for c, n in zip(run.clients, before, strict=True)),
        "each client to be refused",
    )


def recovers(run):
    """After the fault it is ready again by itself, and answers."""
    run.tally.faults += 1
    wait_ready(run)
    run.progress(50)


def survives(run):
    """After the faults: what was answered is there, also when power is lost now."""
    run.kill()
    run.lose_power()
    run.start()
    run.progress(20)
    run.passes()


FAILURES = (
    ("sync", errno.EIO, 1),
    ("sync", errno.EIO, 2),
    ("write", errno.EIO, 1),
    ("write", errno.ENOSPC, 1),
    ("create", errno.EMFILE, 1),
    ("rename", errno.EIO, 1),
)


def test_calls_that_fail(campaign):
    """It recovers by itself each time, in one life of the server."""
    run = campaign(**BUSY)
    run.start()
    run.load_growing()
    for kind, number, calls in FAILURES:
        run.progress(20)
        nth = 2 if kind in {"sync", "write"} else 1  # segments begin seldom
        rule = run.layer.arm(kind, "fail", nth=nth, count=calls, argument=number)
        until(lambda rule=rule, calls=calls: rule.fired == calls, f"{kind} to fail {calls} times")
        recovers(run)
    rule = run.layer.arm("write", "short", nth=2, count=1, argument=7)
    until(lambda: rule.fired > 0, "a short write")
    run.layer.clear()
    recovers(run)
    assert sum(client.refused for client in run.clients) > 0
    survives(run)


def test_of_a_group_that_is_not_synced_nothing_is_answered(campaign):
    run = campaign()
    run.start()
    run.load(clients=4)
    run.progress(50)
    rule = run.layer.fail("sync", nth=1, count=0)
    until(lambda: rule.fired > 0, "a sync to fail")
    until(lambda: red(run), "readiness to go red")
    # From here on nothing can become durable, so nothing new is answered. What had been answered
    # before is on its way still: it has arrived once every client has been refused.
    wait_refused(run)
    answered = run.history.answers_as_new()
    wait_refused(run)
    assert run.history.answers_as_new() == answered
    assert run.get("/healthz")[0] == 200
    run.layer.clear()
    recovers(run)
    survives(run)


def test_a_slow_disk_costs_time_and_nothing_else(campaign):
    run = campaign()
    run.start()
    rule = run.layer.arm("sync", "delay", count=0, argument=30_000_000)
    run.load(clients=8)
    run.progress(200)
    assert rule.fired >= 10
    run.halt()
    assert [(c.refused, c.broken_off) for c in run.clients] == [(0, 0)] * 8
    run.tally.faults += 1
    run.passes()


@contextmanager
def small_disk(path):
    """Mount a disk of 8 MB; None, with the reason printed, where that is not allowed."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(path)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        say(f"no small disk, calls fail with ENOSPC instead: {mounted.stderr.strip()}")
        yield None
        return
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def test_a_full_disk(campaign, tmp_path):
    with ExitStack() as opened:
        disk = opened.enter_context(small_disk(tmp_path / "small"))
        run = campaign(disk=disk)
        run.start()
        run.load()
        run.progress(50)
        ballast = (disk or tmp_path) / "ballast"
        if disk:
            with ballast.open("wb", buffering=0) as file:
                until(lambda: filled(file) and red(run), "a full disk")
        else:
            for kind in ("write", "create", "truncate"):
                run.layer.fail(kind, errno.ENOSPC, count=0)
            until(lambda: red(run), "readiness to go red")
        run.progress(0)
        assert run.get("/healthz")[0] == 200
        run.kill()  # and it must come up on a disk that is full, or say why not
        run.tally.faults += 1
        said = run.start(ready=False)
        if said.get("event") != "ready":
            run.wait_dead()
            assert said["code"].startswith("store_"), said
        else:
            run.kill()
        run.layer.clear()
        ballast.unlink(missing_ok=True)
        run.start()
        run.progress(50)
        run.passes()
        run.stop()


def filled(file):
    """Write until there is no room."""
    with pytest.raises(OSError, match="No space left"):
        fill(file)
    return True


def fill(file):
    while True:
        os.write(file.fileno(), bytes(4096))
