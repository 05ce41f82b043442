"""Bach's chorales, as events: each voice's note at each eighth is one.

    python examples/chorales/events.py         # fetches the scores, once

Writes ``build/chorales/notes.parquet``: a session a chorale.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tidegate.data import chorales, datasets

OUT = Path(__file__).parents[2] / "build" / "chorales" / "notes.parquet"


def main() -> None:
    """Fetch the scores and write the events."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    pieces = chorales.read(datasets.fetch("chorales", progress=print))
    events = chorales.note_events(pieces)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    events.write_parquet(options.out)
    print(f"{options.out}: {events.height:,} notes of {len(pieces)} chorales")


if __name__ == "__main__":
    main()
