"""Sequences whose sums can be checked, and the script from nothing to a table."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import adding
import pytest
import runs
import torch
from synthetic import Problem, Settings, SyntheticRun, error, train

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "adding.py"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)


def test_two_numbers_are_marked_one_in_each_half() -> None:
    x, sums = adding.draw(torch.Generator().manual_seed(1), 200, 10)
    assert x.shape == (200, 10, 2)
    for sequence, wanted in zip(x, sums, strict=True):
        first, second = sequence[:, 1].nonzero()[:, 0].tolist()
        assert first < 5 <= second
        assert sequence[[first, second], 0].sum() == wanted
    assert sorted({int(row[:, 1].argmax()) for row in x}) == [0, 1, 2, 3, 4]


def test_who_answers_one_is_wrong_by_a_sixth() -> None:
    x, sums = adding.draw(torch.Generator().manual_seed(1), 20_000, 4)
    model = adding.Model("rnn", 2, 4)
    torch.nn.init.zeros_(model.out.weight)
    torch.nn.init.ones_(model.out.bias)
    assert error(model, adding.ADDING, x, sums) == pytest.approx(1 / 6, abs=0.005)


def test_both_models_have_as_many_parameters() -> None:
    gru, rnn = (runs.parameters(adding.Model(m, n, 600)) for m, n in adding.UNITS.items())
    assert abs(gru - rnn) < 0.01 * gru


def test_models_see_the_same_sequences_and_training_ends_once_solved() -> None:
    seen: dict[str, list[torch.Tensor]] = {}
    for name in adding.UNITS:

        class Watched(adding.Model):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                seen.setdefault(name, []).append(x)  # noqa: B023
                return super().forward(x)

        settings = Settings(length=6, steps=6, batch=3, check=2, held_out=4)
        solved = 0.0 if name == "gru" else 1e9
        problem = Problem(adding.Model, adding.draw, torch.nn.functional.mse_loss, solved)
        generator = torch.Generator().manual_seed(3)
        curve = train(Watched(name, 4, 6), problem, generator, settings, lambda *_: None)
        assert [step for step, _ in curve] == ([2, 4, 6] if name == "gru" else [2])
    assert len(seen["gru"]) == 9
    for one, other in zip(seen["gru"], seen["rnn"], strict=False):
        assert torch.equal(one, other)


def test_quick_runs_make_what_is_missing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = run("--quick", "--out", out, "--models", "gru")
    assert first.returncode == 0, first.stderr
    was = (out / "gru-8-seed0.json").read_bytes()
    again = run("--quick", "--out", out)
    assert again.returncode == 0, again.stderr
    assert (out / "gru-8-seed0.json").read_bytes() == was
    found = runs.read(out, SyntheticRun)
    assert [(each.model, each.path, each.steps) for each in found] == [
        ("gru", "fused", 4),
        ("rnn", "fused", 4),
    ]
    assert re.search(r"^\| RNN, 8 units \| .* \| 0 of 1 \|", again.stdout, re.MULTILINE)
    assert re.findall(r"^(\S+): ", again.stdout, re.MULTILINE) == ["rnn-8-seed0"]
    assert again.stdout.endswith(run("--table", "--out", out).stdout)


def test_the_docs_hold_the_runs_that_are_kept() -> None:
    page = (ROOT / "docs" / "results.md").read_text()
    assert adding.table(adding.RESULTS) in page
