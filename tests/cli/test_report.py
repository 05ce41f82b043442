"""`tidegate report`: the page it writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import reportable
from click.testing import Result
from typer.testing import CliRunner

from tidegate.cli.app import app
from tidegate.train import load_config, run
from tidegate.train.report import words

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
noise = { kind = "numeric" }
[model]
hidden_size = 8
[train]
epochs = 4
batch_tokens = 400
learning_rate = 0.02
watch = "auc"
[bundle]
name = "pumps"
version = "1"
out = "pumps"
"""


def tidegate(*arguments: Any) -> Result:
    """The command line in this process: torch takes its time to load."""
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    rng = np.random.default_rng(1)
    noise = rng.normal(60, 10, (60, 15))
    pl.DataFrame(
        {
            "pump": np.repeat([f"p{i}" for i in range(60)], 15),
            "noise": noise.ravel(),
            "worn": ((noise > 70).cumsum(axis=1) >= 2).ravel(),
            "site": np.repeat(rng.choice(["north", "south"], 60), 15),
            "age": np.repeat(rng.random(60), 15),
            "nothing": pl.Series([None] * 900, dtype=pl.Boolean),
        }
    ).write_parquet(folder / "events.parquet")
    (folder / "train.toml").write_text(CONFIG)
    run(load_config(folder / "train.toml"), quiet=True)
    return folder


def test_the_page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    done = tidegate("report", "pumps", "events.parquet", "--segment", "site", "--segment", "age")
    assert done.exit_code == 0, done.stderr
    assert "note: these are the events that the model was made from" in done.stderr
    assert done.stdout == "report: report.html\n"
    found = reportable.Loads(Path("report.html").read_text())
    assert found.dangers == []
    metrics = json.loads(tidegate("evaluate", "pumps", "events.parquet", "--json").stdout)[
        "metrics"
    ]
    for name in ("log_loss", "brier", "accuracy", "auc"):
        assert words.number(metrics[name]) in found.words
    for word in ("AUC: ", "site", "north", "age", "Trained for 4 epochs"):
        assert any(word in text for text in found.words)


def test_a_metric_and_a_place(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "page.html"
    words_ = ("report", folder / "pumps", folder / "events.parquet", "--out", out)
    done = tidegate(*words_, "--metric", "brier", "--seed", 3)
    assert done.exit_code == 0, done.stderr
    assert "brier: 0." in out.read_text()
    assert "seed 3" in out.read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (["pumps", "events.parquet", "--label", "broken"], 3, "missing_column"),
        (["pumps", "events.parquet", "--label", "nothing"], 3, "no_labels"),
        (["pumps", "events.parquet", "--label", "site"], 3, "unknown_class"),
        (["pumps", "events.parquet", "--segment", "colour"], 3, "missing_column"),
        (["pumps", "events.parquet", "--metric", "f7"], 3, "unknown_metric"),
        (["pumps", "events.parquet", "--session", "none"], 3, "missing_column"),
        (["pumps", "none.parquet"], 3, "file_not_found"),
        (["nothing", "events.parquet"], 4, "bundle_missing"),
        (["pumps", "events.parquet", "--out", "train.toml/report.html"], 3, "cannot_write"),
    ],
)
def test_refusals_write_nothing(
    folder: Path, arguments: list[str], code: int, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    done = tidegate("report", *arguments)
    assert done.exit_code == code, done.stderr
    assert f"({error})" in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(folder.iterdir()) == before
