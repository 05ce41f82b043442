"""Where a run's history is found: a bundle, a checkpoint, or what a run that gave up left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tidegate import answers
from tidegate import bundle as bundles
from tidegate.bundle import Bundle
from tidegate.errors import BundleError, InputError
from tidegate.schema import SchemaConfig
from tidegate.tables import EventTable
from tidegate.train import ModelSettings, Trained, TrainSettings, save_bundle, train_model
from tidegate.train.doctor import of_bundle, of_fit, read


@pytest.fixture
def train(
    cars: EventTable, more_cars: EventTable, schema: SchemaConfig, tmp_path: Path
) -> Callable[..., Trained]:
    def trained(epochs: int = 2, **settings: Any) -> Trained:
        assert cars.labels is not None
        return train_model(
            cars,
            more_cars,
            schema=schema,
            task=answers.fit_task("classify", "jam", "event", cars.labels),
            model=ModelSettings(hidden_size=4),
            settings=TrainSettings(epochs=epochs, batch_tokens=256, **settings),
            checkpoint=tmp_path / "jams.checkpoint",
        )

    return trained


@pytest.fixture
def saved(train: Callable[..., Trained], tmp_path: Path) -> tuple[Trained, Bundle]:
    trained = train()
    return trained, save_bundle(trained, tmp_path / "jams", name="jams", version="1")


def test_a_bundle_holds_its_run(saved: tuple[Trained, Bundle], tmp_path: Path) -> None:
    trained, bundle = saved
    run = read(tmp_path / "jams")
    assert run == of_fit(trained.result) == of_bundle(bundle)
    assert run.given is not None
    assert [column.name for column in run.given.columns] == ["speed", "time delta"]
    assert run.given.lengths is not None
    assert run.given.lengths.sessions == len(trained.train.sessions)


def test_an_interrupted_run_has_a_checkpoint(train: Callable[..., Trained], tmp_path: Path) -> None:
    finished = of_fit(train().result)
    run = read(tmp_path / "jams")  # no bundle was written: the checkpoint is still there
    assert run == read(tmp_path / "jams.checkpoint")
    assert not run.finished
    assert (run.given, len(run.history)) == (finished.given, 2)


def test_bad_batches_lie_beside_the_bundle(saved: tuple[Trained, Bundle], tmp_path: Path) -> None:
    beside = tmp_path / "jams.bad_batches.json"
    assert read(tmp_path / "jams").bad_batches == ()
    beside.write_text(
        '[{"epoch": 1, "batch": 4, "what": "loss", "learning_rate": 0.1, "sessions": 9, '
        '"suspects": []}]'
    )
    (bad,) = read(tmp_path / "jams").bad_batches
    assert (bad.batch, bad.source) == (4, None)
    beside.write_text('{"epoch": 1}')
    with pytest.raises(InputError) as caught:
        read(tmp_path / "jams")
    assert caught.value.code == "bad_batches_damaged"


def test_runs_of_earlier_versions_are_read(saved: tuple[Trained, Bundle]) -> None:
    _, bundle = saved
    old = {name: value for name, value in bundle.provenance.items() if name != "given"}
    for epoch in old["history"]:
        del epoch["diagnosis"], epoch["updates"]
    run = of_bundle(replace(bundle, provenance=old))
    assert run.given is not None
    assert run.given.columns == ()
    assert run.history[0].diagnosis is None


@pytest.mark.parametrize("without", ["history", "settings", "lengths"])
def test_a_bundle_without_history(saved: tuple[Trained, Bundle], without: str) -> None:
    _, bundle = saved
    left = {name: value for name, value in bundle.provenance.items() if name != without}
    for provenance in (left, {**left, without: 7}, {}):
        with pytest.raises(InputError) as caught:
            of_bundle(replace(bundle, provenance=provenance))
        assert caught.value.code == "no_history"


def test_what_is_no_run(tmp_path: Path, saved_bundle: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path / "nothing")
    assert caught.value.code == "no_run"
    with pytest.raises(BundleError):
        read(tmp_path)
    (tmp_path / "events.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError) as caught:
        read(tmp_path / "events.csv")
    assert (caught.value.code, caught.value.field) == ("no_run", "RUN")
    assert "delete" not in str(caught.value)
    with pytest.raises(InputError) as caught:
        read(saved_bundle)  # made by hand
    assert caught.value.code == "no_history"
    assert bundles.load(saved_bundle).provenance is not None
