"""Liveness: simulated time for the rules, a real stuck loop for the stack dump."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import tidegate
from tidegate.serve.health import Watch


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_what_has_nothing_to_do_is_never_stuck(clock):
    watch = Watch(clock)
    pulse = watch.expect("engine", 5.0)
    clock.now += 1000.0
    assert watch.stuck() == []
    pulse.begin()
    clock.now += 4.0
    pulse.rest()
    clock.now += 1000.0
    assert watch.stuck() == []


def test_only_a_beat_is_a_sign_of_life(clock):
    watch = Watch(clock)
    pulse = watch.expect("committer", 5.0)
    pulse.begin()
    clock.now += 4.0
    pulse.begin()  # more to do says nothing of what is being done
    clock.now += 1.5
    assert watch.stuck() == ["committer"]
    pulse.beat()
    assert watch.stuck() == []
    clock.now += 5.0
    assert watch.stuck() == []
    clock.now += 0.1
    assert watch.stuck() == ["committer"]


def test_each_has_its_own_time(clock):
    watch = Watch(clock)
    watch.expect("loop", 2.0).beat()
    watch.expect("engine", 4.0).begin()
    watch.expect("committer", 8.0).begin()
    found = []
    for _ in range(5):
        found.append(watch.stuck())
        clock.now += 2.5
    everything = ["loop", "engine", "committer"]
    assert found == [[], ["loop"], ["loop", "engine"], ["loop", "engine"], everything]


# The loop's thread holds the interpreter's lock while it is stuck: nothing in Python could tell.
STUCK_LOOP = """
import asyncio, ctypes, time
from tidegate.serve.health import Watch, keep_watch

async def main():
    watching = asyncio.create_task(keep_watch(Watch(), every=0.01, within=0.2))
    await asyncio.sleep(0.05)
    stand_still()
    watching.cancel()

def stand_still():
    ctypes.PyDLL(None).usleep(600_000)

asyncio.run(main())
"""

STUCK_ENGINE = """
import asyncio, logging
from tidegate.serve.health import Watch, keep_watch

logging.basicConfig(format="%(message)s")

class Told(logging.Handler):
    def emit(self, record):
        told.set()

async def main():
    global told
    told = asyncio.Event()
    logging.getLogger("tidegate").addHandler(Told())
    watch = Watch()
    engine = watch.expect("engine", 0.02)
    engine.begin()
    watching = asyncio.create_task(keep_watch(watch, every=0.01))
    await told.wait()
    told.clear()
    engine.rest()
    await told.wait()
    watching.cancel()

asyncio.run(main())
"""


def errors_of(program):
    path = str(Path(tidegate.__path__[0]).parent)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stderr


def test_a_stuck_loop_has_its_stack_written_by_a_thread_that_needs_no_lock():
    errors = errors_of(STUCK_LOOP)
    assert errors.startswith("Timeout (0:00:00.200000)!")
    assert "in stand_still" in errors
    assert errors.count("Timeout") == 1


def test_a_stuck_engine_is_told_once_with_all_stacks_and_so_is_its_return():
    errors = errors_of(STUCK_ENGINE)
    assert errors.startswith("stuck: engine\n")
    assert "in keep_watch" in errors
    assert errors.endswith("goes on again: engine\n")
    assert errors.count("stuck: ") == 1
