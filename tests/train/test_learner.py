from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tidegate import tasks
from tidegate.data.batches import Batch, Batches
from tidegate.nn import Network, named_weights
from tidegate.spec import ModelSpec, TaskSpec
from tidegate.train.learner import Learner
from tidegate.train.sequences import Sequences
from tidegate.train.settings import TrainSettings

Weights = dict[str, torch.Tensor]


def network_of(spec: ModelSpec, dropout: float = 0.0) -> Network:
    torch.manual_seed(7)
    return Network(spec, dropout)


def weights_of(network: Network) -> Weights:
    return {name: weight.detach().clone() for name, weight in named_weights(network).items()}


def same(one: Weights, other: Weights) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def batches_of(part: Sequences, budget: int) -> list[Batch]:
    labels = part.targets.astype(np.float64)
    return list(Batches(part.rows, part.offsets, labels, budget).epoch())


def learner_of(network: Network, task: TaskSpec, **changes: Any) -> Learner:
    return Learner(network, tasks.open(task), TrainSettings(**changes))


def test_batches_add_up_to_the_step_of_one_large_batch(
    spec: ModelSpec, task: TaskSpec, train: Sequences
) -> None:
    whole = batches_of(train, 10**6)
    pieces = batches_of(train, 400)
    assert len(whole) == 1
    assert len({piece.learned for piece in pieces}) > 1  # they do not weigh the same
    found = []
    for batches in (whole, pieces):
        network = network_of(spec)
        learner = learner_of(network, task, optimizer="sgd", clip_norm=1e9)
        found.append((learner.step(batches, 0.5), weights_of(network)))
    (one, weights), (many, others) = found
    assert many.loss == pytest.approx(one.loss, rel=1e-6)
    assert many.norm == pytest.approx(one.norm, rel=1e-5)
    for name, weight in weights.items():
        torch.testing.assert_close(others[name], weight, atol=1e-6, rtol=0)


def with_value(batch: Batch, value: float) -> Batch:
    """Put a value into the second event of the batch's last session, which has no label there."""
    rows, labels = batch.rows.copy(), batch.labels.copy()
    rows[-1, 1, 0], labels[-1, 1] = value, np.nan
    return replace(batch, rows=rows, labels=labels)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_bad_batch_changes_nothing(
    spec: ModelSpec, task: TaskSpec, train: Sequences, value: float, precision: Any, at: int
) -> None:
    network = network_of(spec)
    learner = learner_of(
        network, task, precision=precision, weight_noise=0.1, ema_decay=0.9, accumulate=3
    )
    batches = batches_of(train, 400)[-3:]
    assert learner.step(batches, 0.1).learned  # the optimiser has something to forget
    before = learner.state()
    broken = [with_value(batch, value) if i == at else batch for i, batch in enumerate(batches)]
    outcome = learner.step(broken, 0.1)
    assert not outcome.learned
    assert not (math.isfinite(outcome.loss) and math.isfinite(outcome.norm))
    assert outcome.at == at
    after = learner.state()
    for part, tensors in before.items():
        assert same(dict(tensors), dict(after[part]))
    assert learner.step(batches, 0.1).learned


def test_weight_noise_is_felt_by_the_gradient_and_taken_off_before_the_update(
    spec: ModelSpec, task: TaskSpec, train: Sequences
) -> None:
    batches = batches_of(train, 10**6)
    network = network_of(spec)
    before = weights_of(network)
    quiet = learner_of(network, task, optimizer="sgd").step(batches, 0.0)
    noisy = learner_of(network, task, optimizer="sgd", weight_noise=0.5).step(batches, 0.0)
    assert noisy.learned
    assert noisy.loss != quiet.loss
    assert same(weights_of(network), before)  # a step at rate 0: only noise could have stayed


def test_the_gradient_is_clipped_to_the_norm(
    spec: ModelSpec, task: TaskSpec, train: Sequences
) -> None:
    network = network_of(spec)
    before = weights_of(network)
    learner = learner_of(network, task, optimizer="sgd", clip_norm=1e-3)
    outcome = learner.step(batches_of(train, 10**6), 1.0)
    moved = sum((w - before[name]).square().sum() for name, w in weights_of(network).items())
    assert outcome.norm > 0.01  # before clipping
    assert float(moved) ** 0.5 == pytest.approx(1e-3, rel=1e-3)


def test_updates_are_measured_when_asked_for(
    spec: ModelSpec, task: TaskSpec, train: Sequences
) -> None:
    network = network_of(spec)
    before = weights_of(network)
    learner = learner_of(network, task)
    batches = batches_of(train, 10**6)
    updates = learner.step(batches, 0.01, measure=True).updates
    after = weights_of(network)
    name = "layers.1.forward.recurrent"
    ratio = (after[name] - before[name]).norm() / before[name].norm()
    assert updates[name] == pytest.approx(ratio.item(), rel=1e-5)
    assert "head.bias" not in updates  # it was zero
    assert learner.step(batches, 0.01).updates == {}


def test_a_state_is_restored_to_the_bit_and_stays_what_it_is(
    spec: ModelSpec, task: TaskSpec, train: Sequences
) -> None:
    """Also when the optimiser goes on from it: it must not write into what was kept."""
    batches = batches_of(train, 10**6)
    for optimizer, momentum in (("adamw", 0.0), ("rmsprop", 0.9), ("sgd", 0.0), ("sgd", 0.9)):
        network = network_of(spec)
        learner = learner_of(
            network, task, optimizer=optimizer, momentum=momentum, ema_decay=0.9, precision="fp16"
        )
        learner.step(batches, 0.01)
        kept = learner.state()
        ends = []
        for _ in range(2):
            learner.restore(kept)
            for _ in range(3):
                learner.step(batches, 0.01)
            ends.append(learner.state())
        for part, tensors in ends[0].items():
            assert same(dict(tensors), dict(ends[1][part]))
        assert not same(dict(ends[0]["model"]), dict(kept["model"]))


def test_lower_precisions_stay_near_and_are_not_the_same(
    spec: ModelSpec, task: TaskSpec, train: Sequences
) -> None:
    batches = batches_of(train, 10**6)
    found = {
        precision: learner_of(network_of(spec), task, precision=precision).step(batches, 0.01)
        for precision in ("fp32", "bf16", "fp16")
    }
    for precision, tolerance in (("bf16", 1e-2), ("fp16", 1e-3)):
        assert found[precision].loss != found["fp32"].loss
        assert found[precision].loss == pytest.approx(found["fp32"].loss, rel=tolerance)
        assert found[precision].norm == pytest.approx(found["fp32"].norm, rel=10 * tolerance)
        assert found[precision].outputs.dtype == torch.float32  # so is the loss


def test_fp16_lowers_its_scale_until_the_gradient_fits(
    spec: ModelSpec, task: TaskSpec, train: Sequences
) -> None:
    batches = batches_of(train, 10**6)
    learner = learner_of(network_of(spec), task, precision="fp16")
    state = learner.state()
    scaler = {**state["scaler"], "scale": torch.tensor(2.0**40)}
    learner.restore({**state, "scaler": scaler})
    outcome = learner.step(batches, 0.01)
    assert outcome.learned
    assert learner.state()["scaler"]["scale"] < 2.0**40
    plain = learner_of(network_of(spec), task).step(batches, 0.01)
    assert outcome.norm == pytest.approx(plain.norm, rel=1e-2)
