"""Kills at random and at each point where it matters, with and without a loss of power."""

from __future__ import annotations

from faults.campaign import BUSY
from faults.tally import say

POINTS = ("write", "sync", "send")
"""What a server that is busy does all the time."""


def test_random_kills(campaign):
    run = campaign(**BUSY)
    run.start()
    run.load()
    for _ in range(3):
        run.progress(run.rng.randint(20, 200))
        run.kill()
        run.start()
    run.progress(50)
    run.passes()


def test_kills_at_each_point(campaign):
    run = campaign(**BUSY)
    run.start()
    run.load()
    for kind in POINTS:
        for after in (False, True):
            run.progress(30)
            run.die_at(kind, after=after, nth=run.rng.randint(1, 20))
            run.lose_power(partly=run.rng.random() < 0.5)
            run.start()
    run.progress(30)
    run.passes()


def test_kills_in_recovery(campaign):
    run = campaign(**BUSY)
    run.start()
    run.load()
    run.progress(100)
    run.kill()
    run.start()
    run.progress(50)
    say(f"calls of a start: {run.usual}")
    for kind in run.rng.sample(sorted(kind for kind, n in run.usual.items() if n), 4):
        run.kill()
        run.die_in_recovery(kind)
        if run.rng.random() < 0.7:
            run.lose_power(partly=run.rng.random() < 0.5)
        run.start()
        run.progress(20)
    run.passes()


def test_the_recording_misses_nothing(campaign):
    """What the library saw is what the files hold: no call went past it."""
    run = campaign(**BUSY)
    run.start()
    run.load()
    run.progress(200)
    run.passes()
    run.stop()
    assert run.unrecorded == 0
