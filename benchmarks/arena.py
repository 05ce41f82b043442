"""The memory of many sessions: bytes a session, lookups in random order, the pause of growth.

    .venv/bin/python benchmarks/arena.py

A lookup is `Arena.take` of a batch of ids, which also brings the sessions' states towards the
cache; beside it, a Python dict is asked for the same ids.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from tidegate._core import Arena

NAMES = {"short ids (20 bytes)": "{:020}", "long ids (36 bytes)": "{:036}"}


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--hidden", type=int, default=64, help="floats")
    parser.add_argument("--encoder", type=int, default=8, help="doubles")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    columns = {name: measure(form, options) for name, form in NAMES.items()}
    shown = Table("", *columns, title=f"{options.sessions:,} sessions, batch {options.batch}")
    for row in next(iter(columns.values())):
        shown.add_row(row, *(column[row] for column in columns.values()))
    Console().print(shown)


def measure(form: str, options: argparse.Namespace) -> dict[str, str]:
    """Return what a table's column says."""
    n, batch = options.sessions, options.batch
    ids = [form.format(i * 7919) for i in range(n)]
    arena = Arena(options.hidden, options.encoder)
    before = resident()
    grown = [timed(arena.take, ids[i : i + batch]) for i in range(0, n, batch)]
    held = resident() - before
    states = 4 * options.hidden + 8 * options.encoder
    known = {session: slot for slot, session in enumerate(ids)}
    order = np.random.default_rng(0).permutation(n)
    batches = [[ids[k] for k in order[i : i + batch]] for i in range(0, n - batch, batch)]
    taken, found = [], []
    for _ in range(options.rounds):  # in turns: a machine's speed drifts
        taken.append(sum(timed(arena.take, one) for one in batches))
        found.append(sum(timed(lambda one: [known[k] for k in one], one) for one in batches))
    events = batch * len(batches)
    again = sorted(timed(arena.take, one) for one in batches)
    beside = arena.bytes / n - states - len(ids[0])
    return {
        "bytes a session": f"{arena.bytes / n:.0f}",
        "... of which state": f"{states}",
        "... beside state and id": f"{beside:.0f}",
        "resident bytes a session": f"{held / n:.0f}",
        "arena: ns a session": f"{np.median(taken) / events * 1e9:.0f}",
        "dict: ns a session": f"{np.median(found) / events * 1e9:.0f}",
        "growth: ns a session": f"{sum(grown) / n * 1e9:.0f}",
        "growth: longest call": f"{max(grown) * 1e6:.0f} us",
        "no growth: longest call": f"{again[-1] * 1e6:.0f} us",
    }


def resident() -> int:
    """Return the memory that the process has now, in bytes."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


def timed(call: Callable[[list[str]], object], batch: list[str]) -> float:
    """Return the seconds that a call takes."""
    began = time.perf_counter()
    call(batch)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
