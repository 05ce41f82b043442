"""What training does with batches that are not finite, from the first to the last."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from problem import Notes, Problem, same_weights

from tidegate import tasks
from tidegate.data.batches import Batches
from tidegate.errors import InputError
from tidegate.nn import Network, to_bundle
from tidegate.spec import LayerSpec, ModelSpec, TaskSpec
from tidegate.train.bad_batches import KEPT_BATCHES, BadBatch
from tidegate.train.checkpoint import Position
from tidegate.train.learner import Learner
from tidegate.train.recovery import Recovery
from tidegate.train.sequences import Sequences


def broken(train: Sequences, events: Any = 5) -> Sequences:
    """Put a NaN into some events of the training part."""
    rows = train.rows.copy()
    rows[events] = np.nan
    ids = [f"car {i}" for i in range(len(train.offsets) - 1)]
    return Sequences(rows, train.offsets, train.labels, train.targets, ids)


def bursting(problem: Problem) -> Problem:
    """Return a problem whose numbers may grow from step to step."""
    spec = ModelSpec(2, (LayerSpec("rnn", 8, activation="relu"),), 1)
    return replace(problem, spec=spec, task=TaskSpec("regress", "level"))


def finite(network: Network) -> bool:
    return all(bool(np.isfinite(array).all()) for array in to_bundle(network).values())


def described(path: Path) -> list[BadBatch]:
    return msgspec.json.decode(path.read_bytes(), type=list[BadBatch])


def test_a_bad_batch_is_skipped_counted_and_described(problem: Problem, tmp_path: Path) -> None:
    network, notes = problem.network(), Notes()
    path = tmp_path / "run.checkpoint"
    result = problem.fit(network, train=broken(problem.train), listeners=[notes], checkpoint=path)
    assert [epoch.bad_batches for epoch in result.history] == [1, 1, 1, 1]
    assert [epoch.returns for epoch in result.history] == [0, 0, 0, 0]
    assert finite(network)
    assert result.history[-1].train_loss < result.history[0].train_loss  # the others teach it
    found = described(tmp_path / "run.bad_batches.json")
    assert [one.epoch for one in found] == [1, 2, 3, 4]
    session = int(np.searchsorted(problem.train.offsets, 5, side="right")) - 1
    for one in found:
        suspect = one.suspects[0]
        assert (suspect.index, suspect.id) == (session, f"car {session}")
        assert suspect.event == 5 - problem.train.offsets[session]
        assert not suspect.finite_inputs
        assert not suspect.finite_outputs
        assert one.suspects[1].finite_inputs
    (note, *_) = [note for note in notes.notes if "skipped" in note]
    assert f"batch {found[0].batch} of epoch 1 was skipped" in note
    assert "run.bad_batches.json" in note


def test_descriptions_of_an_earlier_run_are_taken_away(problem: Problem, tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    once = problem.having(epochs=1)
    problem.fit(settings=once, train=broken(problem.train), checkpoint=path)
    assert (tmp_path / "run.bad_batches.json").exists()
    problem.fit(settings=once, checkpoint=path, resume=False)
    assert [p.name for p in tmp_path.iterdir()] == ["run.checkpoint"]


def test_after_too_many_in_a_row_it_goes_back_and_then_gives_up(
    problem: Problem, tmp_path: Path
) -> None:
    network, notes = problem.network(), Notes()
    hopeless = broken(problem.train, slice(None))
    limits = problem.having(max_bad_batches=2, max_returns=1, batch_tokens=100)
    path = tmp_path / "c"
    with pytest.raises(InputError, match="batch 4 of epoch 1") as caught:
        problem.fit(network, limits, train=hopeless, listeners=[notes], checkpoint=path)
    assert (caught.value.code, caught.value.field) == ("loss_not_finite", "learning_rate")
    assert "c.bad_batches.json" in caught.value.message
    assert len([note for note in notes.notes if "back to" in note]) == 1
    assert len(described(tmp_path / "c.bad_batches.json")) == 4
    assert same_weights(network, problem.network())


def test_an_epoch_of_bad_batches_alone_is_refused(problem: Problem) -> None:
    patient = problem.having(max_bad_batches=10_000)
    with pytest.raises(InputError, match="every batch of epoch 1") as caught:
        problem.fit(settings=patient, train=broken(problem.train, slice(None)))
    assert caught.value.code == "loss_not_finite"


def test_a_validation_that_is_not_finite_is_refused(problem: Problem) -> None:
    with pytest.raises(InputError, match="validation after epoch 1") as caught:
        problem.fit(valid=broken(problem.train))
    assert caught.value.code == "loss_not_finite"


def test_an_epoch_whose_end_is_of_no_use_begins_again(problem: Problem) -> None:
    """One batch an epoch: nothing but the validation sees that the weights burst."""
    problem = bursting(problem)
    wild = problem.having(
        optimizer="sgd",
        learning_rate=1e30,
        warmup_steps=0,
        batch_tokens=10**6,
        max_returns=120,
        epochs=1,
    )
    network, notes = problem.network(), Notes()
    result = problem.fit(network, wild, listeners=[notes])
    (first,) = result.history
    assert first.returns > 10
    assert len([note for note in notes.notes if "validation after epoch 1" in note]) > 10
    assert first.learning_rate == 1e30 * 0.5**first.returns  # the schedule did not go on meanwhile
    assert finite(network)
    with pytest.raises(InputError, match="validation after epoch 1"):
        problem.fit(settings=msgspec.structs.replace(wild, max_returns=2))


def test_it_goes_back_to_the_weights_of_the_epochs_beginning(problem: Problem) -> None:
    network = problem.network()
    limits = problem.having(max_bad_batches=2, max_returns=1, ema_decay=0.9)
    learner = Learner(network, tasks.open(problem.task), limits)
    recovery, position = Recovery(learner, limits, problem.train, None, ()), Position("")
    labels = problem.train.targets.astype(np.float64)
    (batch,) = Batches(problem.train.rows, problem.train.offsets, labels, 10**6).epoch()
    assert learner.step([batch], 0.01).learned
    recovery.begin_epoch()
    good = learner.state()
    assert learner.step([batch], 1e9).learned  # the weights are of no use now
    hopeless = broken(problem.train, slice(None))
    (bad,) = Batches(hopeless.rows, problem.train.offsets, labels, 10**6).epoch()
    outcome = learner.step([bad], 0.01)
    recovery.skip(position, bad, outcome, epoch=3, number=1)
    ruined = learner.state()
    assert not torch.equal(ruined["model"]["head.weight"], good["model"]["head.weight"])
    recovery.skip(position, bad, outcome, epoch=3, number=2)
    found = learner.state()
    for part, tensors in good.items():
        for name, tensor in tensors.items():
            assert torch.equal(found[part][name], tensor)
    assert (position.returns, position.bad_in_a_row) == (1, 0)
    assert (position.skipped, position.returned) == (2, 1)
    recovery.skip(position, bad, outcome, epoch=3, number=3)
    with pytest.raises(InputError, match="batch 4 of epoch 3"):
        recovery.skip(position, bad, outcome, epoch=3, number=4)
    for number in range(KEPT_BATCHES):
        position.bad_in_a_row = 0
        recovery.skip(position, bad, outcome, epoch=4, number=number)
    assert len(position.bad_batches) == KEPT_BATCHES


def test_a_rate_that_is_too_high_is_halved_until_training_holds(problem: Problem) -> None:
    """Values that grow from step to step: at this rate the weights burst, at a part of it not."""
    problem = bursting(problem)
    wild = problem.having(
        optimizer="sgd",
        schedule="constant",
        learning_rate=2e4,
        warmup_steps=0,
        max_bad_batches=1,
        max_returns=30,
    )
    network, notes = problem.network(), Notes()
    result = problem.fit(network, wild, listeners=[notes])
    returns = sum(epoch.returns for epoch in result.history)
    assert returns >= 1
    assert sum(epoch.bad_batches for epoch in result.history) == returns
    assert result.history[-1].learning_rate == 2e4 * 0.5**returns
    assert finite(network)
    assert len([note for note in notes.notes if "half the learning rate" in note]) == returns


@pytest.mark.parametrize("tokens", [15, 40, 10**6], ids=["many steps", "some", "one"])
def test_an_epoch_without_a_good_batch_begins_again(
    problem: Problem, monkeypatch: pytest.MonkeyPatch, tokens: int
) -> None:
    """Gradients burst until the rate is a quarter of what it was, however few steps there are."""
    real, restore, returns = Learner._norm, Learner.restore, [0]

    def norm(self: Learner) -> Any:
        return real(self) if returns[0] >= 2 else float("inf")

    def counted(self: Learner, state: Any) -> None:
        returns[0] += 1
        restore(self, state)

    monkeypatch.setattr(Learner, "_norm", norm)
    monkeypatch.setattr(Learner, "restore", counted)
    settings = problem.having(batch_tokens=tokens, schedule="constant", warmup_steps=0)
    network = problem.network()
    result = problem.fit(network, settings)
    assert [epoch.returns for epoch in result.history] == [2, 0, 0, 0]
    assert result.history[-1].learning_rate == settings.learning_rate / 4
    assert finite(network)


def test_an_interruption_loses_no_count(problem: Problem, tmp_path: Path) -> None:
    """Of an epoch that began again, was stopped and went on."""
    problem = bursting(problem)
    wild = problem.having(
        optimizer="sgd",
        learning_rate=1e30,
        warmup_steps=0,
        batch_tokens=10**6,
        max_returns=120,
        epochs=1,
    )
    whole = problem.fit(settings=wild)

    class Stop(Notes):
        def note(self, text: str) -> None:
            super().note(text)
            if len([one for one in self.notes if "back to" in one]) == 10:
                raise KeyboardInterrupt

    path = tmp_path / "c"
    with pytest.raises(KeyboardInterrupt):
        problem.fit(settings=wild, listeners=[Stop()], checkpoint=path)
    resumed = problem.fit(settings=wild, checkpoint=path)
    counts = [[(e.bad_batches, e.returns) for e in run.history] for run in (whole, resumed)]
    assert counts[0] == counts[1]
    assert whole.history[0].returns > 10
