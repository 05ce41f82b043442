"""Training on files: the same bits as in memory, and little of them in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from problem import Notes

from tidegate.bundle import Bundle
from tidegate.tables import pieces, regrouping
from tidegate.train import load_config, run

LOADED = """
[data]
events = "events.parquet"
session = "car"
time = "at"
label = "jam"

[schema.fields]
speed = {kind = "numeric"}
lane = {kind = "category"}

[split]
by = "time"
valid_from = 1_000_000
test_from = 2_000_000

[task]
name = "classify"
classes = ["slower", "faster"]

[model]
hidden_size = 8

[train]
epochs = 3
batch_tokens = 256
learning_rate = 0.02
warmup_steps = 5

[bundle]
name = "jams"
version = "1"
out = "loaded"
"""
MAPPED = LOADED.replace('label = "jam"', 'label = "jam"\nmemory = "map"').replace(
    '"loaded"', '"mapped"'
)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE", 100)
    monkeypatch.setattr(regrouping, "BLOCK", 90)


@pytest.fixture
def folder(drives: pl.DataFrame, tmp_path: Path) -> Path:
    mixed = drives.sample(fraction=1.0, shuffle=True, seed=1)  # sessions span all row groups
    mixed.write_parquet(tmp_path / "events.parquet", row_group_size=64)
    return tmp_path


def train(folder: Path, text: str, notes: Notes | None = None, *, resume: bool = True) -> Bundle:
    (folder / "train.toml").write_text(text)
    told = [] if notes is None else [notes]
    return run(load_config(folder / "train.toml"), quiet=True, listeners=told, resume=resume)


def assert_same(one: Bundle, other: Bundle) -> None:
    assert one.weights.keys() == other.weights.keys()
    for name, array in one.weights.items():
        np.testing.assert_array_equal(other.weights[name], array)
    assert one.schema.to_dict() == other.schema.to_dict()
    assert one.task == other.task
    assert one.baseline == other.baseline
    assert one.fingerprint == other.fingerprint
    for name in ("metrics", "lengths", "data", "split", "given"):
        assert one.provenance[name] == other.provenance[name]


BY_SESSION = 'by = "session"\nfractions = [0.6, 0.2, 0.2]\nseed = 5'
BY_TIME = 'by = "time"\nvalid_from = 1_000_000\ntest_from = 2_000_000'


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        (BY_TIME, BY_SESSION),
        ("epochs = 3", 'epochs = 3\nmode = "lanes"\nlanes = 8\nchunk = 4'),
        ("epochs = 3", "epochs = 3\nmax_length = 4\ncurriculum = 2\naugment = {slice = 0.5}"),
        ('name = "classify"\nclasses = ["slower", "faster"]', 'name = "classify"\nper = "session"'),
        ('"jam"', '"speed2"'),
        ('time = "at"\n', ""),
    ],
)
def test_the_bundle_is_that_of_the_loaded_table(folder: Path, old: str, new: str) -> None:
    loaded, mapped = LOADED, MAPPED
    if new == '"speed2"':
        pl.read_parquet(folder / "events.parquet").with_columns(
            speed2=pl.col("speed").round(0)
        ).write_parquet(folder / "events.parquet")
        task = ('name = "classify"\nclasses = ["slower", "faster"]', 'name = "regress"')
        loaded, mapped = loaded.replace(*task), mapped.replace(*task)
    if not new:
        split = (BY_TIME, BY_SESSION)
        loaded, mapped = loaded.replace(*split), mapped.replace(*split)
    notes, others = Notes(), Notes()
    one = train(folder, loaded.replace(old, new), notes)
    other = train(folder, mapped.replace(old, new), others)
    assert_same(one, other)
    said = [note for note in others.notes if "mapped.cache" not in note]
    assert said == notes.notes
    events = other.provenance["sample"]["events"]
    assert events == other.provenance["lengths"]["events"]
