"""`tidegate check data`: what it prints, how it exits, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import command
import polars as pl
import pytest
from checkable import STARTS, honest

CONFIG = """
[data]
events = "{events}"
session = "id"
time = "at"
label = "worn"
[task]
name = "classify"
[split]
{split}
[schema.fields]
noise = {{ kind = "numeric" }}
site = {{ kind = "category" }}
{more}
[bundle]
name = "pumps"
version = "1"
out = "pumps"
"""
BY_TIME = f'by = "time"\nvalid_from = {STARTS[0]}\ntest_from = {STARTS[1]}'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    frame = honest().with_columns(alarm=pl.col("worn") * 10, copy=pl.col("id"), same=pl.lit(0.5))
    frame.write_parquet(tmp_path / "events.parquet")
    return tmp_path


def write(
    folder: Path, more: str = "", split: str = BY_TIME, events: str = "events.parquet"
) -> None:
    text = CONFIG.format(events=events, split=split, more=more)
    (folder / "train.toml").write_text(text)


@pytest.mark.parametrize("split", [BY_TIME, 'by = "session"\nfractions = [0.8, 0.2]'])
def test_clean_data_exit_with_0(folder: Path, split: str) -> None:
    write(folder, 'same = { kind = "numeric" }', split)
    done = command.tidegate("check", "data", folder / "train.toml")
    assert (done.returncode, done.stderr) == (0, "")
    assert "note constant_field" in done.stdout  # a note does not count
    assert sorted(path.name for path in folder.iterdir()) == ["events.parquet", "train.toml"]
    write(folder, split=split)
    said = command.said("check", "data", folder / "train.toml")
    assert said["findings"] == []
    assert said["parts"]["training"]["sessions"] == (150 if split == BY_TIME else 160)


def test_findings_exit_with_6(folder: Path) -> None:
    write(folder, 'alarm = { kind = "numeric" }')
    done = command.tidegate("check", "data", folder / "train.toml")
    assert (done.returncode, done.stderr) == (6, "")
    assert "serious target_among_fields" in done.stdout
    assert "next: leave alarm out" in done.stdout
    done = command.tidegate("check", "data", folder / "train.toml", "--json")
    assert done.returncode == 6
    (finding,) = json.loads(done.stdout)["findings"]
    assert list(finding) == ["name", "severity", "evidence", "next_step"]


def test_a_class_that_training_never_saw_is_found_and_not_refused(folder: Path) -> None:
    late = (pl.col("at") >= STARTS[1]) & (pl.col("noise") > 0)
    fresh = honest().with_columns(worn=pl.when(late).then(2).otherwise("worn"))
    fresh.write_parquet(folder / "events.parquet")
    write(folder)
    done = command.tidegate("check", "data", folder / "train.toml")
    assert done.returncode == 6
    assert "warning unseen_class" in done.stdout
    refused = command.tidegate("train", folder / "train.toml")
    assert "(unknown_class)" in refused.stderr


@pytest.mark.parametrize(
    ("more", "events", "error"),
    [
        ('worn = { kind = "numeric" }', "events.parquet", "label_is_field"),
        ('alarms = { kind = "numeric" }', "events.parquet", "missing_column"),
        ('site2 = { kind = "text" }', "events.parquet", "wrong_type"),
        ("", "none.parquet", "file_not_found"),
        ("", "train.toml", "unsupported_source"),
    ],
)
def test_refusals(folder: Path, more: str, events: str, error: str) -> None:
    write(folder, more, events=events)
    done = command.tidegate("check", "data", folder / "train.toml")
    assert done.returncode == 3
    assert f"({error})" in done.stderr
    assert done.stderr.count("\n") == 1
