"""Pieces of music as the benchmarks read them, generated."""

from __future__ import annotations

from pathlib import Path

import music
import numpy as np
from scipy.io import savemat

__all__ = ["cells", "roll", "write_sets"]


def roll(*chords: set[int]) -> np.ndarray:
    """Return a piece: the keys that sound in each frame."""
    piece = np.zeros((len(chords), music.KEYS), dtype=np.float32)
    for frame, keys in enumerate(chords):
        piece[frame, list(keys)] = 1
    return piece


def cells(pieces: list[np.ndarray]) -> np.ndarray:
    """Return pieces as MATLAB keeps them: a row of cells."""
    found = np.empty((1, len(pieces)), dtype=object)
    found[0, :] = [piece.astype(np.uint8) for piece in pieces]
    return found


def write_sets(folder: Path) -> None:
    """Write both sets: scales of a few frames, of several lengths."""
    for seed, name in enumerate(music.SETS.values()):
        rng = np.random.default_rng(seed)
        parts = {
            key: cells([roll(*({int(k)} for k in rng.integers(40, 44, n))) for n in (3, 9, 5)])
            for key in music.PARTS.values()
        }
        savemat(folder / name, parts)
