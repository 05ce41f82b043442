"""`tidegate tune`: what it prints and writes, Ctrl-C, and what it refuses."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import command
import pytest
from checkable import STARTS, honest

CONFIG = f"""
[data]
events = "events.parquet"
session = "id"
time = "at"
label = "worn"
[task]
name = "classify"
[split]
by = "time"
valid_from = {STARTS[0]}
test_from = {STARTS[1]}
[schema.fields]
noise = {{ kind = "numeric" }}
[train]
epochs = 2
batch_tokens = 400
[bundle]
name = "pumps"
version = "1"
out = "pumps"
[tune]
defaults = false
startup = 4
[tune.space]
"model.hidden_size" = [2, 3, 4]
"train.learning_rate" = {{ low = 1e-3, high = 0.1, log = true }}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    honest().write_parquet(tmp_path / "events.parquet")
    (tmp_path / "train.toml").write_text(CONFIG)
    return tmp_path / "train.toml"


def test_ctrl_c_leaves_a_study_that_goes_on(config: Path) -> None:
    line = [sys.executable, "-m", "tidegate", "tune", str(config), "--trials", "1000"]
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as tuning:
        assert tuning.stderr is not None
        for said in tuning.stderr:
            if said.startswith("trial 1:"):
                tuning.send_signal(signal.SIGINT)
                break
        rest = tuning.stderr.read()
    assert tuning.returncode == 130
    told = re.search(r"interrupted after (\d+) trials: the same command goes on from", rest)
    assert told, rest
    finished = int(told[1])
    wanted = finished + 2
    done = command.tidegate("tune", config, "--trials", wanted)
    assert done.returncode == 0, done.stderr
    assert f"going on after {finished} finished trials" in done.stderr
    assert f"trials: {wanted} finished" in done.stdout
    folder = config.parent / "train-tune"
    assert f"next: tidegate train {folder / 'best.toml'}" in done.stdout
    said = command.said("tune", config, "--trials", wanted)
    assert len(said["trials"]) == wanted
    assert said["best"]["value"] == min(trial["value"] for trial in said["trials"])
    assert said["config"] == str(folder / "best.toml")
    assert all(Path(path).is_file() for path in said["pages"])


def test_refusals(config: Path) -> None:
    config.write_text(CONFIG.replace('"model.hidden_size"', '"model.hiden_size"'))
    done = command.tidegate("tune", config, "--trials", "1")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.count("\n") == 1
    assert "tune.space.model.hiden_size: no such key (unknown_key)" in done.stderr
    assert "did you mean hidden_size?" in done.stderr
    assert not (config.parent / "train-tune").exists()
