"""What a serving process loads."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"torch", "polars", "pandas", "sklearn", "pyarrow", "narwhals", "altair"}


@pytest.mark.parametrize("module", ["tidegate.serve", "tidegate.cli", "tidegate.engine"])
def test_the_gate_never_loads_the_workshop(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", f"import {module}"],
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert module in imported
    assert not HEAVY & {name.split(".")[0] for name in imported}
