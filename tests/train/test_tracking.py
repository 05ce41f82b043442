"""Runs in MLflow, against a real store: a database in a file."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import jams
import msgspec
import polars as pl
import pytest
from problem import Notes

from tidegate import bundle as bundles
from tidegate import mlflow as flavour
from tidegate import scoring
from tidegate.engine import offline
from tidegate.errors import InputError
from tidegate.train import Listener, load_config, run
from tidegate.train.history import Epoch
from tidegate.train.progress import scalars
from tidegate.train.tracking import default_uri

CONFIG = jams.CONFIG.replace(
    'speed = {kind = "numeric"}', 'speed = {kind = "numeric", clip = [0.001, 0.999]}'
)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One database for all tests: making its tables takes seconds."""
    return default_uri(tmp_path_factory.mktemp("store"))


def folder_of(drives: pl.DataFrame, folder: Path, name: str) -> Path:
    drives.write_csv(folder / "events.csv")
    (folder / "train.toml").write_text(CONFIG.replace('"jams"', f'"{name}"'))
    return folder


def client(store: str) -> Any:
    return flavour.package().MlflowClient(tracking_uri=store)


def runs(store: str, name: str) -> list[Any]:
    found = client(store).get_experiment_by_name(name)
    return list(client(store).search_runs([found.experiment_id]))


def check_history(store: str, run_id: str, made: bundles.Bundle) -> None:
    """Check that every number of every epoch was logged once, as it is."""
    epochs = msgspec.convert(made.provenance["history"], list[Epoch])
    wanted: dict[str, list[tuple[int, float]]] = {}
    for epoch in epochs:
        for name, value in scalars(epoch).items():
            wanted.setdefault(name, []).append((epoch.epoch, value))
    assert len(epochs) == 3
    for name, values in wanted.items():
        logged = client(store).get_metric_history(run_id, name)
        assert sorted((each.step, each.value) for each in logged) == values, name


def test_a_run_is_logged_and_its_model_answers_as_score_does(
    drives: pl.DataFrame, tmp_path: Path, store: str
) -> None:
    folder = folder_of(drives, tmp_path, "whole")
    made = run(load_config(folder / "train.toml"), quiet=True, mlflow=store)
    (logged,) = runs(store, "whole")
    assert (logged.info.status, logged.info.run_name) == ("FINISHED", "1")
    parameters = logged.data.params
    assert parameters["train.learning_rate"] == "0.02"
    assert parameters["schema.fields.speed.clip"] == "[0.001, 0.999]"
    assert parameters["data.events"] == str(folder / "events.csv")
    check_history(store, logged.info.run_id, made)
    for part, values in made.provenance["metrics"].items():
        for name, value in values.items():
            assert logged.data.metrics[f"final/{part}/{name}"] == value
    artifacts = client(store).list_artifacts(logged.info.run_id)
    assert {each.path for each in artifacts} == {"card.md", "config.json"}
    assert not (folder / "bundle.mlflow").exists()

    (output,) = logged.outputs.model_outputs
    model = client(store).get_logged_model(output.model_id)
    assert model.experiment_id == logged.info.experiment_id
    beside = Path(store.removeprefix("sqlite:///")).parent / "mlartifacts"
    assert model.artifact_location.startswith(beside.as_uri())
    uri = f"models:/{output.model_id}"
    frame = pl.read_csv(folder / "events.csv")
    answered = flavour.load_model(uri, tracking_uri=store).predict(frame.to_pandas())
    table = scoring.read(made, folder / "events.csv")
    wanted = scoring.answer(made, offline.open(made), table)
    assert list(answered.columns) == list(wanted)
    for name, column in wanted.items():
        assert answered[name].tolist() == column.tolist(), name

    program = (
        "import sys; from tidegate import mlflow; import polars as pl\n"
        f"model = mlflow.load_model({uri!r}, tracking_uri={store!r})\n"
        f"found = model.predict(pl.read_csv({str(folder / 'events.csv')!r}).to_pandas())\n"
        "print(len(found), 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=250
    )
    assert done.stdout.split() == [str(len(frame)), "False"]


class CtrlC(Listener):
    """Sends a real SIGINT to this process in the second epoch."""

    epochs = 0

    def batch(self, events: int, loss: float, gradient_norm: float) -> None:
        if self.epochs == 1:
            signal.raise_signal(signal.SIGINT)

    def epoch(self, epoch: Epoch, watch: str, best: bool) -> None:
        self.epochs += 1


def test_a_resumed_training_goes_on_with_its_run(
    drives: pl.DataFrame, tmp_path: Path, store: str
) -> None:
    config = load_config(folder_of(drives, tmp_path, "resumed") / "train.toml")
    with pytest.raises(KeyboardInterrupt):
        run(config, quiet=True, mlflow=store, listeners=[CtrlC()])
    assert [each.info.status for each in runs(store, "resumed")] == ["KILLED"]
    assert (tmp_path / "bundle.mlflow").exists()
    made = run(config, quiet=True, mlflow=store)
    (logged,) = runs(store, "resumed")
    assert logged.info.status == "FINISHED"
    check_history(store, logged.info.run_id, made)


class Breaks(Listener):
    """Takes the table of metrics away in the first epoch, and gives it back in the last."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def epoch(self, epoch: Epoch, watch: str, best: bool) -> None:
        names = {1: ("metrics", "away"), 3: ("away", "metrics")}.get(epoch.epoch)
        if names:
            with contextlib.closing(sqlite3.connect(self.path)) as database, database:
                database.execute("ALTER TABLE {} RENAME TO {}".format(*names))


def test_a_store_that_fails_for_a_while_gets_all_that_it_missed(
    drives: pl.DataFrame, tmp_path: Path, store: str
) -> None:
    config = load_config(folder_of(drives, tmp_path, "back") / "train.toml")
    breaks = Breaks(Path(store.removeprefix("sqlite:///")))
    with pytest.warns(UserWarning, match="is tried again when the bundle is written") as caught:
        made = run(config, quiet=True, mlflow=store, listeners=[breaks])
    assert len(caught) == 1
    (logged,) = runs(store, "back")
    assert logged.info.status == "FINISHED"
    check_history(store, logged.info.run_id, made)


def test_a_server_that_is_down_costs_no_training(drives: pl.DataFrame, tmp_path: Path) -> None:
    config = load_config(folder_of(drives, tmp_path, "down") / "train.toml")
    notes = Notes()
    with pytest.warns(UserWarning, match="MLflow") as caught:
        made = run(config, quiet=True, mlflow="http://127.0.0.1:9", listeners=[notes])
    assert bundles.load(tmp_path / "bundle").fingerprint == made.fingerprint
    said = [str(each.message) for each in caught]
    assert [text for text in notes.notes if "MLflow" in text] == said
    assert len(said) == 2
    assert (
        "not logged to MLflow at http://127.0.0.1:9: parameters, epochs, metrics, conf" in said[1]
    )


def test_a_training_that_cannot_go_on_leaves_nothing_to_go_on_with(
    drives: pl.DataFrame, tmp_path: Path, store: str
) -> None:
    folder = folder_of(drives, tmp_path, "refused")
    drives.drop("lane").write_csv(folder / "events.csv")
    with pytest.raises(InputError, match="missing_column"):
        run(load_config(folder / "train.toml"), quiet=True, mlflow=store)
    assert [each.info.status for each in runs(store, "refused")] == ["KILLED"]
    assert {each.name for each in folder.iterdir()} == {"events.csv", "train.toml"}


def test_without_the_extra_nothing_is_trained_and_the_error_names_it(
    drives: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str
) -> None:
    config = load_config(folder_of(drives, tmp_path, "without") / "train.toml")
    monkeypatch.setitem(sys.modules, "mlflow", None)  # as if it was not installed
    with pytest.raises(InputError, match=r"missing_extra.*pip install 'tidegate\[mlflow\]'"):
        run(config, quiet=True, mlflow=store)
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("uri", ["mlruns", "file:///tmp/mlruns"])
def test_a_folder_is_refused_before_training(
    drives: pl.DataFrame, tmp_path: Path, uri: str
) -> None:
    config = load_config(folder_of(drives, tmp_path, "folder") / "train.toml")
    with pytest.raises(InputError, match="bad_tracking_uri"):
        run(config, quiet=True, mlflow=uri)
    assert not (tmp_path / "bundle").exists()
