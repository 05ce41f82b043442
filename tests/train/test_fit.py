from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from problem import Interrupt, Problem, relabelled, same_weights

from tidegate import answers
from tidegate.errors import InputError
from tidegate.nn import Network
from tidegate.spec import TaskSpec
from tidegate.train.fit import FitResult
from tidegate.train.history import Epoch
from tidegate.train.predict import predict
from tidegate.train.schedules import learning_rate
from tidegate.train.sequences import Sequences


def metrics(network: Network, problem: Problem) -> dict[str, float]:
    outputs = predict(network, problem.valid.rows, problem.valid.offsets)
    return answers.open(problem.task).metrics(outputs, problem.valid.labels)


def test_it_learns_what_needs_memory(problem: Problem) -> None:
    network = problem.network(seed=1)
    before = metrics(network, problem)
    result = problem.fit(network, problem.having(epochs=12))
    after = metrics(network, problem)
    assert before["auc"] < 0.7
    assert after["auc"] > 0.9
    assert after == result.metrics  # the best epoch's weights are restored
    assert result.watch == "log_loss"
    best = min(result.history, key=lambda epoch: epoch.valid_loss)
    assert best.epoch == result.best_epoch
    assert best.valid_loss == pytest.approx(best.metrics["log_loss"], rel=1e-5)
    assert not network.training


def test_history_tells_each_epoch(problem: Problem) -> None:
    result = problem.fit()
    assert [epoch.epoch for epoch in result.history] == [1, 2, 3, 4]
    for epoch in result.history:
        assert epoch.events == len(problem.train.rows)
        assert 0 < epoch.gradient_norm <= epoch.gradient_norm_max
        assert epoch.events_per_s > 0
        assert epoch.seconds > 0
        assert epoch.metrics["n"] == problem.valid.labelled
    rates = [epoch.learning_rate for epoch in result.history]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.01 * problem.settings.learning_rate


def test_a_run_repeats_to_the_bit_by_its_seed(problem: Problem) -> None:
    def weights(seed: int) -> Network:
        network = problem.network()
        torch.rand(7)  # what happens outside does not matter
        problem.fit(network, problem.having(epochs=2, seed=seed))
        return network

    first = weights(3)
    assert same_weights(first, weights(3))
    assert not same_weights(first, weights(4))


def test_torchs_global_state_is_left_alone(problem: Problem) -> None:
    state = torch.get_rng_state()
    settings = problem.having(epochs=1, threads=2)
    problem.fit(settings=settings)
    with pytest.raises(KeyboardInterrupt):
        problem.fit(settings=settings, listeners=[Interrupt(1, 1)])
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == 1
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory


@pytest.mark.parametrize(("epoch", "batch"), [(1, 2), (2, 1), (3, 3)])
def test_an_interrupted_run_goes_on_to_the_same_weights(
    problem: Problem, tmp_path: Path, epoch: int, batch: int
) -> None:
    whole = problem.network()
    expected = problem.fit(whole)

    path = tmp_path / "run.checkpoint"
    interrupt = Interrupt(epoch, batch)
    with pytest.raises(KeyboardInterrupt):
        problem.fit(listeners=[interrupt], checkpoint=path)
    assert interrupt.closed
    assert path.exists() == (str(path) in interrupt.notes[-1]) == (epoch > 1)

    resumed = problem.network()
    listener = Interrupt(99, 0)
    found = problem.fit(resumed, listeners=[listener], checkpoint=path)
    assert same_weights(resumed, whole)
    assert untimed(found) == untimed(expected)
    assert listener.left == 98 - (problem.settings.epochs - (epoch - 1))  # no epoch was done twice
    assert [p.name for p in tmp_path.iterdir()] == ["run.checkpoint"]

    again = problem.network()  # a finished run has nothing left to do
    assert untimed(problem.fit(again, checkpoint=path)) == untimed(expected)
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
    problem: Problem, name: str, tmp_path: Path
) -> None:
    settings = problem.having(**RESUMED[name])
    if name == "returns":  # in each epoch one batch is bad, and goes back
        rows = problem.train.rows.copy()
        rows[5] = np.inf
        problem = replace(problem, train=replace(problem.train, rows=rows))
    whole = problem.network()
    expected = problem.fit(whole, settings, checkpoint=tmp_path / "whole.checkpoint")
    path = tmp_path / "resumed.checkpoint"
    for _ in range(2):  # after the first epoch, and then after the second
        once = {"listeners": [Interrupt(2, 2)], "checkpoint": path}
        with pytest.raises(KeyboardInterrupt):
            problem.fit(settings=settings, **once)  # type: ignore[arg-type]
    resumed = problem.network()
    found = problem.fit(resumed, settings, checkpoint=path)
    assert same_weights(resumed, whole)
    assert untimed(found) == untimed(expected)
    if name == "plateau":
        rates = [epoch.learning_rate for epoch in found.history]
        assert rates[0] > rates[-1]  # it did fall
    if name == "returns":
        assert [epoch.returns for epoch in found.history] == [1] * 4
        first, second = (tmp_path / f"{run}.bad_batches.json" for run in ("whole", "resumed"))
        assert first.read_bytes() == second.read_bytes()


def test_without_resuming_a_run_begins_anew(problem: Problem, tmp_path: Path) -> None:
    settings = problem.having(epochs=1)
    path = tmp_path / "run.checkpoint"
    listener = Interrupt(99, 0)
    for _ in range(2):
        problem.fit(settings=settings, listeners=[listener], checkpoint=path, resume=False)
    assert listener.left == 98 - 2


def test_training_stops_when_nothing_improves(problem: Problem) -> None:
    settings = problem.having(epochs=20, patience=2, learning_rate=1e-12, watch="accuracy")
    network = problem.network()
    result = problem.fit(network, settings)
    assert len(result.history) == 3
    assert result.best_epoch == 1
    assert result.watch == "accuracy"


def test_a_higher_auc_is_better_and_a_lower_loss(problem: Problem) -> None:
    for watch, pick in (("auc", max), ("brier", min)):
        watched = problem.having(watch=watch)
        result = problem.fit(settings=watched)
        values = [epoch.metrics[watch] for epoch in result.history]
        assert result.metrics[watch] == pick(values)
        assert len(set(values)) > 1


def test_parts_without_labels_are_refused(problem: Problem) -> None:
    none = relabelled(problem.train, np.full(len(problem.train.rows), np.nan))
    network, before = problem.network(), problem.network()
    with pytest.raises(InputError, match="training part has a label"):
        problem.fit(network, train=none)
    with pytest.raises(InputError, match="validation part has a label"):
        problem.fit(network, valid=none)
    assert same_weights(network, before)


def test_a_metric_that_is_not_measured_is_refused_before_training(problem: Problem) -> None:
    network, before = problem.network(), problem.network()
    with pytest.raises(InputError, match="rmse") as caught:
        problem.fit(network, problem.having(watch="rmse"))
    assert same_weights(network, before)
    assert caught.value.code == "unknown_metric"
    assert "log_loss" in caught.value.hint


def test_regress_learns_values(problem: Problem) -> None:
    """The running mean of the column, in a unit far from 1."""
    task = TaskSpec("regress", "level", target_mean=500.0, target_scale=100.0)

    def with_values(part: Sequences) -> Sequences:
        sums = np.cumsum(part.rows[:, 0].astype(np.float64))
        begins = np.repeat(part.offsets[:-1], np.diff(part.offsets))
        before = np.where(begins > 0, sums[begins - 1], 0.0)
        values = 500 + 100 * (sums - before) / (np.arange(len(sums)) - begins + 1)
        targets = (values - 500) / 100
        return Sequences(part.rows, part.offsets, values, targets.astype(np.float32))

    result = replace(
        problem,
        task=task,
        train=with_values(problem.train),
        valid=with_values(problem.valid),
        settings=problem.having(epochs=12),
    ).fit()
    assert result.watch == "rmse"
    assert result.metrics["r2"] > 0.6


def test_diagnostics_change_no_bit_of_the_training(problem: Problem) -> None:
    found = []
    for wanted in (True, False):
        network = problem.network()
        measured = problem.having(diagnostics=wanted, weight_noise=0.05)
        found.append((network, problem.fit(network, measured)))
    (one, with_them), (other, without) = found
    assert same_weights(one, other)
    for epoch, plain in zip(with_them.history, without.history, strict=True):
        assert epoch.diagnosis is not None
        assert len(epoch.diagnosis.layers) == 2
        assert plain.diagnosis is None
        assert (epoch.train_loss, epoch.updates) == (plain.train_loss, plain.updates)
        assert epoch.updates.keys() >= {"layers.1.forward.recurrent", "head.weight"}


def test_history_tells_how_gradients_were_clipped(problem: Problem) -> None:
    for clip_norm, share in ((1e-4, 1.0), (1e4, 0.0)):
        clipped = problem.having(clip_norm=clip_norm, epochs=1)
        (epoch,) = problem.fit(settings=clipped).history
        assert epoch.clipping.share == share
        mean, largest = epoch.gradient_norm / clip_norm, epoch.gradient_norm_max / clip_norm
        expected = (mean, largest) if share else (1.0, 1.0)
        assert (epoch.clipping.ratio_mean, epoch.clipping.ratio_max) == pytest.approx(expected)


def test_a_moving_average_is_validated_and_saved_and_does_not_touch_the_training(
    problem: Problem,
) -> None:
    averaged, plain = problem.network(), problem.network()
    smooth = problem.having(ema_decay=0.9)
    found = problem.fit(averaged, smooth)
    expected = problem.fit(plain)
    losses = [epoch.train_loss for epoch in found.history]
    assert losses == [epoch.train_loss for epoch in expected.history]
    assert not same_weights(averaged, plain)
    assert metrics(averaged, problem) == found.metrics


def test_the_rate_falls_on_a_plateau(problem: Problem) -> None:
    settings = problem.having(
        epochs=9,
        patience=6,
        learning_rate=1e-12,
        watch="accuracy",
        schedule="plateau",
        schedule_epochs=2,
        schedule_factor=0.5,
    )
    history = problem.fit(settings=settings).history
    rates = [epoch.learning_rate / 1e-12 for epoch in history]
    assert rates == pytest.approx([1, 1, 1, 0.5, 0.5, 0.25, 0.25])


def test_accumulation_makes_fewer_steps(problem: Problem) -> None:
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
        found = problem.having(accumulate=accumulate, epochs=1, warmup_steps=0)
        result = problem.fit(settings=found, listeners=[counting])
        steps = counting.batches
        counts.append(steps)
        assert counting.events == len(problem.train.rows)
        assert result.history[0].learning_rate == learning_rate(steps - 1, steps, found)
    assert counts[1] == -(-counts[0] // 3)
