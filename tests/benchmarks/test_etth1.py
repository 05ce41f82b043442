"""Forecasts made and measured as the protocol says, and the script from a file to a table."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import etth1
import numpy as np
import pytest
import runs
import torch
from etth1_protocol import Record, naive, origins, running_mean

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "etth1.py"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)


class Repeats(torch.nn.Module):
    """A model that says that the day will come again, 25 times."""

    def forward(self, days: torch.Tensor) -> torch.Tensor:
        return days[..., :24].repeat(1, 1, 25)[None]


def test_errors_are_those_of_a_loop(etth1_record: Record) -> None:
    values = etth1_record.values.double().numpy()
    errors = [
        values[:, at + 1 : at + 601] - np.tile(values[:, at - 23 : at + 1], 25)
        for at in origins(etth1_record, 2, 600).tolist()
    ]
    measured = etth1.measure(Repeats(), etth1_record, 2, (7, 600))
    for found in (measured[600], naive(etth1_record, 2, 600, 24)):
        assert found.mse == pytest.approx(np.mean(np.square(errors)), rel=1e-5)
        assert found.mae == pytest.approx(np.mean(np.abs(errors)), rel=1e-5)
    shorter = naive(etth1_record, 2, 7, 24)
    assert measured[7].mse == pytest.approx(shorter.mse, rel=1e-5)


def test_a_forecast_knows_nothing_that_comes_later(etth1_record: Record) -> None:
    torch.manual_seed(0)
    model = etth1.Model(etth1.QUICK)
    hours = origins(etth1_record, 2, 96)[:48]

    def made(values: torch.Tensor) -> torch.Tensor:
        level = running_mean(values.double().numpy().T, etth1.QUICK.level)
        changed = Record(values, torch.from_numpy(level.T).float(), etth1_record.bounds)
        found = torch.empty(7, len(hours), 96)
        for at, each in etth1.forecasts(model, changed, hours):
            found[:, at - hours[0]] = each
        return found

    before, values = made(etth1_record.values), etth1_record.values.clone()
    values[:, hours[30] + 1 :] = 3.0
    after = made(values)
    # The level is made in double precision of what float32 holds: alike, but for its last bit.
    torch.testing.assert_close(before[:, :31], after[:, :31])
    assert not torch.allclose(before[:, 31], after[:, 31], atol=1e-3)


def test_quick_runs_make_what_is_missing(etth1_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--data", etth1_folder, "--quick", "--out", out)
    first = run(*options, "--seeds", "0")
    assert first.returncode == 0, first.stderr
    was = (out / "gru-seed0.json").read_bytes()
    again = run(*options, "--seeds", "0", "1")
    assert again.returncode == 0, again.stderr
    assert (out / "gru-seed0.json").read_bytes() == was
    assert re.findall(r"^(\S+): ", again.stdout, re.MULTILINE) == ["gru-seed1"]
    found = runs.read(out, etth1.EttRun)
    assert [(each.seed, each.path, len(each.curve)) for each in found] == [
        (0, "fused", 2),
        (1, "fused", 2),
    ]
    assert again.stdout.endswith(run("--table", "--out", out).stdout)


def test_the_docs_hold_the_runs_that_are_kept() -> None:
    page = (ROOT / "docs" / "results.md").read_text()
    assert etth1.table(etth1.RESULTS) in page
