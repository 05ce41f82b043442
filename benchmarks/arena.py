"""The memory of many sessions: bytes a session, lookups in random order, the pause of growth.

    .venv/bin/python benchmarks/arena.py

A lookup is `Arena.take` of a batch of ids, which also brings the sessions' states towards the
cache; beside it, a Python dict is asked for the same ids. Longest calls are those of the round in
which they were shortest: the others had a neighbour on their processor.
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
    state = (np.ones(options.encoder), np.ones(options.hidden, dtype=np.float32))
    state_bytes = state[0].nbytes + state[1].nbytes
    arena = Arena(options.hidden, options.encoder)
    before = resident()
    for session in ids:  # memory that was never written is not there yet
        arena.import_state(session, *state)
    held = (resident() - before) / n
    known = {session: slot for slot, session in enumerate(ids)}
    order = np.random.default_rng(0).permutation(n)
    batches = [[ids[k] for k in order[i : i + batch]] for i in range(0, n - batch + 1, batch)]
    taken, found = [], []
    for _ in range(options.rounds):  # in turns: a machine's speed drifts
        taken.append([timed(arena.take, one) for one in batches])
        found.append([timed(lambda one: [known[k] for k in one], one) for one in batches])
    grown = []
    for _ in range(options.rounds):
        fresh = Arena(options.hidden, options.encoder)
        grown.append([timed(fresh.take, ids[i : i + batch]) for i in range(0, n, batch)])
    return {
        "bytes a session": f"{arena.bytes / n:.0f}",
        "... beside its state and id": f"{arena.bytes / n - state_bytes - len(ids[0]):.0f}",
        "... resident": f"{held:.0f}",
        "arena: ns a session": f"{np.median(taken) / batch * 1e9:.0f}",
        "dict: ns a session": f"{np.median(found) / batch * 1e9:.0f}",
        "arena: longest call": f"{np.max(taken, axis=1).min() * 1e6:.0f} us",
        "growth: ns a session": f"{np.median(grown) / batch * 1e9:.0f}",
        "growth: longest call": f"{np.max(grown, axis=1).min() * 1e6:.0f} us",
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
