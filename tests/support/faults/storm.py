"""A program that writes groups to a store without end, several in flight, until it dies.

    python -m faults.storm FOLDER SEED IN_FLIGHT

It says in a line of JSON what it finds: for each key the group that wrote it, and the value's
length. It is told the number of the last group that is there, and goes on from there, saying the
number of each group that is durable.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

__all__ = ["changes", "main"]

KEYS = 24


def changes(seed: int, number: int) -> dict[bytes, bytes | None]:
    """Return what a group changes: values that begin with its number, and None for deletes."""
    rng = random.Random(f"{seed}/{number}")
    made: dict[bytes, bytes | None] = {}
    for key in rng.sample(range(KEYS), rng.randint(1, 8)):
        size = rng.randrange(8, 3000)
        value = number.to_bytes(8, "little") + bytes(size - 8)
        made[f"s/key-{key}".encode()] = value if rng.random() < 0.9 else None
    return made


def main(folder: str, seed: int, in_flight: int) -> None:
    """Write groups until the store or the process fails."""
    from tidegate import core
    from tidegate.errors import StoreError
    from tidegate.store.log import LogStore

    log = LogStore(Path(folder), segment_size=1 << 16)
    found = {k.decode(): [int.from_bytes(v[:8], "little"), len(v)] for k, v in log.scan()}
    _say(found)
    number = int(sys.stdin.readline())
    waiting: list[tuple[int, int]] = []
    try:
        while True:
            number += 1
            group = core.Group()
            for key, value in changes(seed, number).items():
                if value is None:
                    group.delete(key)
                else:
                    group.add(key, value)
            waiting.append((number, log.append(group)))
            if len(waiting) == in_flight:
                done, ticket = waiting.pop(0)
                log.wait(ticket)
                _say(done)
    except StoreError as error:
        _say(error.code)


def _say(something: object) -> None:
    sys.stdout.write(json.dumps(something) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
