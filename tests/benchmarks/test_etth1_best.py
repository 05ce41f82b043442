"""Segments in and out, what is learned from, the best epoch, and the script from a file on."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import etth1_best
import msgspec
import pytest
import runs
import torch
from etth1_protocol import MONTH, Record

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "etth1_best.py"
HOURS = 96


@pytest.fixture
def model() -> etth1_best.Model:
    torch.manual_seed(0)
    return etth1_best.Model(etth1_best.QUICK, 7, HOURS)


def test_a_segment_to_come_is_one_step_after_those_that_were_read(
    etth1_record: Record, model: etth1_best.Model
) -> None:
    member = model.members[0].eval()
    past = etth1_best.past_of(etth1_record, torch.tensor([500, 700]), etth1_best.QUICK)
    assert torch.equal(past[1, 3], etth1_record.values[3, 653:701])
    found = member(past)
    for hour, series, segment in ((0, 0, 0), (1, 6, 7), (0, 2, 5)):
        own = past[hour, series]
        state = None
        for given in (own - own[-1]).split(etth1_best.QUICK.segment):
            _, state = member.layer(member.enter(given)[None, None], state)
        asked = torch.cat([member.which[segment], member.whose[series]])
        y, _ = member.layer(asked[None, None], state)
        right = member.leave(y)[0, 0] + own[-1]
        at = segment * etth1_best.QUICK.segment
        torch.testing.assert_close(
            found[hour, series, at : at + etth1_best.QUICK.segment], right, atol=1e-5, rtol=1e-5
        )


def test_a_forecast_knows_nothing_that_comes_later(
    etth1_record: Record, model: etth1_best.Model
) -> None:
    def made(values: torch.Tensor) -> torch.Tensor:
        changed = Record(values, etth1_record.level, etth1_record.bounds)
        return etth1_best.forecasts(model, changed, etth1_best.TEST, HOURS, etth1_best.QUICK)

    before, values = made(etth1_record.values), etth1_record.values.clone()
    assert before.shape == (7, MONTH - HOURS + 1, HOURS)
    # The 31st forecast is the last that is made before.
    values[:, etth1_record.bounds[1] + 30 :] = 3.0
    after = made(values)
    assert torch.equal(before[:, :31], after[:, :31])
    assert not torch.allclose(before[:, 31], after[:, 31], atol=1e-3)


@torch.no_grad()
def test_a_loss_is_that_of_a_loop_over_the_training_part(
    etth1_record: Record, model: etth1_best.Model
) -> None:
    model.eval()
    end = etth1_record.bounds[0]
    at = torch.tensor([400, end - 31])
    found = model(etth1_best.past_of(etth1_record, at, etth1_best.QUICK))
    errors = [
        (found[:, row, :, :known] - etth1_record.values[:, hour + 1 : hour + 1 + known]).abs()
        for row, (hour, known) in enumerate(zip(at.tolist(), (HOURS, 30), strict=True))
    ]
    right = sum(each.sum() for each in errors) / (7 * (HOURS + 30))
    loss = etth1_best.loss(model, etth1_record, at, HOURS, etth1_best.QUICK)
    assert loss.item() == pytest.approx(float(right), rel=1e-5)
    changed = Record(etth1_record.values.clone(), etth1_record.level, etth1_record.bounds)
    changed.values[:, end:] = 9.0
    assert torch.equal(loss, etth1_best.loss(model, changed, at, HOURS, etth1_best.QUICK))


def test_the_epoch_whose_average_is_best_is_kept(
    etth1_record: Record, model: etth1_best.Model
) -> None:
    recipe = msgspec.structs.replace(
        etth1_best.QUICK, epochs=20, patience=2, learning_rate=0.1, decay=0.0, averaging=0.5
    )  # nothing is learned after three epochs
    known = torch.zeros(7, MONTH - HOURS + 1, HOURS)
    seen: list[float] = []
    best = etth1_best.train(
        model, etth1_record, HOURS, recipe, known, lambda _, figure: seen.append(figure)
    )
    assert seen.index(min(seen)) + 1 == best == len(seen) - recipe.patience < 18
    found = etth1_best.forecasts(model, etth1_record, etth1_best.VALIDATION, HOURS, recipe)
    kept = etth1_best.errors(etth1_record, etth1_best.VALIDATION, found / 2)
    assert kept.mse == pytest.approx(min(seen), rel=1e-6)


def test_quick_runs_make_what_is_missing(etth1_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def run(*arguments: str | Path) -> str:
        command = [sys.executable, "-W", "error", str(SCRIPT), "--out", str(out)]
        command += [str(each) for each in arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
        assert done.returncode == 0, done.stderr
        return done.stdout

    made = re.compile(r"^(\S+): \d", re.MULTILINE)
    options = ("--quick", "--data", etth1_folder, "--seeds")
    assert made.findall(run(*options, "0")) == ["hours012-seed0", "hours096-seed0"]
    (out / "hours012-seed0.json").unlink()
    last = run(*options, "0", "1")
    assert made.findall(last) == ["hours012-seed0", "hours012-seed1", "hours096-seed1"]
    assert last.endswith(run("--table"))
    for each in runs.read(out, etth1_best.BestRun):
        assert each.path == "fused"
        assert each.averaged.test.mse < (each.remembers.test.mse + each.rereads.test.mse) / 2


def test_the_docs_hold_the_runs_that_are_kept() -> None:
    page = (ROOT / "docs" / "results.md").read_text()
    assert etth1_best.table(etth1_best.RESULTS) in page
