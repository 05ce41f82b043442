"""The loss on a piece worked by hand, the reader, and the script from files to a table."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import music
import numpy as np
import pytest
import runs
import torch
from rolls import cells, roll, write_sets
from scipy.io import savemat

from tidegate.errors import InputError

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "music.py"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Both sets, generated: scales of a few frames, of several lengths."""
    write_sets(tmp_path)
    return tmp_path


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)


def test_frames_after_the_first_are_foretold_from_those_before_the_last() -> None:
    batch = music.Batch.of([roll({1}, {2}, {3}), roll({4}, {5})])
    assert batch.lengths.tolist() == [2, 1]
    assert batch.given.argmax(dim=2).tolist() == [[1, 2], [4, 0]]
    assert batch.wanted.argmax(dim=2).tolist() == [[2, 3], [5, 0]]


def test_nats_are_of_real_frames() -> None:
    """Three real frames and one padded; logits of 0 cost log 2 a key, whatever was played."""
    batch = music.Batch.of([roll({1}, {2}, {3}), roll({4}, {5})])
    logits = torch.zeros(2, 2, music.KEYS)
    total, frames = music.nats(logits, batch)
    assert frames == 3  # 4 with the padding, and the figure would be three quarters of itself
    assert total.item() == pytest.approx(3 * 88 * math.log(2), rel=1e-6)
    # Logits of 3 for the first key that comes: log(1 + e^-3) instead of log 2.
    logits[0, 0, 2] = 3.0
    logits[1, 1] = 50.0  # in the padding
    total, _ = music.nats(logits, batch)
    by_hand = (3 * 88 - 1) * math.log(2) + math.log1p(math.exp(-3))
    assert total.item() == pytest.approx(by_hand, rel=1e-6)


def test_evaluation_weighs_frames_not_batches() -> None:
    model = music.Model("gru", 4)
    torch.nn.init.zeros_(model.out.weight)
    with torch.no_grad():
        model.out.bias.fill_(-4.0)
        model.out.bias[7] = 4.0
    right = 88 * math.log1p(math.exp(-4))
    pieces = [roll({7}, {7}), *[roll(*[{7}] * 5)] * 4, roll({7}, {8}, {8})]
    wrong = right + 8.0  # key 7 expected and silent, key 8 unexpected: each costs 4 more
    assert music.evaluate(model, pieces, many=4) == pytest.approx(
        (17 * right + 2 * wrong) / 19, rel=1e-5
    )


def test_a_set_is_read(data: Path) -> None:
    parts = music.read_parts(data / music.SETS["jsb"])
    assert list(parts) == ["train", "valid", "test"]
    for pieces in parts.values():
        assert [len(piece) for piece in pieces] == [3, 9, 5]
    first = parts["train"][0]
    assert first.dtype == np.float32
    assert np.flatnonzero(first[0]).item() in range(40, 44)


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("'testdata'", {"testdata": None}),
        ("valid has no pieces", {"validdata": cells([])}),
        ("train piece 2 is no roll", {"traindata": cells([roll({1}, {2}), roll({1})])}),
        ("train piece 1 is no roll", {"traindata": cells([np.zeros((4, 87))])}),
        ("test piece 1 is no roll", {"testdata": cells([2 * roll({1}, {2})])}),
        ("test piece 1 is no roll", {"testdata": np.array([["text"]], dtype=object)}),
    ],
)
def test_another_file_is_refused(what: str, changed: dict[str, np.ndarray], tmp_path: Path) -> None:
    good = {key: cells([roll({1}, {2})]) for key in music.PARTS.values()}
    given = {key: value for key, value in (good | changed).items() if value is not None}
    savemat(tmp_path / "set.mat", given)
    with pytest.raises(InputError, match=what) as refused:
        music.read_parts(tmp_path / "set.mat")
    assert refused.value.code == "bad_data"
    assert refused.value.field == "set.mat"


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "set.mat").write_text("<html>not found</html>" * 20)
    with pytest.raises(InputError) as refused:
        music.read_parts(tmp_path / "set.mat")
    assert refused.value.code == "bad_data"


def test_without_data_it_says_where_to_get_them(data: Path) -> None:
    done = run("--sets", "jsb")
    assert done.returncode == 3
    assert re.match(
        r"error: --data: no folder is given \(no_data\); get the .mat files from", done.stderr
    )
    both = list(music.SETS.values())
    assert runs.folder_with(data, both, music.WHERE) == data
    (data / music.SETS["nottingham"]).unlink()
    assert runs.folder_with(data, both[:1], music.WHERE) == data
    with pytest.raises(InputError, match=r"Nottingham.mat not in .* \(no_data\)"):
        runs.folder_with(data, both, music.WHERE)


def test_quick_runs_make_what_is_missing(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("--quick", "--data", data, "--out", out, "--sets", "jsb", "--models")
    first = run(*arguments, "gru", "--seeds", "0")
    assert first.returncode == 0, first.stderr
    kept = out / "jsb-gru-8-seed0.json"
    was = kept.read_bytes()
    again = run(*arguments, "gru", "rnn", "--seeds", "0", "1")
    assert again.returncode == 0, again.stderr
    made = re.findall(r"^(\S+): \d", again.stdout, re.MULTILINE)
    assert made == ["jsb-gru-8-seed1", "jsb-rnn-8-seed0", "jsb-rnn-8-seed1"]
    assert kept.read_bytes() == was
    found = runs.read(out, music.MusicRun)
    assert [(run.model, run.seed, run.path) for run in found] == [
        ("gru", 0, "fused"),
        ("gru", 1, "fused"),
        ("rnn", 0, "fused"),
        ("rnn", 1, "fused"),
    ]
    for each in found:
        best = min(each.trials, key=lambda trial: trial.validation)
        assert each.validation == best.validation
        assert each.settings.learning_rate == best.learning_rate
        assert each.parameters - each.parameters_of_layer == 8 * 88 + 88
    assert "| JSB chorales | GRU, 8 units |" in again.stdout
    (out / "jsb-gru-8-seed0.json").write_text("{")
    broken = run("--table", "--out", out)
    assert broken.returncode == 3
    assert "jsb-gru-8-seed0.json" in broken.stderr


def test_the_weights_of_the_best_epoch_are_tested(data: Path) -> None:
    parts = music.read_parts(data / music.SETS["jsb"])
    settings = msgspec.structs.replace(music.PLANS["jsb"].settings, learning_rate=0.5, patience=13)
    seen: list[float] = []
    torch.manual_seed(1)
    model = music.Model("gru", 4)
    trial, model = music.train(model, parts, settings, 2, lambda _, figure: seen.append(figure))
    assert seen.index(min(seen)) + 1 == trial.best_epoch == trial.epochs - 13
    assert music.evaluate(model, parts["valid"]) == trial.validation == min(seen)


def test_a_gradient_that_is_not_finite_changes_nothing(data: Path) -> None:
    parts = music.read_parts(data / music.SETS["jsb"])
    settings = msgspec.structs.replace(music.PLANS["nottingham"].settings, epochs=2)
    model = music.Model("gru", 4)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    model.out.weight.register_hook(lambda gradient: gradient * float("inf"))
    trial, model = music.train(model, parts, settings, 2, lambda *_: None)
    assert trial.best_epoch == 0
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, before[name])


def test_the_docs_hold_the_runs_that_are_kept() -> None:
    page = (ROOT / "docs" / "results.md").read_text()
    assert music.table(music.RESULTS) in page
