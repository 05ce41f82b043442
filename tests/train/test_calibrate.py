from __future__ import annotations

import numpy as np
import pytest
import torch
from problem import Problem

from tidegate import answers
from tidegate.nn import Network
from tidegate.train.calibrate import calibrate
from tidegate.train.predict import predict


def test_a_head_that_was_too_sure_is_scaled_down(problem: Problem) -> None:
    torch.manual_seed(0)
    network = Network(problem.spec)
    with torch.no_grad():
        for weight in network.head.parameters():
            weight *= 50
    valid = problem.valid
    given = {name: weight.clone() for name, weight in network.state_dict().items()}
    outputs = predict(network, valid.rows, valid.offsets)
    done = calibrate(network, problem.task, valid)
    assert done.temperature > 2
    measure = answers.open(problem.task).metrics
    assert done.before == measure(outputs, valid.labels)
    scaled = predict(network, valid.rows, valid.offsets)
    np.testing.assert_allclose(scaled, outputs / done.temperature, rtol=1e-4, atol=1e-5)
    assert done.after == measure(scaled, valid.labels)
    for name in ("log_loss", "ece"):
        assert done.after[name] < done.before[name]
    for name in ("accuracy", "auc"):  # neither the likelier class nor the order changes
        assert done.after[name] == pytest.approx(done.before[name])
    changed = {
        name for name, weight in network.state_dict().items() if (weight != given[name]).any()
    }
    assert changed <= {"head.weight", "head.bias"}
    assert f"temperature {done.temperature:.3f}" in str(done)
