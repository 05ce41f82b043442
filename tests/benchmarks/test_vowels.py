"""The script from two files to a table."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import runs
import vowels

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "vowels.py"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two speakers of two coefficients, who are easy to tell apart."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 40), ("test", 10)):
        lines = ["@data"]
        for place in range(count):
            frames = rng.normal(place % 2, 0.1, (2, int(rng.integers(2, 6))))
            told = [",".join(f"{value:.3f}" for value in dimension) for dimension in frames]
            lines.append(":".join([*told, str(1 + place % 2)]))
        (tmp_path / f"{part}.ts").write_text("\n".join(lines))
    return tmp_path


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)


def test_quick_runs_make_what_is_missing(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("--quick", "--data", data, "--out", out, "--models", "bigru", "--seeds")
    first = run(*arguments, "0")
    assert first.returncode == 0, first.stderr
    kept = (out / "bigru-8-seed0.json").read_bytes()
    again = run(*arguments, "0", "1")
    assert again.returncode == 0, again.stderr
    assert (out / "bigru-8-seed0.json").read_bytes() == kept
    found = runs.read(out, vowels.VowelsRun)
    assert [each.seed for each in found] == [0, 1]
    for each in found:
        assert each.chosen.log_loss == min(trial.log_loss for trial in each.trials)
        assert each.accuracy == 1 - each.wrong / 10
    assert "| GRU of two directions, 8 units |" in again.stdout


def test_the_page_has_the_table_of_the_results() -> None:
    page = (SCRIPT.parents[1] / "docs" / "results.md").read_text()
    assert vowels.table(vowels.RESULTS) in page
