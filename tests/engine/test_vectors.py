"""Test vectors: an engine that computes something else must not open."""

from __future__ import annotations

import dataclasses

import msgspec
import numpy as np
import pytest
from readouts import READOUTS

from tidegate.engine import Engine, vectors
from tidegate.errors import EngineError


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_a_good_bundle_opens(make_bundle, backend):
    assert len(Engine.open(make_bundle(), backend)) == 0


@pytest.mark.parametrize("name", ["outputs", "encoder", "hidden"])
@pytest.mark.parametrize("by", [3e-5, np.nan, np.inf])
def test_a_difference_anywhere_is_refused(make_bundle, name, by):
    bundle = make_bundle()
    changed = bundle.vectors[name].copy()
    spot = tuple(np.argwhere(np.isfinite(changed))[-1])
    changed[spot] += by * max(1.0, abs(changed[spot]))
    spoiled = dataclasses.replace(bundle, vectors={**bundle.vectors, name: changed})
    with pytest.raises(EngineError, match=name) as caught:
        Engine.open(spoiled)
    assert caught.value.code == "vectors_mismatch"


def test_large_weights_may_differ_by_more():
    small, large = np.full((2, 10), 0.5), np.full((2, 100), 2.0)
    assert vectors.tolerance_of("fp32", "native", {"small": small}) == vectors.TOLERANCE
    allowed = vectors.tolerance_of("fp32", "native", {"small": small, "large": large})
    assert allowed == pytest.approx(8 * 200 * 2**-23)
    assert vectors.tolerance_of("fp32", "native", {"burst": 1e9 * large}) < 0.1


def test_other_weights_are_refused(make_bundle):
    bundle = make_bundle()
    weight = bundle.weights["layers.0.forward.recurrent"].copy()
    weight[0, 0] += 0.1
    weights = {**bundle.weights, "layers.0.forward.recurrent": weight}
    with pytest.raises(EngineError, match="not reproduced"):
        Engine.open(dataclasses.replace(bundle, weights=weights))


def test_events_that_the_schema_refuses_are_refused(make_bundle):
    bundle = make_bundle()
    events = msgspec.json.decode(bundle.vectors["events"].tobytes())
    events[-1]["event"]["driver"] = "somebody else"
    encoded = np.frombuffer(msgspec.json.encode(events), dtype=np.uint8)
    with pytest.raises(EngineError, match="were refused"):
        Engine.open(dataclasses.replace(bundle, vectors={**bundle.vectors, "events": encoded}))


def test_vectors_walk_every_policy(make_bundle):
    """What is drawn has missing values, values outside the vocabulary and different times."""
    bundle = make_bundle()
    events = vectors.draw(bundle.schema, bundle.baseline, seed=0)
    drawn = {name: [e["event"].get(name) for e in events] for name in bundle.schema.names}
    assert all(None in drawn[name] for name in ("speed", "load", "road", "wet"))
    assert {True, False} <= set(drawn["wet"])
    many = vectors.draw(bundle.schema, bundle.baseline, seed=1) + events
    assert any(str(e["event"].get("road")).startswith("a value of no") for e in many)
    assert len({e["time"] for e in events}) > len(events) / 2
    assert events == vectors.draw(bundle.schema, bundle.baseline, seed=0)


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("backend", ["native", "reference"])
def test_vectors_of_every_readout_are_reproduced(make_bundle, readout, backend):
    bundle = make_bundle(readout=readout)
    assert bundle.vectors["outputs"].shape[1] == bundle.spec.answer_size
    Engine.open(bundle, backend)
    changed = bundle.vectors["outputs"].copy()
    changed[7, 0] += 0.1
    spoiled = dataclasses.replace(bundle, vectors={**bundle.vectors, "outputs": changed})
    with pytest.raises(EngineError, match="outputs"):
        Engine.open(spoiled, backend)


@pytest.mark.parametrize(
    ("ranks", "indices", "reproduced"),
    [
        ([0, 1], [1, 0], True),  # equal outputs
        ([0, 2], None, False),
        ([3], [299], True),  # by a rounding the last of those that are given
        ([0], [299], False),
    ],
)
def test_indices_of_near_outputs_may_change_places(make_bundle, ranks, indices, reproduced):
    bundle = make_bundle(readout="top_of_many")
    bundle.weights["head.weight"][1] = bundle.weights["head.weight"][0]
    bundle.weights["head.bias"][:2] = 40.0
    engine = Engine.open(bundle, "reference", replay=False)
    found = vectors.record(engine.fresh(), bundle.vectors["events"])
    outputs = found["outputs"].copy()
    assert (outputs[:, 4:6] == [0, 1]).all()
    its = outputs[7, 4:]
    its[ranks] = its[ranks[::-1]] if indices is None else indices
    wanted = {**found, "outputs": outputs}
    if reproduced:
        vectors.replay(engine, wanted)
        return
    with pytest.raises(EngineError, match="outputs differ"):
        vectors.replay(engine, wanted)
