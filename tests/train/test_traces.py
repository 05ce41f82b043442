from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tidegate import bundle as bundles
from tidegate.engine import offline
from tidegate.engine.compress import compress
from tidegate.errors import InputError
from tidegate.nn import Network, named_weights
from tidegate.spec import CategoryInput, LayerSpec, ModelSpec
from tidegate.train import traces


def test_gates_of_every_layer_and_direction() -> None:
    layers = (
        LayerSpec("gru", 4),
        LayerSpec("lstm", 3, bidirectional=True),
        LayerSpec("rnn", 2),
    )
    network = Network(ModelSpec(3, layers, 1, (CategoryInput(1, 5, 2),))).eval()
    found = traces.gates(network, np.ones((7, 3), np.float32))
    assert [list(layer) for layer in found] == [
        ["r", "z", "n"],
        [f"{side}.{gate}" for side in ("forward", "backward") for gate in "ifgo"],
        ["h"],
    ]
    shapes = [{values.shape for values in layer.values()} for layer in found]
    assert shapes == [{(7, 4)}, {(7, 3)}, {(7, 2)}]


def test_z_is_the_share_that_is_kept() -> None:
    network = Network(ModelSpec(1, (LayerSpec("gru", 4),), 1)).eval()
    with torch.no_grad():
        named_weights(network)["layers.0.forward.b_input"][4:8] = torch.tensor([9.0, -9, 0, 0])
    (layer,) = traces.gates(network, np.random.default_rng(0).normal(size=(9, 1)).astype("f4"))
    assert layer["z"][:, 0].min() > 0.99
    assert layer["z"][:, 1].max() < 0.01


def test_the_network_of_a_bundle_gives_its_answers(saved_bundle: Path) -> None:
    bundle = bundles.load(saved_bundle)
    network = traces.network_of(bundle)
    rows = np.random.default_rng(0).normal(size=(1, 6, bundle.spec.row_size)).astype(np.float32)
    for category in bundle.spec.categories:
        rows[..., category.column] = 1
    scorer = offline.open(bundle)
    with torch.no_grad():
        outputs, _ = network(torch.from_numpy(rows))
    np.testing.assert_allclose(outputs[0], scorer.fresh().run("a", rows[0]), atol=1e-5)  # type: ignore[union-attr]
    assert not network.training


def test_rounded_weights_are_refused(saved_bundle: Path) -> None:
    small = compress(replace(bundles.load(saved_bundle)), "int8")
    with pytest.raises(InputError) as caught:
        traces.network_of(small)
    assert caught.value.code == "unsupported_precision"
