from __future__ import annotations

import hashlib
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest
from jams import CONFIG
from problem import Notes

from tidegate import bundle as bundles
from tidegate.engine import Engine
from tidegate.errors import InputError
from tidegate.train import Listener, load_config, run
from tidegate.train.history import Epoch


@pytest.fixture
def folder(drives: pl.DataFrame, tmp_path: Path) -> Path:
    drives.write_csv(tmp_path / "events.csv")
    (tmp_path / "train.toml").write_text(CONFIG)
    return tmp_path


class CtrlC(Listener):
    """Sends a real SIGINT to this process in the second epoch."""

    def __init__(self) -> None:
        self.epochs = 0

    def batch(self, events: int, loss: float, gradient_norm: float) -> None:
        if self.epochs == 1:
            signal.raise_signal(signal.SIGINT)

    def epoch(self, epoch: Epoch, watch: str, best: bool) -> None:
        self.epochs += 1


def test_a_configuration_becomes_a_bundle(folder: Path, drives: pl.DataFrame) -> None:
    notes = Notes()
    made = run(load_config(folder / "train.toml"), quiet=True, listeners=[notes])
    assert made.path == folder / "bundle"
    assert made.task.classes == ("slower", "faster")
    assert made.fingerprint == bundles.load(folder / "bundle").fingerprint
    Engine.open(made)
    content = (folder / "events.csv").read_bytes()
    provenance = made.provenance
    assert provenance["data"] == {
        "file": "events.csv",
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    assert provenance["columns"] == {"session": "car", "time": "at"}
    assert provenance["split"] == {"by": "time", "starts": [1e6, 2e6]}
    labelled = [
        drives.filter(pl.col("at").is_between(begin, begin + 9e5) & pl.col("jam").is_not_null())
        for begin in (0.0, 1e6, 2e6)
    ]
    sizes = {part: metrics["n"] for part, metrics in provenance["metrics"].items()}
    assert sizes == dict(zip(("train", "valid", "test"), map(len, labelled), strict=True))
    assert any("training part: 100 sessions" in note for note in notes.notes)
    assert sorted(p.name for p in folder.iterdir()) == ["bundle", "events.csv", "train.toml"]


@pytest.fixture
def heeded() -> Iterator[None]:
    """SIGINT is ignored in a process that a shell began in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded")
def test_after_ctrl_c_the_same_command_ends_with_the_same_weights(folder: Path) -> None:
    other = CONFIG.replace('out = "bundle"', 'out = "interrupted"')
    (folder / "interrupted.toml").write_text(other)
    whole = run(load_config(folder / "train.toml"), quiet=True)
    with pytest.raises(KeyboardInterrupt):
        run(load_config(folder / "interrupted.toml"), quiet=True, listeners=[CtrlC()])
    assert not (folder / "interrupted").exists()
    assert (folder / "interrupted.checkpoint").exists()
    rest = CtrlC()
    rest.epochs = 2  # never again
    resumed = run(load_config(folder / "interrupted.toml"), quiet=True, listeners=[rest])
    assert rest.epochs == 4  # the second and the third
    assert resumed.fingerprint == whole.fingerprint
    for name, array in whole.weights.items():
        np.testing.assert_array_equal(resumed.weights[name], array)
    assert not (folder / "interrupted.checkpoint").exists()


def test_sessions_can_be_split_at_random(folder: Path) -> None:
    start, end = CONFIG.index('by = "time"'), CONFIG.index("[task]")
    split = 'by = "session"\nfractions = [0.8, 0.2]\nseed = 5\n\n'
    (folder / "train.toml").write_text(CONFIG[:start] + split + CONFIG[end:])
    made = run(load_config(folder / "train.toml"), quiet=True)
    assert set(made.provenance["metrics"]) == {"train", "valid"}
    assert made.provenance["lengths"]["sessions"] == 136
    assert made.provenance["split"] == {"by": "session", "fractions": [0.8, 0.2], "seed": 5}


@pytest.mark.parametrize("per", ["event", "session"])
@pytest.mark.parametrize(
    ("at", "column", "value", "says"),
    [
        (3, "jam", "stuck", "'stuck' is not among ['slower', 'faster']"),  # training part
        (1_000_050, "jam", "stuck", "'stuck' is not among ['slower', 'faster']"),  # validation part
        (3, "lane", None, "is missing"),
        (1_000_050, "lane", None, "is missing"),
    ],
)
def test_errors_name_the_row_of_the_file(
    folder: Path, drives: pl.DataFrame, per: str, at: float, column: str, value: str, says: str
) -> None:
    last = drives.group_by("car").agg(pl.all().sort_by("at").last())  # of a session
    car = last.filter(pl.col("at") >= at).sort("at")["car"][0]
    spoilt = (pl.col("car") == car) & (pl.col("at") == pl.col("at").max().over("car"))
    mixed = drives.with_columns(pl.when(spoilt).then(pl.lit(value)).otherwise(column).alias(column))
    mixed = mixed.sample(fraction=1.0, shuffle=True, seed=1)
    row = 1 + mixed.select(spoilt.arg_max()).item()
    mixed.write_csv(folder / "events.csv")
    text = CONFIG.replace('name = "classify"', f'name = "classify"\nper = "{per}"')
    (folder / "train.toml").write_text(text)
    with pytest.raises(InputError) as caught:
        run(load_config(folder / "train.toml"), quiet=True)
    assert caught.value.field == column
    assert caught.value.message == f"row {row}: {says}"


@pytest.mark.parametrize(
    ("old", "new", "code", "field"),
    [
        ('"bundle"', '"kept"', "exists", "bundle.out"),
        ('"bundle"', '"kept"\noverwrite = true', "exists", "bundle.out"),
        ('"bundle"', '"events.csv/bundle"', "cannot_write", "bundle.out"),
        ('"jams"', f'"{"x" * 129}"', "bad_name", "bundle.name"),
        ('version = "1"', 'version = "1 beta"', "bad_name", "bundle.version"),
    ],
)
def test_a_bundle_that_could_not_be_written_is_refused_before_training(
    folder: Path, old: str, new: str, code: str, field: str
) -> None:
    (folder / "kept").mkdir()
    (folder / "kept" / "mine.txt").write_text("mine")
    (folder / "train.toml").write_text(CONFIG.replace(old, new))
    notes = Notes()
    with pytest.raises(InputError) as caught:
        run(load_config(folder / "train.toml"), quiet=True, listeners=[notes])
    assert (caught.value.code, caught.value.field) == (code, field)
    assert notes.notes == []
    assert (folder / "kept" / "mine.txt").read_text() == "mine"


def test_a_full_disk_is_said_and_costs_nothing_that_was_there(folder: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(InputError, match="free space") as caught:
            run(load_config(folder / "train.toml"), quiet=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.code == "cannot_write"
    assert sorted(p.name for p in folder.iterdir()) == ["events.csv", "train.toml"]


def test_it_prints_unless_quiet(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(load_config(folder / "train.toml"))
    assert "epoch 3/3" in capsys.readouterr().err
    config = folder / "train.toml"
    config.write_text(CONFIG.replace('"bundle"', '"other"'))
    run(load_config(config), quiet=True)
    assert capsys.readouterr().err == ""


REGRESS = CONFIG.replace('"jam"', '"cost"').replace(
    'name = "classify"\nclasses = ["slower", "faster"]', 'name = "regress"'
)


@pytest.mark.parametrize("per", ["event", "session"])
def test_the_task_knows_the_training_part_alone(
    folder: Path, drives: pl.DataFrame, per: str
) -> None:
    begins = pl.col("at").min().over("car")
    part = pl.when(begins < 1e6).then(1.0).when(begins < 2e6).then(1e3).otherwise(1e6)
    drives = drives.with_columns(cost=pl.col("speed") * part)
    drives.write_csv(folder / "events.csv")
    (folder / "train.toml").write_text(REGRESS.replace("[model]", f'per = "{per}"\n\n[model]'))
    made = run(load_config(folder / "train.toml"), quiet=True)
    train = drives.filter(begins < 1e6)
    if per == "session":
        train = train.sort("at").group_by("car", maintain_order=True).last()
    costs = train["cost"].to_numpy()
    assert made.task.target_mean == pytest.approx(costs.mean(), rel=1e-12)
    assert made.task.target_scale == pytest.approx(costs.std(), rel=1e-12)


class Changes(Listener):
    """Changes the events' file when training begins."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, epochs: int, done: int, events: int) -> None:
        self.path.write_text("something else")


def test_the_provenance_is_that_of_what_was_read(folder: Path) -> None:
    read = hashlib.sha256((folder / "events.csv").read_bytes()).hexdigest()
    changes = Changes(folder / "events.csv")
    made = run(load_config(folder / "train.toml"), quiet=True, listeners=[changes])
    assert (folder / "events.csv").read_text() == "something else"
    assert made.provenance["data"]["sha256"] == read


def test_the_revision_is_that_of_the_events_folder(folder: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        command = ["git", "-C", str(folder), *identity, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message=events")
    revision = git("rev-parse", "HEAD")
    made = run(load_config(folder / "train.toml"), quiet=True)
    assert made.provenance["git"] == revision


class Closes(Listener):
    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ('"events.csv"', '"none.csv"', "file_not_found"),
        ("2_000_000", "9_000_000", "empty_part"),
        ('"faster"]', '"fastest"]', "unknown_class"),
    ],
)
def test_listeners_are_closed_whatever_fails(folder: Path, old: str, new: str, code: str) -> None:
    (folder / "train.toml").write_text(CONFIG.replace(old, new))
    closes = Closes()
    with pytest.raises(InputError) as caught:
        run(load_config(folder / "train.toml"), quiet=True, listeners=[closes])
    assert caught.value.code == code
    assert closes.closed


def test_the_sessions_of_a_batch_that_burst_are_named(folder: Path, drives: pl.DataFrame) -> None:
    """A learning rate out of all bounds, in a network whose values have none."""
    config = CONFIG.replace("hidden_size = 8", 'hidden_size = 8\ncell = "rnn"\nactivation = "relu"')
    wild = 'optimizer = "sgd"\nlearning_rate = 1e30\nwarmup_steps = 0'
    config = config.replace("learning_rate = 0.02\nwarmup_steps = 5", wild)
    (folder / "train.toml").write_text(config)
    with pytest.raises(InputError, match=r"bundle\.bad_batches\.json") as caught:
        run(load_config(folder / "train.toml"), quiet=True)
    assert caught.value.code == "loss_not_finite"
    cars = set(drives.filter(pl.col("at") < 1e6)["car"])
    batches = msgspec.json.decode((folder / "bundle.bad_batches.json").read_bytes())
    assert len(batches) >= 3
    for batch in batches:
        assert {suspect["id"] for suspect in batch["suspects"]} <= cars
        assert not batch["suspects"][0]["finite_outputs"] or batch["what"] == "gradient"
    assert not (folder / "bundle").exists()
