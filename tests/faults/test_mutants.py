"""The suite fails where it must: against servers that break a promise."""

from __future__ import annotations

import pytest
from faults.layer import until
from faults.mutants import MUTANTS, Mutant, patched
from faults.tally import Tally

NONE = Mutant("nothing", frozenset())


@pytest.fixture(params=[NONE, *MUTANTS], ids=lambda mutant: mutant.name.replace(" ", "-"))
def mutant(request):
    return request.param


def test_each_mutant_is_found(campaign, mutant, tmp_path):
    source = patched(mutant.patches, tmp_path / "source") if mutant.patches else None
    run = campaign(source=source, tally=Tally(), segment_mb=1, kept_answers=200)
    run.start()
    # Nothing but new events, so that whatever is sent is an answer to one.
    run.load(clients=3, sessions=2, mischief=0.0, lives=0.0, transports=("lines", "socket"))
    run.progress(50)
    # What is there by now is durable in any case, so that little things are missed as well.
    rule = mutant.arm(run.layer) if mutant.arm else None
    run.progress(50)
    if rule is not None:
        until(lambda: rule.fired > 0, "the mutant's rule to act")
    for _ in range(mutant.deaths):
        if any(client.at_a_loss for client in run.clients):
            break  # It shows; and when no session can go on, nothing is sent that it could die at.
        if not die(run, answered=mutant.answered):
            assert "refused" in mutant.found, run.said
            return
    report = run.verdict()
    found = set(report.counts())
    assert found & mutant.found if mutant is not NONE else not found, str(report)


def die(run, *, answered):
    """Die where most is at stake, just before an answer leaves or just after, and begin again.

    Returns whether the server takes what is left of its store.
    """
    slow = run.layer.arm("sync", "delay", count=0, argument=20_000_000)
    run.progress(30)
    run.layer.kill("send", after=answered, nth=5)
    assert run.wait_dead() == -9
    assert slow.seen > 0
    run.layer.clear()
    run.lose_power()
    if run.start(ready=False).get("event") != "ready":
        run.wait_dead()
        return False
    run.progress(50)
    return True
