"""The model's dropout, the best epoch, and the script from files to a table."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import music
import music_best
import pytest
import runs
import torch
from rolls import roll, write_sets

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "music_best.py"
SMALL = msgspec.structs.replace(music_best.RECIPES["jsb", "small"], units=6, projection=4)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Both sets, generated."""
    write_sets(tmp_path)
    return tmp_path


def test_it_begins_with_the_frequencies_of_the_keys() -> None:
    pieces = [roll({1}, {1, 2}), roll({1}, {1, 3})]
    bias = music_best.Model(SMALL, pieces).out.bias
    assert torch.sigmoid(bias[[1, 2, 3]]).tolist() == pytest.approx([0.9999, 0.25, 0.25], abs=1e-4)
    assert torch.sigmoid(bias[50]).item() == pytest.approx(1e-4, rel=1e-3), "no key is impossible"


def test_what_is_dropped_is_the_same_throughout_a_piece() -> None:
    model = music_best.Model(SMALL, [roll({1}, {2})])
    torch.manual_seed(0)
    dropped = model._dropped(torch.ones(4, 9, 50), 0.5)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(dropped, dropped[:, :1].expand(4, 9, 50))
    assert not torch.equal(dropped[0], dropped[1])
    model.eval()
    assert torch.equal(model._dropped(torch.ones(4, 9, 50), 0.5), torch.ones(4, 9, 50))


def test_the_average_of_the_best_epoch_is_kept(data: Path) -> None:
    parts = music.read_parts(data / music.SETS["jsb"])
    parts["valid"] = parts["train"]
    settings = msgspec.structs.replace(
        SMALL.settings, learning_rate=0.3, epochs=40, schedule="constant", ema_decay=0.5
    )
    recipe = msgspec.structs.replace(SMALL, settings=settings)
    seen: list[float] = []
    torch.manual_seed(1)
    model = music_best.Model(SMALL, parts["train"])
    epoch, best = music_best.train(model, parts, recipe, lambda _, figure: seen.append(figure))
    assert seen.index(min(seen)) + 1 == epoch < 40
    assert music.evaluate(model, parts["valid"]) == best == min(seen)


def test_a_gradient_that_is_not_finite_changes_nothing(data: Path) -> None:
    parts = music.read_parts(data / music.SETS["jsb"])
    recipe = msgspec.structs.replace(
        SMALL, settings=msgspec.structs.replace(SMALL.settings, epochs=2)
    )
    model = music_best.Model(SMALL, parts["train"])
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    model.out.weight.register_hook(lambda gradient: gradient * float("inf"))
    music_best.train(model, parts, recipe, lambda *_: None)
    for name, weight in model.state_dict().items():
        assert torch.allclose(weight, before[name], rtol=1e-6), "an average of equals"


def test_quick_runs_make_what_is_missing(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def run(*seeds: str) -> list[str]:
        arguments = ("--quick", "--data", data, "--out", out, "--seeds", *seeds)
        command = [sys.executable, "-W", "error", str(SCRIPT), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
        assert done.returncode == 0, done.stderr
        assert "| JSB chorales | GRU, 8 units |" in done.stdout
        return re.findall(r"^(\S+): \d", done.stdout, re.MULTILINE)

    kinds = [f"{name}-{size}-8" for name in music.SETS for size in music_best.SIZES]
    assert run("0") == [f"{kind}-seed0" for kind in kinds]
    assert run("0", "1") == [f"{kind}-seed1" for kind in kinds]
    found = runs.read(out, music_best.BestRun)
    assert [each.seed for each in found] == [0, 1] * 4
    for each in found:
        assert each.path == "fused"
        assert each.parameters - each.parameters_of_layer == 8 * 88 + 88


def test_the_docs_hold_the_runs_that_are_kept() -> None:
    table = music_best.table(music_best.RESULTS)
    assert table in (ROOT / "docs" / "results.md").read_text()
