"""torch's own modules, carried into a bundle's layout, against the C core."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tidegate import core
from tidegate.spec import LayerSpec, ModelSpec

PARTS = {
    "input": "weight_ih",
    "recurrent": "weight_hh",
    "b_input": "bias_ih",
    "b_recurrent": "bias_hh",
}


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
def test_a_torch_module_gives_the_same_outputs(cell: str) -> None:
    """Two layers, 37 inputs, 111 units: no multiple of any vector."""
    torch.manual_seed(0)
    kind = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM, "rnn": torch.nn.RNN}[cell]
    module, head = kind(37, 111, num_layers=2, batch_first=True), torch.nn.Linear(111, 5)
    x = torch.randn(6, 50, 37)
    with torch.inference_mode():
        expected = head(module(x)[0]).numpy()
    spec = ModelSpec(37, (LayerSpec(cell, 111), LayerSpec(cell, 111)), 5)
    weights = {
        f"layers.{index}.forward.{part}": getattr(module, f"{name}_l{index}").detach().numpy()
        for index in range(2)
        for part, name in PARTS.items()
    }
    weights |= {
        "head.weight": head.weight.detach().numpy(),
        "head.bias": head.bias.detach().numpy(),
    }
    model = core.pack(spec, weights)
    states, slots = np.zeros((6, spec.state_size), dtype=np.float32), np.arange(6)
    outputs = np.empty((6, 5), dtype=np.float32)
    for t in range(50):
        model.step(np.ascontiguousarray(x[:, t].numpy()), slots, states, outputs)
        np.testing.assert_allclose(outputs, expected[:, t], rtol=0, atol=1e-5)
