"""The script, from files to a table."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import nab
import numpy as np
import pytest
import runs

from tidegate.errors import InputError

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "nab.py"
START = np.datetime64("2014-01-01T00:00:00")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """All files, generated: a level that moves for ten rows."""
    windows = {}
    for seed, name in enumerate(nab.FILES):
        rng = np.random.default_rng(seed)
        values = rng.normal(size=300)
        values[200:210] += 9.0
        times = [str(START + np.timedelta64(5 * row, "m")).replace("T", " ") for row in range(300)]
        lines = [f"{at},{value}" for at, value in zip(times, values, strict=True)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["timestamp,value", *lines]) + "\n")
        windows[f"realKnownCause/{name}.csv"] = [[times[195] + ".000000", times[214] + ".000000"]]
    (tmp_path / "combined_windows.json").write_text(json.dumps(windows))
    return tmp_path


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)


def test_windows_become_rows(data: Path) -> None:
    for each in nab.read(data).values():
        assert each.labels.windows == [(195, 214)]
        assert each.times[1] - each.times[0] == 300


def test_quick_runs_make_what_is_missing(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--data", data, "--quick", "--out", out, "--cache", tmp_path / "cache")
    first = run(*options, "--detectors", "gaussian")
    assert first.returncode == 0, first.stderr
    was = (out / "gaussian-seed0.json").read_bytes()
    again = run(*options, "--seeds", "0")
    assert again.returncode == 0, again.stderr
    assert (out / "gaussian-seed0.json").read_bytes() == was
    assert re.findall(r"^(\S+): ", again.stdout, re.MULTILINE) == [
        "range-seed0",
        "gru-seed0",
    ]
    gaussian, gru, outside = runs.read(out, nab.NabRun)
    assert [each.detector for each in (gaussian, gru, outside)] == ["gaussian", "gru", "range"]
    # What stands so far out is found wherever it begins.
    assert gaussian.found == outside.found == 7
    assert again.stdout.endswith(run("--table", "--out", out).stdout)


def test_what_is_missing_or_broken_is_named(data: Path) -> None:
    with pytest.raises(InputError) as caught:
        nab.read(None)
    assert caught.value.code == "no_data"
    (data / "nyc_taxi.csv").write_text("timestamp,value\nsoon,1\n")
    with pytest.raises(InputError) as caught:
        nab.read(data)
    assert caught.value.code == "bad_data"
    (data / "nyc_taxi.csv").unlink()
    with pytest.raises(InputError, match="nyc_taxi"):
        nab.read(data)


def test_the_docs_hold_the_runs_that_are_kept() -> None:
    assert nab.table(nab.RESULTS) in (ROOT / "docs" / "anomaly.md").read_text()
