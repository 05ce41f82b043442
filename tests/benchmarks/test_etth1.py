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
from hourly import HOURS, write_file

from tidegate.errors import InputError

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "etth1.py"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("data")
    write_file(found)
    return found


@pytest.fixture(scope="module")
def record(folder: Path) -> etth1.Record:
    return etth1.read(folder / etth1.FILE, etth1.QUICK)


def test_series_are_standardised_by_the_training_part(record: etth1.Record) -> None:
    known = record.values[:, : record.bounds[0]].double()
    assert record.values.shape == (7, HOURS)
    torch.testing.assert_close(known.mean(dim=1), torch.zeros(7, dtype=torch.float64))
    np.testing.assert_allclose(known.numpy().std(axis=1), 1.0, rtol=1e-5)


def test_a_level_knows_nothing_that_comes_later() -> None:
    values = np.random.default_rng(0).normal(size=(60, 2))
    means = etth1.running_mean(values, 10)
    np.testing.assert_allclose(means[5], values[:6].mean(axis=0))
    np.testing.assert_allclose(means[40], means[39] + (values[40] - means[39]) / 10)
    changed = values.copy()
    changed[50:] = 9.0
    assert (etth1.running_mean(changed, 10)[:50] == means[:50]).all()


def test_a_part_is_forecast_from_every_hour_that_has_its_future_in_it(record: etth1.Record) -> None:
    hours = etth1.origins(record, 2, 96)
    assert len(hours) == etth1.MONTH - 96 + 1
    assert int(hours[0]) + 1 == record.bounds[1]
    assert int(hours[-1]) + 96 == record.bounds[2] - 1


class Repeats(torch.nn.Module):
    """A model that says that the day will come again, 25 times."""

    def forward(self, days: torch.Tensor) -> torch.Tensor:
        return days[..., :24].repeat(1, 1, 25)[None]


def test_errors_are_those_of_a_loop(record: etth1.Record) -> None:
    values = record.values.double().numpy()
    errors = [
        values[:, at + 1 : at + 601] - np.tile(values[:, at - 23 : at + 1], 25)
        for at in etth1.origins(record, 2, 600).tolist()
    ]
    measured = etth1.measure(Repeats(), record, 2, (7, 600))
    for found in (measured[600], etth1.naive(record, 2, 600, 24)):
        assert found.mse == pytest.approx(np.mean(np.square(errors)), rel=1e-5)
        assert found.mae == pytest.approx(np.mean(np.abs(errors)), rel=1e-5)
    shorter = etth1.naive(record, 2, 7, 24)
    assert measured[7].mse == pytest.approx(shorter.mse, rel=1e-5)


def test_a_forecast_knows_nothing_that_comes_later(record: etth1.Record) -> None:
    torch.manual_seed(0)
    model = etth1.Model(etth1.QUICK)
    hours = etth1.origins(record, 2, 96)[:48]

    def made(values: torch.Tensor) -> torch.Tensor:
        level = etth1.running_mean(values.double().numpy().T, etth1.QUICK.level)
        changed = etth1.Record(values, torch.from_numpy(level.T).float(), record.bounds)
        found = torch.empty(7, len(hours), 96)
        for at, each in etth1.forecasts(model, changed, hours):
            found[:, at - hours[0]] = each
        return found

    before, values = made(record.values), record.values.clone()
    values[:, hours[30] + 1 :] = 3.0
    after = made(values)
    # The level is made in double precision of what float32 holds: alike, but for its last bit.
    torch.testing.assert_close(before[:, :31], after[:, :31])
    assert not torch.allclose(before[:, 31], after[:, 31], atol=1e-3)


def test_a_folder_without_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no_data"):
        runs.folder_with(tmp_path, [etth1.FILE], etth1.WHERE)
    (tmp_path / etth1.FILE).write_text("date,a\n0,1\n")
    with pytest.raises(InputError, match="bad_data"):
        etth1.read(tmp_path / etth1.FILE, etth1.QUICK)


def test_quick_runs_make_what_is_missing(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--data", folder, "--quick", "--out", out)
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
