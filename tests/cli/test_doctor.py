"""`tidegate doctor`: what it prints, how it exits, the pictures, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import command
import numpy as np
import polars as pl
import pytest
import torch
from click.testing import Result
from typer.testing import CliRunner

from tidegate.cli.app import app
from tidegate.nn import Network
from tidegate.spec import LayerSpec, ModelSpec, TaskSpec
from tidegate.train import Sequences, TrainSettings, fit, load_config, run

CONFIG = """
[data]
events = "events.parquet"
session = "pump"
label = "worn"
[task]
name = "classify"
[split]
by = "session"
fractions = [0.8, 0.2]
[schema.fields]
noise = {{ kind = "numeric" }}
[model]
hidden_size = 8
[train]
epochs = {epochs}
batch_tokens = 400
learning_rate = {rate}
warmup_steps = 5
[bundle]
name = "pumps"
version = "1"
out = "{out}"
"""


def tidegate(*words: Any) -> Result:
    """The command line in this process: torch takes its time to load."""
    return CliRunner().invoke(app, [*map(str, words)])


def said(*words: Any) -> dict[str, Any]:
    done = tidegate(*words, "--json")
    assert done.exit_code == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A healthy run and one whose learning rate is far too low, beside their events."""
    folder = tmp_path_factory.mktemp("runs")
    noise = np.random.default_rng(1).normal(60, 10, (100, 20))
    pl.DataFrame(
        {
            "pump": np.repeat([f"p{i}" for i in range(100)], 20),
            "noise": noise.ravel(),
            "worn": ((noise > 70).cumsum(axis=1) >= 2).ravel(),
        }
    ).write_parquet(folder / "events.parquet")
    for out, rate, epochs in (("well", 0.02, 8), ("slow", 1e-7, 4)):
        (folder / "train.toml").write_text(CONFIG.format(out=out, rate=rate, epochs=epochs))
        run(load_config(folder / "train.toml"), quiet=True)
    return folder


def test_a_healthy_run_exits_with_0(folder: Path) -> None:
    done = command.tidegate("doctor", folder / "well")
    assert (done.returncode, done.stderr) == (0, "")
    assert "epochs: 8" in done.stdout
    assert "healthy" in done.stdout
    assert said("doctor", folder / "well") == {"epochs": 8, "findings": [], "pictures": []}


def test_findings_exit_with_6(folder: Path) -> None:
    done = tidegate("doctor", folder / "slow")
    assert (done.exit_code, done.stderr) == (6, "")
    assert "warning learning_rate_too_low" in done.stdout
    assert "next: learning_rate = 0.000" in done.stdout
    told = tidegate("doctor", folder / "slow", "--json")
    assert told.exit_code == 6
    (finding,) = json.loads(told.stdout)["findings"]
    assert list(finding) == ["name", "severity", "evidence", "next_step"]
    assert finding["name"] == "learning_rate_too_low"


def test_every_picture_has_its_flag(folder: Path, tmp_path: Path) -> None:
    events = folder / "events.parquet"
    report = said(
        *("doctor", folder / "well", "--profile", "--memory", "--gates", "p7"),
        *("--events", events, "--out", tmp_path / "deep"),
    )
    names = [f"{of}.{kind}" for of in ("gates", "memory", "profile") for kind in ("png", "svg")]
    assert report["pictures"] == [str(tmp_path / "deep" / name) for name in names]
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == names
    assert "session p7" in (tmp_path / "deep" / "gates.svg").read_text()
    done = tidegate("doctor", folder / "slow", "--profile")  # also of a run with findings
    assert done.exit_code == 6
    assert (folder / "slow-pictures" / "profile.png").exists()


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (["nothing"], 3, "no_run"),
        (["events.parquet"], 3, "no_run"),
        (["."], 4, "bundle_missing"),
        (["well", "--memory"], 3, "missing_option"),
        (["well", "--gates", "p7"], 3, "missing_option"),
        (["well", "--gates", "nobody", "--events", "events.parquet"], 3, "unknown_session"),
        (["well", "--gates", "p7", "--events", "none.parquet"], 3, "file_not_found"),
    ],
)
def test_refusals_write_nothing(
    folder: Path, words: list[str], code: int, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    done = tidegate("doctor", *words)
    assert done.exit_code == code
    assert f"({error})" in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(folder.iterdir()) == before


def test_a_checkpoint_has_a_profile_and_no_states(folder: Path, tmp_path: Path) -> None:
    """A run that was not finished: `run` takes the checkpoint away only behind the bundle."""
    labels = np.tile([0.0, 1.0], 20)
    rows = labels[:, None].astype(np.float32)
    part = Sequences(rows, np.arange(0, 41, 4), labels, rows[:, 0])
    torch.manual_seed(0)  # some weights begin so that there is something to find
    network = Network(ModelSpec(1, (LayerSpec("gru", 2),), 1))
    path = tmp_path / "run.checkpoint"
    fit(network, TaskSpec("regress", "y"), part, part, TrainSettings(epochs=1), checkpoint=path)
    assert said("doctor", path)["epochs"] == 1
    assert "epochs: 1, unfinished" in tidegate("doctor", path).stdout
    assert said("doctor", tmp_path / "run", "--profile")["pictures"]
    done = tidegate("doctor", path, "--memory", "--events", folder / "events.parquet")
    assert done.exit_code == 4
    assert "(bundle_missing)" in done.stderr
