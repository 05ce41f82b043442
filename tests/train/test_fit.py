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


RESUMED = {
    "average and noise": {"ema_decay": 0.9, "weight_noise": 0.05},
    "accumulation": {"accumulate": 2, "schedule": "step", "schedule_epochs": 1},
    "plateau": {
        "schedule": "plateau",
        "schedule_epochs": 1,
        "watch": "accuracy",
        "patience": 4,
        "optimizer": "rmsprop",
        "momentum": 0.5,
        "learning_rate": 1e-3,
    },
    "fp16": {"precision": "fp16", "optimizer": "sgd", "schedule": "exponential"},
    "bf16": {"precision": "bf16", "optimizer": "sgd", "momentum": 0.9, "schedule": "constant"},
    "returns": {"max_bad_batches": 1, "max_returns": 10, "ema_decay": 0.5},
}


@pytest.mark.parametrize("name", RESUMED)
def test_a_run_with_a_memory_of_its_own_goes_on_to_the_same_weights(
    name: str,
    spec: ModelSpec,
    task: TaskSpec,
    train: Sequences,
    valid: Sequences,
    settings: TrainSettings,
    tmp_path: Path,
) -> None:
    settings = msgspec.structs.replace(settings, **RESUMED[name])
    if name == "returns":  # in each epoch one batch is bad, and goes back
        rows = train.rows.copy()
        rows[5] = np.inf
        train = Sequences(rows, train.offsets, train.labels, train.targets)
    whole = network_of(spec)
    expected = fit(whole, task, train, valid, settings, checkpoint=tmp_path / "whole.checkpoint")
    path = tmp_path / "resumed.checkpoint"
    for _ in range(2):  # after the first epoch, and then after the second
        once = {"listeners": [Interrupt(2, 2)], "checkpoint": path}
        with pytest.raises(KeyboardInterrupt):
            fit(network_of(spec), task, train, valid, settings, **once)  # type: ignore[arg-type]
    resumed = network_of(spec)
    found = fit(resumed, task, train, valid, settings, checkpoint=path)
    assert same_weights(resumed, whole)
    assert untimed(found) == untimed(expected)
    if name == "plateau":
        rates = [epoch.learning_rate for epoch in found.history]
        assert rates[0] > rates[-1]  # it did fall
    if name == "returns":
        assert [epoch.returns for epoch in found.history] == [1] * 4
        first, second = (tmp_path / f"{run}.bad_batches.json" for run in ("whole", "resumed"))
        assert first.read_bytes() == second.read_bytes()


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


def test_diagnostics_change_no_bit_of_the_training(
    spec: ModelSpec, task: TaskSpec, train: Sequences, valid: Sequences, settings: TrainSettings
) -> None:
    found = []
    for wanted in (True, False):
        network = network_of(spec)
        measured = msgspec.structs.replace(settings, diagnostics=wanted, weight_noise=0.05)
        found.append((network, fit(network, task, train, valid, measured)))
    (one, with_them), (other, without) = found
    assert same_weights(one, other)
    for epoch, plain in zip(with_them.history, without.history, strict=True):
        assert epoch.diagnosis is not None
        assert len(epoch.diagnosis.layers) == 2
        assert plain.diagnosis is None
        assert (epoch.train_loss, epoch.updates) == (plain.train_loss, plain.updates)
        assert epoch.updates.keys() >= {"layers.1.forward.recurrent", "head.weight"}


def test_history_tells_how_gradients_were_clipped(
    spec: ModelSpec, task: TaskSpec, train: Sequences, valid: Sequences, settings: TrainSettings
) -> None:
    for clip_norm, share in ((1e-4, 1.0), (1e4, 0.0)):
        clipped = msgspec.structs.replace(settings, clip_norm=clip_norm, epochs=1)
        (epoch,) = fit(network_of(spec), task, train, valid, clipped).history
        assert epoch.clipping.share == share
        mean, largest = epoch.gradient_norm / clip_norm, epoch.gradient_norm_max / clip_norm
        expected = (mean, largest) if share else (1.0, 1.0)
        assert (epoch.clipping.ratio_mean, epoch.clipping.ratio_max) == pytest.approx(expected)


def test_a_moving_average_is_validated_and_saved_and_does_not_touch_the_training(
    spec: ModelSpec, task: TaskSpec, train: Sequences, valid: Sequences, settings: TrainSettings
) -> None:
    averaged, plain = network_of(spec), network_of(spec)
    smooth = msgspec.structs.replace(settings, ema_decay=0.9)
    found = fit(averaged, task, train, valid, smooth)
    expected = fit(plain, task, train, valid, settings)
    losses = [epoch.train_loss for epoch in found.history]
    assert losses == [epoch.train_loss for epoch in expected.history]
    assert not same_weights(averaged, plain)
    outputs = predict(averaged, valid.rows, valid.offsets)
    assert answers.open(task).metrics(outputs, valid.labels) == found.metrics


def test_the_rate_falls_on_a_plateau(
    spec: ModelSpec, task: TaskSpec, train: Sequences, valid: Sequences, settings: TrainSettings
) -> None:
    settings = msgspec.structs.replace(
        settings,
        epochs=9,
        patience=6,
        learning_rate=1e-12,
        watch="accuracy",
        schedule="plateau",
        schedule_epochs=2,
        schedule_factor=0.5,
    )
    history = fit(network_of(spec), task, train, valid, settings).history
    rates = [epoch.learning_rate / 1e-12 for epoch in history]
    assert rates == pytest.approx([1, 1, 1, 0.5, 0.5, 0.25, 0.25])


def test_accumulation_makes_fewer_steps(
    spec: ModelSpec, task: TaskSpec, train: Sequences, valid: Sequences, settings: TrainSettings
) -> None:
    class Counting(Interrupt):
        events = 0

        def batch(self, events: int, loss: float, gradient_norm: float) -> None:
            self.batches += 1
            self.events += events

        def epoch(self, epoch: Epoch, watch: str, best: bool) -> None:
            pass

    counts = []
    for accumulate in (1, 3):
        counting = Counting(99, 0)
        found = msgspec.structs.replace(settings, accumulate=accumulate, epochs=1, warmup_steps=0)
        result = fit(network_of(spec), task, train, valid, found, listeners=[counting])
        steps = counting.batches
        counts.append(steps)
        assert counting.events == len(train.rows)
        assert result.history[0].learning_rate == learning_rate(steps - 1, steps, found)
    assert counts[1] == -(-counts[0] // 3)
