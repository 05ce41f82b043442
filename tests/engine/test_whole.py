"""Models of two directions: whole sessions against training's network and the reference."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from kernel_models import CELLS, options_of
from readouts import READOUTS

from tidegate import bundle as bundles
from tidegate.engine import Engine, offline, vectors
from tidegate.engine.compress import compress
from tidegate.engine.whole import WholeSessions
from tidegate.errors import EngineError, InputError
from tidegate.nn import Network, load_bundle
from tidegate.nn.readout import numbers
from tidegate.spec import LayerSpec

STACK = (
    LayerSpec("gru", 6, bidirectional=True, learned_initial_state=True),
    LayerSpec("lstm", 6, bidirectional=True, residual=True, peephole=True, zoneout=0.1),
    LayerSpec("rnn", 7, layer_norm=True),
)


def table(random_events, lengths, seed=0):
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    columns = random_events(int(offsets[-1]), np.random.default_rng(seed))
    return columns, np.arange(float(offsets[-1])) * 30, offsets


def by_network(bundle, columns, times, offsets):
    """What training makes of each session."""
    network = Network(bundle.spec).eval()
    load_bundle(network, bundle.weights)
    rows = bundle.schema.encode(columns, times, offsets).rows
    parts = []
    with torch.inference_mode():
        for begin, end in itertools.pairwise(offsets):
            given = torch.from_numpy(rows[None, begin:end])
            parts.append(numbers(bundle.spec, network(given)[0], given)[0].numpy())
    return np.concatenate(parts)


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_a_stack_scores_whole_sessions_as_it_was_trained(make_bundle, random_events, backend):
    bundle = make_bundle(STACK)
    events = table(random_events, [1, 30, 7])
    found = offline.outputs(offline.open(bundle, backend), *events)
    np.testing.assert_allclose(found, by_network(bundle, *events), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("cell", "option"),
    [(cell, option) for cell in CELLS for option in options_of(cell) if option != "residual"],
)
def test_every_option_has_two_directions(make_bundle, random_events, cell, option):
    layer = LayerSpec(**CELLS[cell], **options_of(cell)[option], hidden_size=16, bidirectional=True)
    bundle = make_bundle((layer,))
    events = table(random_events, [12, 5])
    truth = by_network(bundle, *events)
    for backend in ("native", "reference"):
        found = offline.outputs(offline.open(bundle, backend), *events)
        np.testing.assert_allclose(found, truth, rtol=0, atol=1e-5)


def test_it_steps_as_an_engine_where_both_can(make_bundle, random_events):
    bundle = make_bundle((LayerSpec("gru", 16), LayerSpec("lstm", 12)))
    whole = WholeSessions(bundle.spec, bundle.schema, bundle.weights)
    events = table(random_events, [9, 20])
    stepped = offline.outputs(Engine.open(bundle), *events)
    np.testing.assert_allclose(offline.outputs(whole, *events), stepped, rtol=0, atol=1e-6)


@pytest.mark.parametrize("readout", [name for name in READOUTS if "surprise" not in name])
@pytest.mark.parametrize("backend", ["native", "reference"])
def test_every_readout_of_two_directions(make_bundle, random_events, readout, backend):
    bundle = make_bundle(STACK, readout=readout)
    events = table(random_events, [1, 30, 7])
    found = offline.outputs(offline.open(bundle, backend), *events)
    np.testing.assert_allclose(found, by_network(bundle, *events), rtol=0, atol=1e-5)


def test_a_surprise_is_that_of_an_engine(make_bundle, random_events):
    layers = (LayerSpec("gru", 16), LayerSpec("lstm", 12, learned_initial_state=True))
    bundle = make_bundle(layers, readout="surprise")
    events = table(random_events, [9, 20])
    stepped = offline.outputs(Engine.open(bundle, "reference"), *events)
    whole = WholeSessions(bundle.spec, bundle.schema, bundle.weights)
    np.testing.assert_allclose(offline.outputs(whole, *events), stepped, rtol=1e-5, atol=1e-5)


def test_the_last_event_reaches_the_first_answer(make_bundle, random_events):
    whole = offline.open(make_bundle(STACK))
    columns, times, offsets = table(random_events, [10])
    rows = whole.schema.encode(columns, times, offsets).rows
    changed = rows.copy()
    changed[-1, 0] += 1
    before, after = whole.run(rows), whole.run(changed)
    assert (before != after).any(axis=1).all()
    assert whole.run(rows).tobytes() == before.tobytes()  # nothing is remembered
    assert whole.run(rows[:0]).shape == (0, 1)


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_it_travels_in_every_precision(make_bundle, random_events, tmp_path, precision):
    source = make_bundle(STACK)
    saved = bundles.save(source, tmp_path / "fp32")
    small = bundles.save(compress(saved, precision), tmp_path / precision)
    events = table(random_events, [30, 7])
    exact, rounded = (offline.outputs(offline.open(bundle), *events) for bundle in (saved, small))
    assert exact.tobytes() == offline.outputs(offline.open(source), *events).tobytes()
    assert 0 < np.abs(exact - rounded).max() < 0.1
    offline.open(small, "reference")


def test_test_vectors_are_whole_sessions(make_bundle):
    bundle = make_bundle(STACK)
    assert bundle.vectors["hidden"].shape == (6, 0)
    vectors.replay(offline.open(bundle, replay=False), bundle.vectors)
    wrong = {**bundle.vectors, "outputs": bundle.vectors["outputs"] + 1e-3}
    with pytest.raises(EngineError, match="outputs differ") as caught:
        vectors.replay(offline.open(bundle, replay=False), wrong)
    assert caught.value.code == "vectors_mismatch"


def test_rows_that_no_model_takes(make_bundle):
    bundle = make_bundle(STACK)
    whole = offline.open(bundle)
    rows = np.zeros((3, bundle.spec.row_size), dtype=np.float32)
    nan, index = rows.copy(), rows.copy()
    nan[1, 0] = np.nan
    index[2, bundle.spec.categories[0].column] = 1000
    for wrong, says in ((rows[:, 1:], "shape"), (nan, "row 1 holds"), (index, "row 2, column")):
        with pytest.raises(InputError, match=says) as caught:
            whole.run(wrong)
        assert caught.value.code == "bad_rows"
    weights = {**bundle.weights, "head.bias": np.full(1, np.inf, np.float32)}
    with pytest.raises(InputError, match="session 'pump'") as caught:
        WholeSessions(bundle.spec, bundle.schema, weights).run(rows, "pump")
    assert caught.value.code == "not_finite_output"


def test_an_unknown_backend_is_refused(make_bundle):
    with pytest.raises(InputError, match="'quantum' is not an engine"):
        offline.open(make_bundle(STACK), "quantum")
