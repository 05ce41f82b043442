"""`tidegate compress`: what it writes, what it reports, and what it refuses."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from command import said, tidegate

from tidegate import bundle as bundles
from tidegate.spec import LayerSpec


@pytest.fixture
def source(make_bundle, tmp_path):
    """An RNN: rounding changes it more than other cells."""
    layer = LayerSpec("rnn", 96)
    bundles.save(make_bundle((layer, layer)), tmp_path / "small")
    return tmp_path / "small"


@pytest.fixture
def labelled(frame, tmp_path):
    frame.write_parquet(tmp_path / "events.parquet")
    return tmp_path / "events.parquet"


def probabilities(bundle: Path, events: Path) -> np.ndarray:
    answers = events.with_name("answers.parquet")
    said("score", bundle, events, "--out", answers)
    return pl.read_parquet(answers)["probabilities.yes"].to_numpy()


@pytest.mark.parametrize("precision", ["int8", "bf16"])
def test_accuracy_before_and_after(source, labelled, tmp_path, precision) -> None:
    before = said("evaluate", source, labelled)["metrics"]
    report = said("compress", source, f"--{precision}", "--eval", labelled)
    out = tmp_path / f"small-{precision}"
    assert report["bundle"] == str(out)
    loaded = bundles.load(out)
    assert (loaded.version, loaded.precision) == (f"1-{precision}", precision)
    assert report["fingerprint"] == loaded.fingerprint.hex()
    after = said("evaluate", out, labelled)["metrics"]
    assert (report["metrics"]["before"], report["metrics"]["after"]) == (before, after)
    assert report["metrics"]["difference"]["brier"] == after["brier"] - before["brier"] != 0
    files = [(folder / "weights.safetensors").stat().st_size for folder in (source, out)]
    assert list(report["weight_bytes"].values()) == files
    assert files[1] < files[0] * 0.6
    scores = [probabilities(folder, labelled) for folder in (source, out)]
    logits = [np.log(p) - np.log1p(-p) for p in scores]
    assert report["largest_difference"] == pytest.approx(
        np.abs(logits[1] - logits[0]).max(), rel=1e-3
    )
    inspected = said("inspect", out)
    assert (inspected["precision"], inspected["verified"]) == (precision, True)
    assert inspected["parameters"] == said("inspect", source)["parameters"]
    assert inspected["provenance"]["metrics"][f"events.parquet ({precision})"] == after
    assert f"in {precision}" in tidegate("inspect", out).stdout.replace("\n", " ")


def test_the_table_and_the_options(source, labelled, tmp_path) -> None:
    out = tmp_path / "deep" / "b"
    done = tidegate("compress", source, "--int8", "--out", out, "--version", "2.0")
    assert (done.returncode, done.stderr) == (0, "")
    assert "largest change of an output" in done.stdout
    assert "--eval EVENTS measures" in done.stdout
    assert bundles.load(out).version == "2.0"
    again = ["compress", source, "--bf16", "--out", out, "--eval", labelled]
    refused = tidegate(*again)
    assert refused.returncode == 3
    assert "(exists)" in refused.stderr
    assert bundles.load(out).version == "2.0"
    shown = tidegate(*again, "--overwrite").stdout
    assert bundles.load(out).version == "1-bf16"
    for word in ("weights, bytes", "log_loss", "auc", "difference", "labels of"):
        assert word in shown


def test_a_loss_that_is_too_large_writes_nothing(source, frame, tmp_path) -> None:
    """Labels that int8 moves away from are a loss in every metric, their opposites a gain."""
    frame.write_parquet(tmp_path / "events.parquet")
    said("compress", source, "--int8", "--out", tmp_path / "int8")
    fp32, int8 = (
        probabilities(folder, tmp_path / "events.parquet") for folder in (source, tmp_path / "int8")
    )
    for name, is_yes in (("loss", int8 < fp32), ("gain", int8 > fp32)):
        labels = pl.Series("late", np.where(is_yes, "yes", "no"))
        frame.with_columns(labels).write_parquet(tmp_path / f"{name}.parquet")
    out = tmp_path / "b"
    given = ["compress", source, "--int8", "--out", out, "--eval"]
    for metric in ("log_loss", "auc"):  # lower is better, higher is better
        done = tidegate(*given, tmp_path / "loss.parquet", "--max-loss", f"{metric}=1e-9", "--json")
        assert done.returncode == 6
        change = abs(json.loads(done.stdout)["metrics"]["difference"][metric])
        assert f"error: {metric} is worse by {change:.4g}, 1e-09 is allowed" in done.stderr
        assert "nothing was written" in done.stderr
        assert not out.exists()
        said(*given, tmp_path / "gain.parquet", "--max-loss", f"{metric}=0")
        allowed = f"{metric}={change}"
        said(*given, tmp_path / "loss.parquet", "--max-loss", allowed, "--overwrite")
        shutil.rmtree(out)


def test_what_is_refused(source, labelled, frame, tmp_path) -> None:
    said("compress", source, "--int8", "--out", tmp_path / "int8")
    frame.drop("speed").write_parquet(tmp_path / "incomplete.parquet")
    given = ["compress", source, "--int8", "--out", tmp_path / "b"]
    cases = [
        (2, "Missing option", ["compress", source]),
        (3, "already_compressed", ["compress", tmp_path / "int8", "--bf16"]),
        (3, "speed", [*given, "--eval", tmp_path / "incomplete.parquet"]),
        (3, "bad_name", [*given, "--version", "a b"]),
        (3, "missing_option", [*given, "--max-loss", "auc=0.1"]),
        (3, "bad_limit", [*given, "--eval", labelled, "--max-loss", "auc"]),
        (3, "bad_limit", [*given, "--eval", labelled, "--max-loss", "auc=-1"]),
        (3, "bad_limit", [*given, "--eval", labelled, "--max-loss", "auc=nan"]),
        (3, "use one of log_loss", [*given, "--eval", labelled, "--max-loss", "rmse=0.1"]),
        (4, "bundle_missing", ["compress", tmp_path / "nowhere", "--int8"]),
    ]
    for code, says, arguments in cases:
        done = tidegate(*arguments)
        assert done.returncode == code, (arguments, done.stderr)
        assert says in done.stderr
        assert "Traceback" not in done.stderr
        assert done.stdout == ""
    assert not (tmp_path / "b").exists()


def test_events_without_labels_show_how_outputs_change(make_bundle, frame, tmp_path) -> None:
    unlabelled = frame.with_columns(late=pl.lit(None, dtype=pl.String))
    unlabelled.write_parquet(tmp_path / "e.parquet")
    bundles.save(make_bundle(), tmp_path / "b")
    report = said("compress", tmp_path / "b", "--int8", "--eval", tmp_path / "e.parquet")
    assert report["metrics"]["difference"] == {}
    assert report["largest_difference"] > 0


def test_no_torch_is_needed(source, labelled) -> None:
    code = (
        "import sys; sys.modules['torch'] = None; sys.argv = ['tidegate', *sys.argv[1:]]\n"
        "from tidegate.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "compress", source, "--int8", "--eval", labelled]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
