"""Compressed bundles: saved, loaded, and the same answers on every processor."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from kernel_models import CELLS, options_of

from tidegate import bundle as bundles
from tidegate import core
from tidegate.engine import Engine, vectors
from tidegate.engine.compress import compress
from tidegate.errors import EngineError, InputError
from tidegate.spec import LayerSpec

COMPRESSED = ["bf16", "int8"]
ANY_KIND = pytest.mark.parametrize(
    ("cell", "option"),
    [*((cell, "plain") for cell in CELLS), *(("lstm", option) for option in options_of("lstm"))],
)


def layers(cell: str, option: str) -> tuple[LayerSpec, ...]:
    upper = LayerSpec(**CELLS[cell], **options_of(cell)[option], hidden_size=21)
    return (LayerSpec(**CELLS[cell], hidden_size=21), upper)


def same(made: bundles.Bundle) -> bool:
    """Say whether this machine's engine reproduces a bundle's vectors to the bit."""
    found = vectors.record(Engine.open(made, replay=False), made.vectors["events"])
    return all(found[name].tobytes() == made.vectors[name].tobytes() for name in found)


@pytest.mark.parametrize("precision", COMPRESSED)
def test_what_is_saved_is_loaded(make_bundle, tmp_path, precision) -> None:
    source = bundles.save(make_bundle((LayerSpec("gru", 96),)), tmp_path / "a")
    saved = bundles.save(compress(source, precision), tmp_path / "b")
    loaded = bundles.load(tmp_path / "b")
    assert (loaded.precision, loaded.name, loaded.version) == (precision, "small", f"1-{precision}")
    assert loaded.provenance["compressed"] == {
        "precision": precision,
        "version": "1",
        "fingerprint": source.fingerprint.hex(),
    }
    assert loaded.weights.keys() == saved.weights.keys()
    for name, array in loaded.weights.items():
        np.testing.assert_array_equal(array, saved.weights[name], strict=True)
    assert loaded.fingerprint == saved.fingerprint != source.fingerprint
    assert loaded.vectors["events"].tobytes() == source.vectors["events"].tobytes()
    sizes = [(tmp_path / part / "weights.safetensors").stat().st_size for part in "ab"]
    assert sizes[1] < {"bf16": 0.56, "int8": 0.33}[precision] * sizes[0]
    assert f"the matrices in {precision}" in (tmp_path / "b" / "card.md").read_text()
    assert same(loaded)
    Engine.open(loaded)


@pytest.mark.parametrize("precision", COMPRESSED)
@ANY_KIND
def test_the_engine_runs_the_bundle_in_its_precision(make_bundle, cell, option, precision) -> None:
    """It is what `pack` makes of the source's own weights, to the bit."""
    source = make_bundle(layers(cell, option))
    made = compress(source, precision)
    rows = np.random.default_rng(1).normal(size=(9, source.spec.row_size)).astype(np.float32)
    rows[:, [c.column for c in source.spec.categories]] = 1
    outputs = np.empty((9, 1), dtype=np.float32)
    packed = core.pack(source.spec, source.weights, precision)
    states = packed.initial[None].copy()
    packed.step(rows, np.zeros(9, dtype=np.int64), states, outputs)
    engine = Engine.open(made)
    assert engine.step(["s"] * 9, rows).tobytes() == outputs.tobytes()
    assert engine.export_state("s").hidden.tobytes() == states[0].tobytes()


@ANY_KIND
def test_int8_vectors_are_reproduced_to_the_bit_on_every_set(
    isa_of_the_machine, make_bundle, cell, option
) -> None:
    made = compress(make_bundle(layers(cell, option)), "int8")
    for isa in core.isas():
        core.use_isa(isa)
        assert same(made), isa
        Engine.open(made)


@ANY_KIND
def test_bf16_and_the_reference_are_near(isa_of_the_machine, make_bundle, cell, option) -> None:
    source = make_bundle(layers(cell, option))
    for precision in COMPRESSED:
        made = compress(source, precision)
        Engine.open(made, "reference")
        for isa in core.isas():
            core.use_isa(isa)
            Engine.open(made)


@pytest.mark.parametrize(
    ("precision", "backend", "by"),
    [("int8", "native", 1e-7), ("bf16", "native", 0.05), ("int8", "reference", 0.3)],
)
@pytest.mark.parametrize("name", ["outputs", "hidden"])
def test_another_result_is_refused(make_bundle, precision, backend, by, name) -> None:
    made = compress(make_bundle(), precision)
    changed = made.vectors[name].copy()
    changed[-1, 0] += by * max(1.0, float(np.abs(changed).max()))
    with pytest.raises(EngineError, match=name):
        Engine.open(dataclasses.replace(made, vectors={**made.vectors, name: changed}), backend)


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_the_encoder_is_held_to_the_same_whatever_the_precision(make_bundle, backend) -> None:
    made = compress(make_bundle(), "int8")
    changed = made.vectors["encoder"] + 1e-3
    with pytest.raises(EngineError, match="encoder"):
        Engine.open(
            dataclasses.replace(made, vectors={**made.vectors, "encoder": changed}), backend
        )


def test_a_compressed_bundle_is_not_compressed_again(make_bundle) -> None:
    made = compress(make_bundle(), "bf16", version="b")
    assert made.version == "b"
    with pytest.raises(InputError, match="small b is bf16") as caught:
        compress(made, "int8")
    assert caught.value.code == "already_compressed"
