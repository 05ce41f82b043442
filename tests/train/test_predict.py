from __future__ import annotations

import numpy as np
import pytest
import torch

from tidegate.nn import Network
from tidegate.spec import ModelSpec
from tidegate.train.predict import predict
from tidegate.train.sequences import Sequences


@pytest.mark.parametrize("budget", [1, 50, 100_000])
def test_every_event_gets_the_output_of_its_session_alone(
    spec: ModelSpec, train: Sequences, budget: int
) -> None:
    network = Network(spec, dropout=0.5)
    outputs = predict(network, train.rows, train.offsets, budget=budget)
    assert network.training  # as it was
    network.eval()
    for begin, end in zip(train.offsets[:-1], train.offsets[1:], strict=True):
        with torch.inference_mode():
            alone, _ = network(torch.from_numpy(train.rows[None, begin:end]))
        np.testing.assert_allclose(outputs[begin:end], alone[0].numpy(), rtol=0, atol=1e-6)
