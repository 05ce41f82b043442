"""The long form: kills and faults by the hundred, events by the million, and the figures.

    PYTHONPATH=tests/support python -m faults.soak [--kills 100] [--events 1000000] [--seed N]
        [--crowd-seconds 300] [--crowd-sessions 1000000]

Rounds until both are reached. In each the server is started, clients keep it busy, a fault may
come, it is killed (at random, at a point, in recovery), and power may be lost. After ten rounds
every session is looked at, the history is judged, and a new store and a new history begin.
Then a crowd comes (`faults.crowd`), to a server that is not killed.
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faults.campaign import POINTS, Campaign
from faults.crowd import crowd, thirds
from faults.layer import until
from faults.tally import TALLY, say
from tidegate import bundle as bundles

__all__ = ["main"]

_ROUNDS = 10
_CACHED = 0.3


@dataclass
class _Figures:
    """What was seen besides the histories."""

    memory: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        first, last = thirds(self.memory)
        return f"{first:.0f} MB at first, {last:.0f} MB at last, {max(self.memory):.0f} MB at most"


def main(arguments: list[str] | None = None) -> int:
    """Run; return 0 if nothing was lost, doubled or answered wrongly, and memory did not grow."""
    parser = argparse.ArgumentParser(description="Kills, faults and events, until it is enough.")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("--sessions", type=int, default=200_000, help="in all, Zipf-distributed")
    parser.add_argument("--crowd-seconds", type=float, default=300.0, help="0: no crowd")
    parser.add_argument("--crowd-sessions", type=int, default=1_000_000)
    given = parser.parse_args(arguments)
    began = time.monotonic()
    rng = random.Random(given.seed)
    figures = _Figures()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        bundle = _bundle(Path(folder) / "small")
        number = 0
        while TALLY.kills < given.kills or TALLY.events < given.events:
            left = max(given.events - TALLY.events, 0)
            part = max(min(left, given.events // 10), 1000)
            _campaign(bundle, Path(folder) / f"campaign-{number}", rng, part, given, figures)
            number += 1
            say(f"{time.monotonic() - began:7.1f} s  {TALLY}")
        say(f"soak: seed {given.seed}: {TALLY}")
        if figures.memory:
            say(f"soak: {time.monotonic() - began:.0f} s; the server's memory {figures}")
        failures = _crowd(Path(folder) / "crowd", given) if given.crowd_seconds else []
    return int(bool(TALLY.lost or TALLY.doubled or TALLY.mismatches or failures))


def _crowd(folder: Path, given: argparse.Namespace) -> list[str]:
    cached = int(_CACHED * given.crowd_sessions)
    seen = crowd(folder, sessions=given.crowd_sessions, cached=cached, seconds=given.crowd_seconds)
    say(f"crowd: {seen}")
    for failure in seen.failures:
        say(f"crowd: {failure}")
    return seen.failures


def _campaign(
    bundle: Path,
    folder: Path,
    rng: random.Random,
    events: int,
    given: argparse.Namespace,
    figures: _Figures,
) -> None:
    settings: dict[str, Any] = {
        "segment_mb": rng.choice([1, 4]),
        "store_space": rng.choice([1.5, 3.0]),
        "cached_sessions": rng.choice([100, 2000, 100_000]),
        "kept_answers": rng.choice([8, 8, 100]),
    }
    say(f"campaign: {settings}")
    with Campaign(bundle, folder, rng.getrandbits(32), **settings) as run:
        run.start()
        run.load(clients=2, sessions=16, mischief=0.1)
        bulk = ("lines", "chunked", "socket")
        run.load_volume(2, given.sessions // 2, transports=bulk)
        for _ in range(_ROUNDS):
            run.progress(max(events // _ROUNDS, 50), seconds=600)
            figures.memory.append(run.memory())
            end = rng.choice(_ENDS)
            end(run, rng)
            loss = rng.choice(["none", "none", "whole", "partly", "partly"])
            if loss != "none":
                run.lose_power(partly=loss == "partly")
            run.layer.clear()
            run.start()
        run.progress(50)
        report = run.verdict(offline=True)
        run.check_clients()
        if report.breaks:
            say(f"{folder}: {report}")


def _at_random(run: Campaign, rng: random.Random) -> None:
    del rng
    run.kill()


def _at_a_point(run: Campaign, rng: random.Random) -> None:
    kind, name = rng.choice(POINTS)
    run.die_at(kind, after=rng.random() < 0.5, nth=rng.randint(1, 5), name=name)


def _in_recovery(run: Campaign, rng: random.Random) -> None:
    run.kill()
    run.die_in_recovery(rng.choice(["open", "read", "write", "sync", "create", "rename"]))


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
