"""The reader and the figures on cases worked by hand, and the script from a file to a table."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import clinc150
import pytest
import runs
import torch

from tidegate.errors import InputError

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "clinc150.py"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three intents that a word tells, and questions of other words."""
    said = {"go": "please go to {}", "stop": "stop at {} now", "wait": "wait in {}"}
    places = ["york", "leeds", "hull", "bath"]
    known = [[text.format(place), name] for name, text in said.items() for place in places]
    strange = [[f"who is king of {place}", "oos"] for place in places]
    found = dict.fromkeys(clinc150.PARTS, known)
    found |= {f"oos_{part}": strange for part in clinc150.PARTS}
    (tmp_path / clinc150.FILE).write_text(json.dumps(found))
    return tmp_path


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)


def test_the_parts_hold_what_is_out_of_scope_as_the_last_class(data: Path) -> None:
    parts, intents = clinc150.read_parts(data / clinc150.FILE)
    assert intents == 3
    assert parts["val"].intents.tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4
    assert parts["val"].words[4] == ["stop", "at", "york", "now"]
    (data / "other.json").write_text("{}")
    with pytest.raises(InputError, match="oos-eval"):
        clinc150.read_parts(data / "other.json")


def test_the_threshold_costs_no_more_than_its_price() -> None:
    found = torch.zeros(14, 3)
    found[:, 0] = torch.linspace(0.95, 0.3, 14)
    truth = torch.tensor([0] * 8 + [2, 0] + [2] * 4)
    at = clinc150.choose(found, truth, 0.0)
    assert clinc150.figures(found, truth, at) == pytest.approx((1.0, 0.8))
    at = clinc150.choose(found, truth, 0.2)
    accuracy, recall = clinc150.figures(found, truth, at)
    assert accuracy == pytest.approx(8 / 9)
    assert recall == 1.0


def test_a_word_that_was_never_seen_is_read_by_its_parts() -> None:
    torch.manual_seed(0)
    settings = clinc150.Settings(units=4, width=8)
    model = clinc150.Model("gru", ["go"], 3, settings).eval()
    first, same, other = model([["going"], ["going"], ["gone"]])
    torch.testing.assert_close(first, same)
    assert not torch.allclose(first, other)


def test_vectors_move_to_where_the_loss_is_worse_and_back() -> None:
    torch.manual_seed(0)
    settings = clinc150.Settings(units=4, width=8, dropout=0.0, word_dropout=0.0)
    model = clinc150.Model("gru", ["go", "now"], 3, settings)
    batch = clinc150.Utterances([["go", "now"], ["wait"]], torch.tensor([0, 2]))
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    loss = clinc150.learn(model, batch, settings)
    with clinc150.worsened(model, 0.01):
        assert clinc150.learn(model, batch, settings) > loss
        moved = (model.grams.weight - before["grams.weight"]).norm()
        assert moved.item() == pytest.approx(0.01, rel=1e-3)
    assert all(torch.equal(weight, before[name]) for name, weight in model.named_parameters())


def test_quick_runs_make_what_is_missing(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("--quick", "--data", data, "--out", out, "--seeds")
    first = run(*arguments, "0")
    assert first.returncode == 0, first.stderr
    kept = (out / "gru-8-seed0.json").read_bytes()
    again = run(*arguments, "0", "1")
    assert again.returncode == 0, again.stderr
    assert (out / "gru-8-seed0.json").read_bytes() == kept
    assert [each.seed for each in runs.read(out, clinc150.IntentRun)] == [0, 1]
    assert "| GRU of two directions, 8 units, threshold |" in again.stdout
    missing = run("--data", tmp_path / "nowhere")
    assert missing.returncode == 3
    assert "oos-eval" in missing.stderr


def test_the_docs_hold_the_runs_that_are_kept() -> None:
    page = (SCRIPT.parents[1] / "docs" / "results.md").read_text()
    assert clinc150.table(clinc150.RESULTS) in page
