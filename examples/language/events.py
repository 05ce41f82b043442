"""Texts of the Brown corpus, as events: each character is one.

    python examples/language/events.py         # fetches the corpus, once

Writes ``build/brown/characters.parquet``: a session a text. Press, fiction and all else are too
much to read in five minutes: these are the 126 texts of fiction (genres k to r).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tidegate.data import brown, datasets

OUT = Path(__file__).parents[2] / "build" / "brown" / "characters.parquet"
FICTION = "klmnpr"


def main() -> None:
    """Fetch the corpus and write the events."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--genres", default=FICTION, help="letters, a to r")
    options = parser.parse_args()
    documents = brown.read(datasets.fetch("brown", progress=print))
    events = brown.character_events(each for each in documents if each.name[1] in options.genres)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    events.write_parquet(options.out)
    texts = events["session"].n_unique()
    print(f"{options.out}: {events.height:,} characters of {texts} texts")


if __name__ == "__main__":
    main()
