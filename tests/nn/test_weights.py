from __future__ import annotations

import numpy as np
import pytest
import torch

from tidegate.errors import BundleError
from tidegate.nn import Network, load_bundle, to_bundle
from tidegate.spec import CategoryInput, LayerSpec, ModelSpec

SPEC = ModelSpec(
    row_size=4,
    layers=(LayerSpec("gru", 5), LayerSpec("lstm", 3), LayerSpec("rnn", 2)),
    output_size=2,
    categories=(CategoryInput(3, 6, 2),),
)


def test_weights_have_the_bundles_names_and_shapes() -> None:
    weights = to_bundle(Network(SPEC))
    assert {name: array.shape for name, array in weights.items()} == SPEC.weight_shapes()
    assert {array.dtype for array in weights.values()} == {np.dtype(np.float32)}


def test_weights_are_copies() -> None:
    network = Network(SPEC)
    weights = to_bundle(network)
    before = weights["head.weight"].copy()
    with torch.no_grad():
        network.head.weight.zero_()
    np.testing.assert_array_equal(weights["head.weight"], before)


def test_weights_come_back_to_the_bit() -> None:
    source, target = Network(SPEC), Network(SPEC)
    rows = torch.randint(0, 6, (2, 5, 4)).float()
    assert not torch.equal(source(rows)[0], target(rows)[0])
    load_bundle(target, to_bundle(source))
    assert torch.equal(source(rows)[0], target(rows)[0])


@pytest.mark.parametrize("change", ["missing", "unknown", "shape"])
def test_weights_that_do_not_fit_change_nothing(change: str) -> None:
    network = Network(SPEC)
    before = to_bundle(network)
    weights = {name: array + 1 for name, array in before.items()}
    if change == "missing":
        del weights["head.weight"]
    elif change == "unknown":
        weights["head.scale"] = weights["head.bias"]
    else:
        weights["head.weight"] = weights["head.weight"][:1]
    with pytest.raises(BundleError, match="head") as caught:
        load_bundle(network, weights)
    assert caught.value.code == "bundle_weights"
    for name, array in to_bundle(network).items():
        np.testing.assert_array_equal(array, before[name])
