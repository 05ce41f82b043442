"""Kills at random and at each point where it matters, with and without a loss of power."""

from __future__ import annotations

from faults.campaign import BUSY, POINTS
from faults.tally import say

SIDES = {
    ("write", "*.log"): (False,),
    ("sync", "*.log"): (False,),
    ("send", "*"): (False, True),
    ("unlink", "*.log"): (False, True),
    ("rename", "CURRENT"): (False, True),
}
"""Before, or after: after one call is mostly before another. The soak has both of each."""
OFTEN = {("write", "*.log"), ("sync", "*.log"), ("send", "*"), ("read", "*.log")}
"""Calls of every few events; the others are of a segment that is begun or cut away."""


def test_kills_at_each_point(campaign):
    run = campaign(**BUSY)
    run.start()
    run.load_growing()
    points = [(*point, side) for point in POINTS for side in SIDES.get(point, (True,))]
    for kind, name, after in run.rng.sample(points, len(points)):
        run.progress(run.rng.randint(1, 40))
        nth = run.rng.randint(1, 3) if (kind, name) in OFTEN else 1
        run.die_at(kind, after=after, name=name, nth=nth)
        loss = run.rng.choice(["none", "whole", "partly"])
        say(f"died {'after' if after else 'before'} {kind} {name}; power lost: {loss}")
        if loss != "none":
            run.lose_power(partly=loss == "partly")
        run.start()
    run.progress(200)
    run.kill()
    run.start()
    run.passes()
    run.stop()
    # What the library saw is what the files hold: no call went past it.
    assert run.unrecorded == 0


def test_kills_in_recovery(campaign):
    run = campaign(**BUSY)
    run.start()
    run.load_growing()
    run.progress(400)
    run.kill()
    run.start()
    run.progress(50)
    say(f"calls of a start: {run.usual}")
    usual = sorted(kind for kind, n in run.usual.items() if n)
    for kind in run.rng.sample(usual, 3):
        run.kill()
        run.die_in_recovery(kind)
        if run.rng.random() < 0.7:
            run.lose_power(partly=run.rng.random() < 0.5)
        run.start()
        run.progress(20)
    run.passes()
