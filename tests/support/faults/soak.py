"""The long form: kills and faults by the hundred, events by the million, and the figures.

    PYTHONPATH=tests/support python -m faults.soak [--kills 100] [--events 1000000] [--seed N]

Rounds until both are reached. In each the server is started, clients keep it busy, a fault may
come, it is killed (at random, at a point, in recovery), and power may be lost. After ten rounds
every session is looked at, the history is judged, and a new store and a new history begin.
"""

from __future__ import annotations

import argparse
import errno
import importlib.util
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from faults.campaign import BUSY, Campaign
from faults.layer import until
from faults.tally import TALLY, say
from tidegate import bundle as bundles

__all__ = ["main"]

_ROUNDS = 10


def main(arguments: list[str] | None = None) -> int:
    """Run; return 0 if nothing was lost, doubled or answered wrongly."""
    parser = argparse.ArgumentParser(description="Kills, faults and events, until it is enough.")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("--clients", type=int, default=3)
    parser.add_argument("--sessions", type=int, default=64, help="of each client")
    given = parser.parse_args(arguments)
    began = time.monotonic()
    rng = random.Random(given.seed)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        bundle = _bundle(Path(folder) / "small")
        number = 0
        while TALLY.kills < given.kills or TALLY.events < given.events:
            left = max(given.events - TALLY.events, 0)
            part = max(min(left, given.events // 10), 1000)
            _campaign(bundle, Path(folder) / f"campaign-{number}", rng, part, given)
            number += 1
            say(f"{time.monotonic() - began:7.1f} s  {TALLY}")
    say(f"soak: seed {given.seed}: {TALLY}")
    return int(bool(TALLY.lost or TALLY.doubled or TALLY.mismatches))


def _campaign(
    bundle: Path, folder: Path, rng: random.Random, events: int, given: argparse.Namespace
) -> None:
    settings = {**BUSY, "cached_sessions": rng.choice([4, 100, 100_000])}
    with Campaign(bundle, folder, rng.getrandbits(32), **settings) as run:
        run.start()
        for _ in range(given.clients):
            run.load(clients=1, sessions=given.sessions, most=given.sessions, mischief=0.05)
        for _ in range(_ROUNDS):
            run.progress(max(events // _ROUNDS, 50), seconds=600)
            rng.choice(_ENDS)(run, rng)
            if rng.random() < 0.6:
                run.lose_power(partly=rng.random() < 0.5)
            run.layer.clear()
            run.start()
        run.progress(50)
        report = run.verdict()
        run.check_clients()
        if report.breaks:
            say(str(report))
        run.kill()


def _at_random(run: Campaign, rng: random.Random) -> None:
    del rng
    run.kill()


def _at_a_point(run: Campaign, rng: random.Random) -> None:
    kind = rng.choice(["write", "sync", "send"])
    run.die_at(kind, after=rng.random() < 0.5, nth=rng.randint(1, 50))


def _in_recovery(run: Campaign, rng: random.Random) -> None:
    run.kill()
    run.die_in_recovery(rng.choice(sorted(kind for kind, n in run.usual.items() if n)))


def _after_a_failure(run: Campaign, rng: random.Random) -> None:
    kind = rng.choice(["write", "sync"])
    number = rng.choice([errno.EIO, errno.ENOSPC])
    rule = run.layer.fail(kind, number, nth=rng.randint(1, 50), count=rng.randint(1, 5))
    until(lambda: rule.fired > 0, f"{kind} to fail")
    run.tally.faults += 1
    if rng.random() < 0.5:
        until(lambda: run.get("/readyz")[0] == 200, "readiness")
        run.progress(50)
    run.kill()


def _after_a_short_write(run: Campaign, rng: random.Random) -> None:
    rule = run.layer.arm("write", "short", nth=rng.randint(1, 50), argument=rng.randint(0, 300))
    until(lambda: rule.fired > 0, "a short write")
    run.tally.faults += 1
    run.kill()


def _while_the_disk_is_slow(run: Campaign, rng: random.Random) -> None:
    run.layer.arm("sync", "delay", count=0, argument=rng.randint(1, 50) * 1_000_000)
    run.progress(50)
    run.tally.faults += 1
    run.kill()


_ENDS: tuple[Callable[[Campaign, random.Random], None], ...] = (
    _at_random,
    _at_random,
    _at_a_point,
    _at_a_point,
    _in_recovery,
    _after_a_failure,
    _after_a_short_write,
    _while_the_disk_is_slow,
)


def _bundle(path: Path) -> Path:
    """Save the small bundle of the tests."""
    file = Path(__file__).parents[2] / "conftest.py"
    spec = importlib.util.spec_from_file_location("tests_conftest", file)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    bundles.save(module.small_bundle(), path)
    return path


if __name__ == "__main__":
    sys.exit(main())
