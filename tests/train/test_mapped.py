"""Training on files: the same bits as in memory, and little of them in memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import jams
import numpy as np
import polars as pl
import pytest
from problem import Notes

from tidegate.bundle import Bundle
from tidegate.errors import InputError
from tidegate.tables import pieces, regrouping
from tidegate.train import load_config, run
from tidegate.train import mapped as mapped_
from tidegate.train.history import Epoch

LOADED = jams.CONFIG.replace('"events.csv"', '"events.parquet"').replace('"bundle"', '"loaded"')
MAPPED = LOADED.replace('label = "jam"', 'label = "jam"\nmemory = "map"').replace(
    '"loaded"', '"mapped"'
)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE", 100)
    monkeypatch.setattr(regrouping, "BYTES", 4000)


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


@pytest.mark.parametrize(
    "task",
    [
        'name = "forecast"\nfield = "speed"\nforecast = {horizons = 3, coverage = 0.8}',
        'name = "next_item"\nfield = "lane"',
        'name = "language"\nfield = "lane"',
        'name = "anomaly"',
    ],
    ids=["forecast", "next_item", "language", "anomaly"],
)
def test_tasks_without_labels_are_those_of_the_loaded_table(folder: Path, task: str) -> None:
    bundles = []
    for text in (LOADED, MAPPED):
        text = text.replace('label = "jam"\n', "").replace('name = "classify"', task)
        bundles.append(train(folder, text.replace('classes = ["slower", "faster"]\n', "")))
    assert_same(*bundles)


def test_tags_that_the_sample_lacks_are_known(folder: Path) -> None:
    frame = pl.read_parquet(folder / "events.parquet")
    rare = pl.when(pl.col("at") == frame["at"].min()).then(pl.lit("rare"))
    frame = frame.with_columns(jam=rare.otherwise(pl.col("jam").cast(pl.String)))
    frame.write_parquet(folder / "events.parquet")
    text = MAPPED.replace('name = "classify"\nclasses = ["slower", "faster"]', 'name = "tag"')
    made = train(folder, text.replace('memory = "map"', 'memory = "map"\nsample = 10'))
    assert "rare" in made.task.classes


def test_the_files_are_found_again_until_something_changes(folder: Path) -> None:
    def made(text: str, *, resume: bool = True) -> int:
        train(folder, text + "overwrite = true\n", resume=resume)
        return (folder / "mapped.cache" / "about.json").stat().st_ino

    first = made(MAPPED)
    assert made(MAPPED.replace("hidden_size = 8", "hidden_size = 4")) == first
    assert made(MAPPED, resume=False) != first
    other = made(MAPPED.replace("2_000_000", "2_000_500"))
    assert other != first
    frame = pl.read_parquet(folder / "events.parquet")
    frame.with_columns(pl.col("speed") ** 2).write_parquet(folder / "events.parquet")
    was = np.load(folder / "mapped.cache" / "train.rows.npy")
    made(MAPPED)
    assert not np.array_equal(np.load(folder / "mapped.cache" / "train.rows.npy"), was)
    (folder / "mapped.cache" / "about.json").write_text("{")
    made(MAPPED)
    left = sorted(path.name for path in folder.iterdir())
    assert left == ["events.parquet", "mapped", "mapped.cache", "train.toml"]


def test_after_ctrl_c_it_goes_on_to_the_same_weights_unless_events_changed(folder: Path) -> None:
    class Break(Notes):
        def epoch(self, epoch: Epoch, watch: str, best: bool) -> None:
            if epoch.epoch == 2:
                raise KeyboardInterrupt

    whole = train(folder, MAPPED.replace('"mapped"', '"whole"'))
    with pytest.raises(KeyboardInterrupt):
        train(folder, MAPPED, Break())
    events = (folder / "events.parquet").read_bytes()
    changed = pl.read_parquet(folder / "events.parquet").with_columns(pl.col("speed") + 1)
    changed.write_parquet(folder / "events.parquet")
    with pytest.raises(InputError) as caught:
        train(folder, MAPPED)
    assert caught.value.code == "checkpoint_mismatch"
    (folder / "events.parquet").write_bytes(events)
    notes = Notes()
    resumed = train(folder, MAPPED, notes)
    assert any("going on after epoch 1" in note for note in notes.notes)
    assert_same(whole, resumed)


def test_events_that_change_while_they_are_read_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, make = folder / "events.parquet", mapped_._make

    def make_and_change(*given: Any) -> Any:
        made = make(*given)
        path.write_bytes(path.read_bytes() + b"more")
        return made

    monkeypatch.setattr(mapped_, "_make", make_and_change)
    with pytest.raises(InputError) as caught:
        train(folder, MAPPED)
    assert caught.value.code == "data_changed"
    assert not (folder / "mapped.cache").exists()


def test_a_part_larger_than_the_sample_is_learned_whole(folder: Path) -> None:
    text = MAPPED.replace('memory = "map"', 'memory = "map"\nsample = 60')
    # One session has a class that no other has: a sample is unlikely to hold it.
    frame = pl.read_parquet(folder / "events.parquet").sort("at")
    rare = pl.when(pl.int_range(pl.len()) == 50).then(pl.lit("stuck")).otherwise("jam")
    frame.with_columns(jam=rare).write_parquet(folder / "events.parquet")
    text = text.replace('classes = ["slower", "faster"]', "")
    made = train(folder, text)
    sample = made.provenance["sample"]
    assert 40 <= sample["events"] <= 60
    assert made.task.classes == ("faster", "slower", "stuck")
    assert made.baseline["events"] == sample["events"]
    lengths = made.provenance["lengths"]
    assert lengths["sessions"] == 100
    assert lengths["events"] == len(np.load(folder / "mapped.cache" / "train.rows.npy"))
    again = train(folder, text.replace('"mapped"', '"again"'))
    assert_same(made, again)


def test_a_folder_of_files_trains_either_way(folder: Path) -> None:
    frame = pl.read_parquet(folder / "events.parquet")
    (folder / "events").mkdir()
    for number in range(3):
        frame[number::3].write_parquet(folder / "events" / f"{number}.parquet")
    one, other = (
        train(folder, text.replace("events.parquet", "events")) for text in (LOADED, MAPPED)
    )
    assert_same(one, other)
    assert one.provenance["data"]["file"] == "events"


@pytest.mark.parametrize(
    ("old", "new", "code", "field"),
    [
        ("test_from = 2_000_000", "test_from = 9_000_000", "empty_part", "until"),
        ("epochs = 3", "epochs = 3\naugment = {warp = 0.1}", "bad_config", "train.augment.warp"),
        ("epochs = 3", "epochs = 3\naugment = {jitter = 1}", "bad_config", "train.augment.jitter"),
        ('memory = "map"', 'memory = "map"\nsample = 0', "out_of_range", "data.sample"),
        ('memory = "map"', 'memory = "disk"', "wrong_type", "data.memory"),
        ('by = "time"', 'by = "cut"', "bad_config", "data.memory"),
        ("events.parquet", "events.csv", "unsupported_source", None),
        ("events.parquet", "none.parquet", "file_not_found", None),
        ('classes = ["slower", "faster"]', 'classes = ["slower", "no"]', "unknown_class", "jam"),
        ('"jam"', '"none"', "missing_column", "none"),
    ],
)
def test_what_is_refused_leaves_nothing(
    folder: Path, old: str, new: str, code: str, field: str | None
) -> None:
    (folder / "events.csv").write_text("car\n")
    with pytest.raises(InputError) as caught:
        train(folder, MAPPED.replace(old, new))
    assert caught.value.code == code
    assert field in (None, caught.value.field)
    left = sorted(path.name for path in folder.iterdir())
    assert left == ["events.csv", "events.parquet", "train.toml"]


def test_errors_name_the_row_of_the_file(folder: Path) -> None:
    frame = pl.read_parquet(folder / "events.parquet")
    row = int(frame["at"].arg_max() or 0)
    lane = pl.when(pl.int_range(pl.len()) == row).then(None).otherwise("lane")
    spoilt = frame.with_columns(lane=lane)
    spoilt.write_parquet(folder / "events.parquet")
    for text in (LOADED, MAPPED):
        with pytest.raises(InputError) as caught:
            train(folder, text)
        assert caught.value.field == "lane"
        assert caught.value.message.startswith(f"row {row + 1}: ")


MEMORY = """
import resource, sys
from tidegate.train import load_config, run
from tidegate.train import mapped as mapped_
from tidegate.train.history import Epoch

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

run(load_config(sys.argv[1]), quiet=True)
before = peak()
run(load_config(sys.argv[2]), quiet=True)
print(peak() - before)
"""


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    names = [f"x{i}" for i in range(96)]
    fields = "\n".join(f'{name} = {{kind = "numeric"}}' for name in names)
    text = MAPPED[: MAPPED.index("[schema.fields]")] + "[schema.fields]\n" + fields + "\n"
    text += MAPPED[MAPPED.index("[split]") :].replace(BY_TIME, BY_SESSION)
    text = text.replace("0.6, 0.2, 0.2", "0.96, 0.02, 0.02")  # a batch that is measured is large
    text = text.replace("epochs = 3", "epochs = 1").replace(
        'memory = "map"', "memory = 'map'\nsample = 9000"
    )
    rng = np.random.default_rng(1)
    for name, files in (("small", 6), ("large", 22)):
        (tmp_path / name).mkdir()
        for number in range(files):
            values = rng.normal(size=(96, 20_000)).astype(np.float32)
            sessions = rng.permutation(np.repeat(np.arange(2000), 10)) + 2000 * (number // 2)
            about = {"car": sessions, "at": np.arange(20_000.0) + number * 1e6}
            labels = np.where(values[0] > 0, "faster", "slower")
            columns = dict(zip(names, values, strict=True))
            frame = pl.DataFrame({**about, "jam": labels, **columns})
            frame.write_parquet(tmp_path / name / f"{number:02}.parquet", row_group_size=5000)
        changed = text.replace("events.parquet", name).replace('"mapped"', f'"{name}-bundle"')
        (tmp_path / f"{name}.toml").write_text(changed)
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, *(tmp_path / f"{name}.toml" for name in ("small", "large"))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = sum(path.stat().st_size for path in tmp_path.glob("large-bundle.cache/*.rows.npy"))
    assert rows > 150e6
    assert int(done.stdout) < 80, done.stdout  # MB; loaded, it is several times the rows
