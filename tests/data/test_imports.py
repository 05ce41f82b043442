"""Torch stays out of the rooms that only move numbers, and polars out of fetching data."""

from __future__ import annotations

import subprocess
import sys

import pytest

FRAMES = {"polars", "narwhals", "pandas", "pyarrow"}


@pytest.mark.parametrize(
    "module",
    [
        "data.datasets",
        "data.splits",
        "data.folds",
        "data.batches",
        "data.profile",
        "data.check",
        "tables",
    ],
)
def test_importing_is_light(module: str) -> None:
    code = f"import sys, tidegate.{module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "sklearn", *FRAMES} & set(done.stdout.split())
