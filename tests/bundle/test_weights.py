"""The arrays of each precision: what is rounded, and what is refused by name."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_models import random_weights, specs
from sealing import replace_weights

from tidegate.bundle import weights as arrays
from tidegate.bundle.bundle import load, save
from tidegate.core.quantise import widened
from tidegate.engine.compress import compress
from tidegate.errors import BundleError
from tidegate.spec import ModelSpec

INPUT = "layers.0.forward.input"
PRODUCTS = ("input", "recurrent")


@settings(deadline=None, max_examples=40)
@given(specs(), st.integers(0, 99), st.sampled_from(["fp32", "bf16", "int8"]))
def test_what_is_quantised_fits_its_layout_and_stays_near(
    spec: ModelSpec, seed: int, precision
) -> None:
    weights = random_weights(spec, seed)
    made = arrays.quantised(spec, weights, precision)
    arrays.check_weights(spec, precision, made)
    wide = widened(made)
    assert wide.keys() == weights.keys()
    for name, array in weights.items():
        if made[name].dtype == np.float32:
            assert made[name] is array
        largest = np.abs(array).max(axis=-1, keepdims=True)
        assert (np.abs(wide[name] - array) <= 0.00394 * largest).all()  # 1/254, or 1/256 of itself
    rounded = {name for name in made if made[name].dtype != np.float32}
    matrices = {f"layers.{k}.forward.{p}" for k in range(len(spec.layers)) for p in PRODUCTS}
    assert rounded == (set() if precision == "fp32" else matrices)
    assert spec.parameters == sum(math.prod(array.shape) for array in weights.values())


def _set(name, index, value):
    def spoil(weights):
        weights[name] = weights[name].copy()
        weights[name][index] = value

    return spoil


SPOILED = [
    ("int8", lambda w: w.pop(f"{INPUT}.scale"), f"{INPUT}.scale is missing"),
    ("int8", _set(f"{INPUT}.scale", 3, np.nan), f"{INPUT}.scale holds a value that is not finite"),
    ("int8", _set(f"{INPUT}.scale", 3, np.inf), f"{INPUT}.scale holds a value that is not finite"),
    ("int8", _set(f"{INPUT}.scale", 3, -0.5), f"{INPUT}.scale holds a scale that is below 0"),
    ("int8", _set(f"{INPUT}.scale", 3, 2.7e36), "or too large"),
    ("int8", lambda w: w.update({f"{INPUT}.scale": w[f"{INPUT}.scale"][1:]}), "the spec says"),
    ("int8", lambda w: w.update({f"{INPUT}.scale": w[f"{INPUT}.scale"] * 1.0}), None),
    ("int8", lambda w: w.update({INPUT: w[INPUT].astype(np.float32)}), f"{INPUT} is float32"),
    ("int8", lambda w: w.update({INPUT: w[INPUT].view(np.uint8)}), f"{INPUT} is uint8"),
    ("int8", lambda w: w.update({INPUT: w[INPUT].T.copy()}), "the spec says int8"),
    ("int8", _set(INPUT, (0, 0), -128), f"{INPUT} holds a value below -127"),
    ("int8", lambda w: w.update({"head.weight.scale": w["head.bias"]}), "is no weight"),
    ("bf16", _set(INPUT, (1, 1), 0x7F80), f"{INPUT} holds a value that is not finite"),
    ("bf16", _set(INPUT, (1, 1), 0xFFC0), f"{INPUT} holds a value that is not finite"),
    ("bf16", lambda w: w.update({f"{INPUT}.scale": w["head.bias"]}), "is no weight"),
    ("bf16", lambda w: w.update({INPUT: w[INPUT].astype(np.float32)}), "the spec says uint16"),
]


@pytest.mark.parametrize(("precision", "spoil", "says"), SPOILED)
def test_damaged_arrays_are_refused_by_name(make_bundle, tmp_path, precision, spoil, says) -> None:
    """A file of which only a program could have made the hashes right again."""
    folder = tmp_path / "b"
    weights = dict(save(compress(make_bundle(), precision), folder).weights)
    spoil(weights)
    replace_weights(folder, arrays.encode(weights))
    if says is None:  # the same weights
        load(folder)
        return
    with pytest.raises(BundleError) as caught:
        load(folder)
    assert caught.value.code == "bundle_weights"
    assert says in caught.value.message
    assert str(caught.value.field) in caught.value.message
