from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.data.augment import Augment
from tidegate.errors import InputError
from tidegate.schema import Field, Time
from tidegate.train.config import load_config, parse_config
from tidegate.train.settings import TrainSettings

CONFIG = """
[data]
events = "events.csv"
session = "car"
time = "at"
label = "jam"

[schema.fields.speed]
kind = "numeric"
missing = "carry"

[schema.fields.lane]
kind = "category"
max_size = 3

[schema.time]
features = ["delta", "hour"]

[split]
by = "time"
valid_from = 2013-10-01
test_from = "2013-10-01T12:00:00+02:00"

[task]
name = "classify"

[model]
hidden_size = 16

[train]
learning_rate = 0.01

[bundle]
name = "jams"
version = "1"
out = "out/jams"
"""


def changed(old: str, new: str) -> str:
    assert old in CONFIG
    return CONFIG.replace(old, new)


def test_a_configuration_is_read_from_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "train.toml"
    path.write_text(CONFIG)
    config = load_config(path)
    assert Path(config.data.events) == tmp_path / "events.csv"
    assert Path(config.bundle.out) == tmp_path / "out" / "jams"
    assert config.schema.fields == {
        "speed": Field("numeric", missing="carry"),
        "lane": Field("category", max_size=3),
    }
    assert config.schema.time == Time(("delta", "hour"))
    assert config.model.hidden_size == 16
    assert config.train == TrainSettings(learning_rate=0.01)


def test_augmentation_is_a_table_of_its_own() -> None:
    config = parse_config(changed("[bundle]", "[train.augment]\nwarp = 0.1\nslice = 1\n[bundle]"))
    assert config.train == TrainSettings(learning_rate=0.01, augment=Augment(warp=0.1))


def test_absolute_paths_stay(tmp_path: Path) -> None:
    config = parse_config(changed('"events.csv"', f'"{tmp_path}/e.csv"'), folder="elsewhere")
    assert config.data.events == f"{tmp_path}/e.csv"


@pytest.mark.parametrize(
    "moment",
    [
        "2013-10-01",
        "2013-10-01T00:00:00Z",
        "2013-10-01T02:00:00+02:00",
        "2013-10-01 00:00:00",
        '"2013-10-01"',
        '"2013-10-01T00:00:00Z"',
        "1380585600",
        "1380585600.0",
    ],
)
def test_a_split_time_is_utc_unless_it_says_otherwise(moment: str) -> None:
    config = parse_config(changed("2013-10-01\n", f"{moment}\n"))
    assert config.split.starts == (1380585600.0, 1380585600.0 + 10 * 3600)


@pytest.mark.parametrize(
    ("old", "new", "code", "field", "hint"),
    [
        ("learning_rate", "learning_rat", "unknown_key", "train.learning_rat", "learning_rate"),
        ("[model]", "[modle]", "unknown_key", "modle", "did you mean model"),
        ("max_size", "maxsize", "unknown_key", "schema.fields.lane.maxsize", "max_size"),
        ("hidden_size", "xyz", "unknown_key", "model.xyz", "known are cell"),
        ('session = "car"', "", "missing_key", "data.session", ""),
        ("valid_from = 2013-10-01", "", "missing_key", "split.valid_from", "time"),
        ('"numeric"', '"numerical"', "wrong_type", "schema.fields.speed.kind", "numeric, category"),
        ("0.01", '"fast"', "wrong_type", "train.learning_rate", "float"),
        ("16", "16.5", "wrong_type", "model.hidden_size", "int"),
        ('["delta", "hour"]', '["day"]', "wrong_type", "schema.time.features", "day"),
        (
            '[schema.time]\nfeatures = ["delta", "hour"]',
            "[schema]\ntime = 5",
            "wrong_type",
            "schema.time",
            "write [schema.time]",
        ),
        ('time = "at"\n', "", "bad_config", "schema.time", "give data.time"),
        ("2013-10-01\n", "true\n", "wrong_type", "split.valid_from", "2013-10-01"),
        ("2013-10-01\n", '"soon"\n', "bad_time", "split.valid_from", "RFC 3339"),
        ("2013-10-01\n", "2014-10-01\n", "out_of_range", "split.test_from", "after"),
        ("16", "0", "out_of_range", "model.hidden_size", "1 or more"),
        ("16", "16\nzoneout = 1.0", "out_of_range", "model.zoneout", "less than 1"),
        ("16", "16\nrecurrent_dropout = -0.1", "out_of_range", "model.recurrent_dropout", "0 or"),
        ("16", "16\npeephole = true", "out_of_range", "model.peephole", "lstm"),
        ("16", '16\nactivation = "relu"', "out_of_range", "model.activation", "rnn"),
        ("16", '16\nbias = "both"', "wrong_type", "model.bias", "double, single, none"),
        ("16", '16\ninit = "chrono"', "out_of_range", "model.longest", "3 or more"),
        ("16", "16\nlongest = 50", "out_of_range", "model.longest", "chrono"),
        (
            "16",
            '16\ninit = "chrono"\nlongest = 9\nbias = "none"',
            "out_of_range",
            "model.init",
            "default",
        ),
        ("0.01", "nan", "out_of_range", "train.learning_rate", "above 0"),
        ("0.01", "0.01\nepochs = 0", "out_of_range", "train.epochs", "1 or more"),
        ("0.01", "0.01\nlanes = 0", "out_of_range", "train.lanes", "1 or more"),
        ("0.01", "0.01\nchunk = 0", "out_of_range", "train.chunk", "1 or more"),
        ("0.01", '0.01\nmode = "streams"', "wrong_type", "train.mode", "sessions, lanes"),
        ("0.01", "0.01\nmax_length = 0", "out_of_range", "train.max_length", "1 or more"),
        ("0.01", '0.01\ntruncate = "middle"', "wrong_type", "train.truncate", "head, tail, random"),
        ("0.01", '0.01\ntruncate = "windows"', "out_of_range", "train.max_length", "a number"),
        ("0.01", "0.01\nmax_length = 9\nstride = 3", "out_of_range", "train.stride", '"windows"'),
        (
            "0.01",
            '0.01\nmax_length = 9\ntruncate = "windows"\nstride = 10',
            "out_of_range",
            "train.stride",
            "1 to the length of a window (9)",
        ),
        ("0.01", "0.01\ncurriculum = 21", "out_of_range", "train.curriculum", "epochs (20)"),
        ("0.01", "0.01\naugment = 0.1", "wrong_type", "train.augment", "[train.augment]"),
        (
            "0.01",
            "0.01\n[train.augment]\njiter = 0.1",
            "unknown_key",
            "train.augment.jiter",
            "jitter",
        ),
        (
            "0.01",
            "0.01\n[train.augment]\nslice = 0.0",
            "out_of_range",
            "train.augment.slice",
            "at most 1",
        ),
        (
            "0.01",
            '0.01\n[train.augment]\nwarp = "slow"',
            "wrong_type",
            "train.augment.warp",
            "float",
        ),
        (
            "16\n\n[train]\n",
            '16\nbidirectional = true\n\n[train]\nmode = "lanes"\n',
            "bad_config",
            "model.bidirectional",
            'mode = "sessions"',
        ),
        (
            'name = "classify"\n\n[model]\nhidden_size = 16\n',
            'name = "language"\n\n[model]\nbidirectional = true\n',
            "bad_config",
            "model.bidirectional",
            "leave it out",
        ),
        (
            'name = "classify"\n\n[model]\nhidden_size = 16\n\n[train]\n',
            'name = "classify"\nper = "session"\n[train]\nmax_length = 9\ntruncate = "head"\n',
            "bad_config",
            "train.truncate",
            '"tail"',
        ),
        ('label = "jam"', 'label = "car"', "bad_config", "data.label", "to be learned"),
        ('label = "jam"', 'label = "at"', "bad_config", "data.label", "to be learned"),
        ('"classify"', '"classify"\nfield = "lane"', "unused_key", "task.field", "classify has"),
        ('"classify"', '"regress"\nclasses = ["a", "b"]', "unused_key", "task.classes", "regress"),
        ('"classify"', '"tag"\nitems = { k = 3 }', "unused_key", "task.items", "tag has"),
        ('"classify"', '"tag"\nanomaly = {}', "unused_key", "task.anomaly", "tag has"),
        ('"classify"', '"tag"\nforecast = { horizons = 1 }', "unused_key", "task.forecast", "tag"),
        (
            "valid_from = 2013-10-01",
            "seed = -1\nvalid_from = 5",
            "out_of_range",
            "split.seed",
            "0 or",
        ),
        ('kind = "numeric"', 'kind = "boolean"\nmax_size = 2', "bad_config", None, ""),
        ('"time"\n', '"time"\nfractions = [0.5, 0.5]\n', "unused_key", "split.fractions", "time"),
        ("[task]", "[task", "not_toml", "config", "toml"),
    ],
)
def test_a_wrong_key_is_named(old: str, new: str, code: str, field: str | None, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_config(changed(old, new))
    assert caught.value.code == code
    assert caught.value.field == (field or "schema.fields.speed")
    assert hint in caught.value.hint


@pytest.mark.parametrize("task", ["forecast", "next_item", "language", "anomaly"])
def test_what_is_foretold_is_not_read_backwards(task: str) -> None:
    other = changed('name = "classify"', f'name = "{task}"').replace('label = "jam"\n', "")
    parse_config(other)
    with pytest.raises(InputError, match=r"model\.bidirectional: .* foretold \(bad_config\)"):
        parse_config(other.replace("hidden_size = 16", "bidirectional = true"))


@pytest.mark.parametrize(
    ("fractions", "code"),
    [
        ("", "missing_key"),
        ("fractions = [0.5]", "bad_split"),
        ("fractions = [1.0]", "out_of_range"),
        ("fractions = [0.4, 0.3, 0.2, 0.1]", "out_of_range"),
        ("fractions = [0.5, 0.6]", "bad_split"),
        ("fractions = [1.5, -0.5]", "bad_split"),
        ("fractions = [0.5, 0.5]\nvalid_from = 5", "unused_key"),
    ],
)
def test_shares_of_sessions_are_checked(fractions: str, code: str) -> None:
    start, end = CONFIG.index('by = "time"'), CONFIG.index("[task]")
    text = CONFIG[:start] + f'by = "session"\n{fractions}\n' + CONFIG[end:]
    with pytest.raises(InputError) as caught:
        parse_config(text)
    assert caught.value.code == code
    if code != "unused_key":
        assert caught.value.field == "split.fractions"
    good = CONFIG[:start] + 'by = "session"\nfractions = [0.8, 0.1, 0.1]\n' + CONFIG[end:]
    assert parse_config(good).split.fractions == (0.8, 0.1, 0.1)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.toml") as caught:
        load_config(tmp_path / "none.toml")
    assert caught.value.code == "missing_file"
