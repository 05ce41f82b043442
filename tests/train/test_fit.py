from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from tidegate import answers
from tidegate.errors import InputError
from tidegate.nn import Network, to_bundle
from tidegate.spec import ModelSpec, TaskSpec
from tidegate.train.fit import FitResult, fit
from tidegate.train.history import Epoch
from tidegate.train.predict import predict
from tidegate.train.progress import Listener
from tidegate.train.repeatable import repeatable
from tidegate.train.schedules import learning_rate
from tidegate.train.sequences import Sequences
from tidegate.train.settings import TrainSettings


def network_of(spec: ModelSpec, seed: int = 0) -> Network:
    with repeatable(seed):
        return Network(spec, dropout=0.1)


def same_weights(one: Network, other: Network) -> bool:
    weights = to_bundle(other)
    return all(np.array_equal(array, weights[name]) for name, array in to_bundle(one).items())


class Interrupt(Listener):
    """Presses Ctrl-C in an epoch's n-th batch."""

    def __init__(self, epoch: int, batch: int) -> None:
        self.left, self.at = epoch - 1, batch
        self.batches = 0
        self.notes: list[str] = []
        self.closed = False

    def batch(self, events: int, loss: float, gradient_norm: float) -> None:
        self.batches += 1
        if self.left == 0 and self.batches == self.at:
            raise KeyboardInterrupt

    def epoch(self, epoch: Epoch, watch: str, best: bool) -> None:
        self.left -= 1
        self.batches = 0

    def note(self, text: str) -> None:
        self.notes.append(text)

    def close(self) -> None:
        self.closed = True


def test_it_learns_what_needs_memory(
    spec: ModelSpec, task: TaskSpec, train: Sequences, valid: Sequences, settings: TrainSettings
) -> None:
    network = network_of(spec, seed=1)
    before = answers.open(task).metrics(predict(network, valid.rows, valid.offsets), valid.labels)
    result = fit(network, task, train, valid, msgspec.structs.replace(settings, epochs=12))
    after = answers.open(task).metrics(predict(network, valid.rows, valid.offsets), valid.labels)
    assert before["auc"] < 0.7
    assert after["auc"] > 0.9
    assert after == result.metrics  # the best epoch's weights are restored
    assert result.watch == "log_loss"
    best = min(result.history, key=lambda epoch: epoch.valid_loss)
    assert best.epoch == result.best_epoch
    assert best.valid_loss == pytest.approx(best.metrics["log_loss"], rel=1e-5)
    assert not network.training


def test_history_tells_each_epoch(
    spec: ModelSpec, task: TaskSpec, train: Sequences, valid: Sequences, settings: TrainSettings
) -> None:
    result = fit(network_of(spec), task, train, valid, settings)
    assert [epoch.epoch for epoch in result.history] == [1, 2, 3, 4]
    for epoch in result.history:
        assert epoch.events == len(train.rows)
        assert 0 < epoch.gradient_norm <= epoch.gradient_norm_max
        assert epoch.events_per_s > 0
        assert epoch.seconds > 0
        assert epoch.metrics["n"] == valid.labelled
    rates = [epoch.learning_rate for epoch in result.history]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.01 * settings.learning_rate


def test_a_run_repeats_to_the_bit_by_its_seed(
    spec: ModelSpec, task: TaskSpec, train: Sequences, valid: Sequences, settings: TrainSettings
) -> None:
    def weights(settings: TrainSettings) -> Network:
        network = network_of(spec)
        torch.rand(7)  # what happens outside does not matter
        fit(network, task, train, valid, msgspec.structs.replace(settings, epochs=2))
        return network

    first = weights(settings)
    assert same_weights(first, weights(settings))
    assert not same_weights(first, weights(msgspec.structs.replace(settings, seed=4)))


def test_torchs_global_state_is_left_alone(
    spec: ModelSpec, task: TaskSpec, train: Sequences, valid: Sequences, settings: TrainSettings
) -> None:
    state = torch.get_rng_state()
    settings = msgspec.structs.replace(settings, epochs=1, threads=2)
    fit(network_of(spec), task, train, valid, settings)
    with pytest.raises(KeyboardInterrupt):
        fit(network_of(spec), task, train, valid, settings, listeners=[Interrupt(1, 1)])
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == 1
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory


@pytest.mark.parametrize(("epoch", "batch"), [(1, 2), (2, 1), (3, 3)])
def test_an_interrupted_run_goes_on_to_the_same_weights(
    spec: ModelSpec,
    task: TaskSpec,
    train: Sequences,
    valid: Sequences,
    settings: TrainSettings,
    tmp_path: Path,
    epoch: int,
    batch: int,
) -> None:
    whole = network_of(spec)
    expected = fit(whole, task, train, valid, settings)

    path = tmp_path / "run.checkpoint"
    interrupt = Interrupt(epoch, batch)
    with pytest.raises(KeyboardInterrupt):
        fit(network_of(spec), task, train, valid, settings, listeners=[interrupt], checkpoint=path)
    assert interrupt.closed
    assert path.exists() == (str(path) in interrupt.notes[-1]) == (epoch > 1)

    resumed = network_of(spec)
    listener = Interrupt(99, 0)
    found = fit(resumed, task, train, valid, settings, listeners=[listener], checkpoint=path)
    assert same_weights(resumed, whole)
    assert untimed(found) == untimed(expected)
    assert listener.left == 98 - (settings.epochs - (epoch - 1))  # no epoch was done twice
    assert [p.name for p in tmp_path.iterdir()] == ["run.checkpoint"]

    again = network_of(spec)  # a finished run has nothing left to do
    assert untimed(fit(again, task, train, valid, settings, checkpoint=path)) == untimed(expected)
    assert same_weights(again, whole)


def untimed(result: FitResult) -> tuple[int, list[Epoch]]:
    return result.best_epoch, [
        msgspec.structs.replace(epoch, seconds=0.0, events_per_s=0.0) for epoch in result.history
    ]


def test_without_resuming_a_run_begins_anew(
    spec: ModelSpec,
    task: TaskSpec,
    train: Sequences,
    valid: Sequences,
    settings: TrainSettings,
    tmp_path: Path,
) -> None:
    settings = msgspec.structs.replace(settings, epochs=1)
    path = tmp_path / "run.checkpoint"
    listener = Interrupt(99, 0)
    for _ in range(2):
        fit(
            network_of(spec),
            task,
            train,
            valid,
            settings,
            listeners=[listener],
            checkpoint=path,
            resume=False,
        )
    assert listener.left == 98 - 2


def test_training_stops_when_nothing_improves(
    spec: ModelSpec, task: TaskSpec, train: Sequences, valid: Sequences, settings: TrainSettings
) -> None:
    settings = msgspec.structs.replace(
        settings, epochs=20, patience=2, learning_rate=1e-12, watch="accuracy"
    )
    network = network_of(spec)
    result = fit(network, task, train, valid, settings)
    assert len(result.history) == 3
    assert result.best_epoch == 1
    assert result.watch == "accuracy"


def test_a_higher_auc_is_better_and_a_lower_loss(
    spec: ModelSpec, task: TaskSpec, train: Sequences, valid: Sequences, settings: TrainSettings
) -> None:
    for watch, pick in (("auc", max), ("brier", min)):
        watched = msgspec.structs.replace(settings, watch=watch)
        result = fit(network_of(spec), task, train, valid, watched)
        values = [epoch.metrics[watch] for epoch in result.history]
        assert result.metrics[watch] == pick(values)
        assert len(set(values)) > 1


def test_parts_without_labels_are_refused(
    spec: ModelSpec, task: TaskSpec, train: Sequences, valid: Sequences, settings: TrainSettings
) -> None:
    unlabelled = np.full(len(train.rows), np.nan)
    none = Sequences(train.rows, train.offsets, unlabelled, unlabelled.astype(np.float32))
    network, before = network_of(spec), network_of(spec)
    with pytest.raises(InputError, match="training part has a label"):
        fit(network, task, none, valid, settings)
    with pytest.raises(InputError, match="validation part has a label"):
        fit(network, task, train, none, settings)
    assert same_weights(network, before)


def test_a_loss_that_is_not_finite_is_refused_with_its_batch(
    spec: ModelSpec, task: TaskSpec, train: Sequences, valid: Sequences, settings: TrainSettings
) -> None:
    rows = train.rows.copy()
    rows[5] = np.nan
    broken = Sequences(rows, train.offsets, train.labels, train.targets)
    network = network_of(spec)
    with pytest.raises(InputError, match=r"batch \d+ of epoch 1") as caught:
        fit(network, task, broken, valid, settings)
    assert caught.value.code == "loss_not_finite"
    assert "learning_rate" in caught.value.hint
    assert all(np.isfinite(array).all() for array in to_bundle(network).values())
    with pytest.raises(InputError, match="validation after epoch 1"):
        fit(network_of(spec), task, train, broken, settings)


def test_a_metric_that_is_not_measured_is_refused_before_training(
    spec: ModelSpec, task: TaskSpec, train: Sequences, valid: Sequences, settings: TrainSettings
) -> None:
    network, before = network_of(spec), network_of(spec)
    with pytest.raises(InputError, match="rmse") as caught:
        fit(network, task, train, valid, msgspec.structs.replace(settings, watch="rmse"))
    assert same_weights(network, before)
    assert caught.value.code == "unknown_metric"
    assert "log_loss" in caught.value.hint


def test_regress_learns_values(
    spec: ModelSpec, train: Sequences, valid: Sequences, settings: TrainSettings
) -> None:
    """The running mean of the column, in a unit far from 1."""
    task = TaskSpec("regress", "level", target_mean=500.0, target_scale=100.0)

    def with_values(part: Sequences) -> Sequences:
        sums = np.cumsum(part.rows[:, 0].astype(np.float64))
        begins = np.repeat(part.offsets[:-1], np.diff(part.offsets))
        before = np.where(begins > 0, sums[begins - 1], 0.0)
        values = 500 + 100 * (sums - before) / (np.arange(len(sums)) - begins + 1)
        targets = (values - 500) / 100
        return Sequences(part.rows, part.offsets, values, targets.astype(np.float32))

    settings = msgspec.structs.replace(settings, epochs=12)
    result = fit(network_of(spec), task, with_values(train), with_values(valid), settings)
    assert result.watch == "rmse"
    assert result.metrics["r2"] > 0.6


def test_the_rate_rises_then_falls() -> None:
    settings = TrainSettings(learning_rate=0.5, warmup_steps=10)
    rates = [learning_rate(step, 100, settings) for step in range(101)]
    assert rates[0] == 0.05
    assert rates[9] == rates[10] == 0.5
    assert np.all(np.diff(rates[:10]) > 0)
    assert np.all(np.diff(rates[10:]) < 0)
    assert rates[100] == 0.0
    assert learning_rate(0, 100, TrainSettings(learning_rate=0.5, warmup_steps=0)) == 0.5
