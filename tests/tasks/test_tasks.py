from __future__ import annotations

import msgspec
import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from tidegate import answers, tasks
from tidegate.nn import Network
from tidegate.spec import ItemsSpec, LayerSpec, ModelSpec, TaskSpec

ROWS = np.zeros((0, 1), np.float32)  # which these tasks do not read
SPECS = {
    "two": TaskSpec("classify", "y", classes=("a", "b")),
    "many": TaskSpec("classify", "y", classes=("a", "b", "c", "d")),
    "tag": TaskSpec("tag", "y", classes=("O", "B-a", "I-a")),
    "language": TaskSpec("language", "y", classes=("", "a", "b", "c"), items=ItemsSpec()),
    "number": TaskSpec("regress", "y", target_mean=5.0, target_scale=3.0),
}


def example(spec: TaskSpec) -> tuple[np.ndarray, np.ndarray]:
    """Outputs (B, T, k) and labels (B, T), some of them missing."""
    rng = np.random.default_rng(0)
    outputs = rng.standard_normal((4, 6, spec.output_size)).astype(np.float32)
    labels = (
        rng.integers(0, len(spec.classes), (4, 6)).astype(np.float64)
        if spec.classes
        else rng.normal(5, 3, (4, 6))
    )
    labels[rng.random((4, 6)) < 0.4] = np.nan
    return outputs, labels


@pytest.mark.parametrize("name", SPECS)
def test_the_loss_is_the_metric_of_the_answer_half(name: str) -> None:
    spec = SPECS[name]
    outputs, labels = example(spec)
    task = tasks.open(spec)
    targets = torch.from_numpy(task.targets(labels, ROWS))
    loss = float(task.loss(torch.from_numpy(outputs), targets))
    found = answers.open(spec).metrics(outputs.reshape(24, -1), labels.reshape(24))
    expected = found["log_loss"] if spec.classes else (found["rmse"] / spec.target_scale) ** 2
    assert loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", SPECS)
def test_events_without_label_get_no_gradient(name: str) -> None:
    spec = SPECS[name]
    outputs, labels = example(spec)
    outputs[np.isnan(labels)] = np.inf  # would show
    task = tasks.open(spec)
    leaf = torch.from_numpy(outputs).requires_grad_()
    loss = task.loss(leaf, torch.from_numpy(task.targets(labels, ROWS)))
    loss.backward()
    assert torch.isfinite(loss)
    assert leaf.grad is not None
    has_gradient = (leaf.grad != 0).all(dim=-1).numpy()
    np.testing.assert_array_equal(has_gradient, ~np.isnan(labels))


@pytest.mark.parametrize("name", SPECS)
def test_without_labels_the_loss_is_zero(name: str) -> None:
    outputs = torch.ones(2, 3, SPECS[name].output_size, requires_grad=True)
    loss = tasks.open(SPECS[name]).loss(outputs, torch.full((2, 3), torch.nan))
    loss.backward()
    assert loss.item() == 0.0
    assert outputs.grad is not None
    assert not outputs.grad.any()


@pytest.mark.parametrize("name", SPECS)
def test_the_watched_metric_is_one_of_the_answer_half(name: str) -> None:
    task = tasks.open(SPECS[name])
    outputs, labels = example(SPECS[name])
    found = answers.open(SPECS[name]).metrics(outputs.reshape(24, -1), labels.reshape(24))
    assert task.watch in found


def test_large_targets_keep_their_digits() -> None:
    spec = TaskSpec("regress", "y", target_mean=1.7e9, target_scale=2.0)
    np.testing.assert_array_equal(tasks.open(spec).targets(np.array([1.7e9 + 1]), ROWS), [0.5])


@pytest.mark.parametrize("name", SPECS)
def test_no_constant_answer_is_better_than_the_constant_loss(name: str) -> None:
    spec = SPECS[name]
    _, labels = example(spec)
    task = tasks.open(spec)
    targets = task.targets(labels, ROWS)
    found = task.constant_loss(targets)
    assert task.constant_loss(np.full(3, np.nan, np.float32)) == 0.0
    known = targets[~np.isnan(targets)]
    if spec.classes:
        shares = np.bincount(known.astype(int)) / len(known)
        best = np.log(shares) if len(shares) > 2 else np.log(shares[1:] / shares[0])
    else:
        best = known.mean()[None]
    for offset, least in ((0.0, found), (0.1, found + 1e-4), (-0.1, found + 1e-4)):
        outputs = np.tile(best, (*labels.shape, 1))
        outputs[..., 0] += offset
        loss = task.loss(torch.from_numpy(outputs), torch.from_numpy(targets).double()).item()
        assert loss == pytest.approx(found, rel=1e-5) if offset == 0 else loss > least


@pytest.mark.parametrize("name", ["two", "many"])
def test_class_weights_give_the_weighted_mean_of_scikit_learn(name: str) -> None:
    outputs, labels = example(SPECS[name])
    weights = np.array([0.5, 3.0, 1.0, 2.0][: len(SPECS[name].classes)])
    spec = msgspec.structs.replace(SPECS[name], class_weights=tuple(weights.tolist()))
    task = tasks.open(spec)
    loss = task.loss(torch.from_numpy(outputs), torch.from_numpy(task.targets(labels, ROWS)))
    known = ~np.isnan(labels)
    opened = answers.open(spec)
    probabilities = [
        list(answer["probabilities"].values()) for answer in opened.answer(outputs[known])
    ]
    truth = labels[known].astype(int)
    expected = log_loss(truth, probabilities, sample_weight=weights[truth])
    assert float(loss) == pytest.approx(expected, rel=1e-6)
    # What is measured knows of no weights.
    flat = outputs.reshape(24, -1), labels.reshape(24)
    assert opened.metrics(*flat) == answers.open(SPECS[name]).metrics(*flat)


@pytest.mark.parametrize("name", ["two", "many"])
def test_no_constant_has_a_lower_weighted_loss(name: str) -> None:
    weights = (0.5, 3.0, 1.0, 2.0)[: len(SPECS[name].classes)]
    spec = msgspec.structs.replace(SPECS[name], class_weights=weights)
    task = tasks.open(spec)
    targets = task.targets(example(spec)[1], ROWS).ravel()
    leaf = torch.zeros(spec.output_size, requires_grad=True)
    optimizer = torch.optim.LBFGS([leaf], max_iter=100)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = task.loss(leaf.expand(len(targets), -1), torch.from_numpy(targets))
        loss.backward()
        return loss

    optimizer.step(closure)
    assert closure().item() == pytest.approx(task.constant_loss(targets), abs=1e-5)


@pytest.mark.parametrize("name", ["two", "many"])
def test_a_head_that_is_too_sure_is_scaled_down(name: str) -> None:
    spec = msgspec.structs.replace(SPECS[name], temperature=1.0)
    network = Network(ModelSpec(2, (LayerSpec("gru", 3),), spec.output_size))
    given = {key: value.clone() for key, value in network.state_dict().items()}
    outputs, labels = (array.reshape(24, -1) for array in example(spec))
    outputs *= 20
    settled = tasks.open(spec).finish(network, outputs, labels[:, 0])
    assert settled.temperature is not None
    assert settled.temperature > 2
    assert settled == msgspec.structs.replace(spec, temperature=settled.temperature)
    for key, value in network.state_dict().items():
        scale = settled.temperature if key.startswith("head.") else 1.0
        torch.testing.assert_close(value * scale, given[key])
    measure = answers.open(spec).metrics
    before, after = (
        measure(outputs, labels[:, 0]),
        measure(outputs / settled.temperature, labels[:, 0]),
    )
    assert after["accuracy"] == before["accuracy"]
    assert after["log_loss"] < before["log_loss"]
    assert after["ece"] < before["ece"]


def test_a_head_is_left_alone_where_calibration_is_not_wanted() -> None:
    network = Network(ModelSpec(2, (LayerSpec("gru", 3),), 1))
    given = network.head.weight.detach().clone()
    outputs, labels = (array.reshape(24, -1) for array in example(SPECS["two"]))
    assert tasks.open(SPECS["two"]).finish(network, outputs, labels[:, 0]) == SPECS["two"]
    torch.testing.assert_close(network.head.weight, given, rtol=0, atol=0)
