"""Sequences that are copied, and the script from nothing to a table."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from pathlib import Path

import copying
import pytest
import runs
import torch
from synthetic import SyntheticRun

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "copying.py"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)


def test_symbols_come_back_after_the_mark() -> None:
    given, wanted = copying.draw(torch.Generator().manual_seed(1), 50, 7)
    assert given.shape == wanted.shape == (50, 27)
    assert torch.equal(given[:, :10], wanted[:, 17:])
    assert sorted(set(given[:, :10].flatten().tolist())) == list(range(1, 9))
    assert (given == copying.MARK).nonzero()[:, 1].tolist() == [16] * 50
    assert not given[:, 10:16].any()
    assert not given[:, 17:].any()
    assert not wanted[:, :17].any()


def test_who_knows_when_and_not_which() -> None:
    _, wanted = copying.draw(torch.Generator().manual_seed(1), 50, 30)
    logits = torch.full((50, 50, 9), -100.0)
    logits[:, :40, copying.BLANK] = 0.0
    logits[:, 40:, 1:] = 0.0
    assert float(copying.nats(logits, wanted)) == pytest.approx(copying.guessing(30), rel=1e-5)
    assert copying.guessing(1000) == pytest.approx(10 * math.log(8) / 1020)


def test_both_models_have_as_many_parameters() -> None:
    gru, rnn = (runs.parameters(copying.Model(m, n, 200)) for m, n in copying.UNITS.items())
    assert abs(gru - rnn) < 0.02 * gru
    assert abs(gru - 16_000) < 1_000


def test_quick_runs_make_what_is_missing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = run("--quick", "--out", out, "--models", "gru")
    assert first.returncode == 0, first.stderr
    was = (out / "0010-gru-8-seed0.json").read_bytes()
    again = run("--quick", "--out", out)
    assert again.returncode == 0, again.stderr
    assert (out / "0010-gru-8-seed0.json").read_bytes() == was
    found = runs.read(out, SyntheticRun)
    assert [(each.model, each.path, each.steps) for each in found] == [
        ("gru", "fused", 4),
        ("rnn", "fused", 4),
    ]
    assert re.search(r"^\| T = 10 \| RNN, 8 units \| .* \| 0 of 1 \|", again.stdout, re.MULTILINE)


def test_the_docs_hold_the_runs_that_are_kept() -> None:
    page = (ROOT / "docs" / "results.md").read_text()
    assert copying.table(copying.RESULTS) in page
