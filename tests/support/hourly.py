"""Hourly series as the benchmarks read them, generated."""

from __future__ import annotations

from pathlib import Path

import etth1
import numpy as np

__all__ = ["HOURS", "write_file"]

HOURS = sum(etth1.QUICK.months) * etth1.MONTH


def write_file(folder: Path) -> None:
    """Write seven waves of a day with noise, and a few hours more than are read."""
    hours = np.arange(HOURS + 5)
    waves = np.sin(2 * np.pi * hours[:, None] / 24 + np.arange(7))
    noise = np.random.default_rng(0).normal(size=waves.shape)
    lines = [",".join(["date", *"abcdefg"])]
    lines += [f"{at},{','.join(map(str, row))}" for at, row in enumerate(5 + waves + 0.1 * noise)]
    (folder / etth1.FILE).write_text("\n".join(lines) + "\n")
