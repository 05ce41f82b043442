"""States as answers: they are the engine's own, of any cell, task and readout."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from tidegate import answers
from tidegate import bundle as bundles
from tidegate.engine import Engine, offline
from tidegate.engine.compress import compress
from tidegate.engine.embed import embedder
from tidegate.errors import InputError
from tidegate.spec import LayerSpec


def events(bundle, random_events, n: int = 12):
    columns = random_events(n, np.random.default_rng(1))
    return columns, np.arange(n) * 30.0, np.array([0, 5, n])


@pytest.mark.parametrize(
    "layers",
    [
        (LayerSpec("gru", 12),),
        (LayerSpec("gru", 3), LayerSpec("lstm", 2)),
        (LayerSpec("rnn", 1),),
    ],
)
def test_the_answer_is_the_last_layers_state(layers, make_bundle, random_events) -> None:
    made = embedder(make_bundle(layers))
    columns, times, _ = events(made, random_events)
    engine = Engine.open(made)
    for at in range(len(times)):
        event = {name: values[at : at + 1] for name, values in columns.items()}
        stepped = engine.step_events(["s"], event, times[at : at + 1])
        hidden = engine.export_state("s").hidden
        below = sum(layer.state_size for layer in layers[:-1])
        h = hidden[below : below + layers[-1].hidden_size]
        np.testing.assert_array_equal(stepped.outputs[0], h)


def test_of_two_directions_both_are_given(make_bundle, random_events) -> None:
    source = make_bundle((LayerSpec("gru", 4, bidirectional=True),))
    made = embedder(source)
    columns, times, offsets = events(made, random_events)
    states = offline.outputs(offline.open(made), columns, times, offsets)
    assert states.shape == (12, 8)
    outputs = offline.outputs(offline.open(source), columns, times, offsets)
    head = states @ source.weights["head.weight"].T + source.weights["head.bias"]
    np.testing.assert_allclose(head, outputs, atol=1e-5)


def test_it_is_a_bundle_like_any_other(make_bundle, tmp_path) -> None:
    source = make_bundle()
    made = bundles.save(embedder(source), tmp_path / "state")
    assert (made.name, made.version, made.task.name) == ("small-state", "1", "embed")
    assert made.provenance["embedded"]["version"] == "1"
    loaded = bundles.load(tmp_path / "state")
    Engine.open(loaded)  # replays its vectors
    twice = embedder(loaded)
    assert twice.provenance["embedded"]["name"] == "small-state"
    np.testing.assert_array_equal(twice.vectors["outputs"], made.vectors["outputs"])


def test_answers_in_c_are_those_of_python(make_bundle) -> None:
    opened = answers.open(embedder(make_bundle((LayerSpec("rnn", 2),))).task)
    outputs = np.array([[0.1, -1e-9], [1e30, 0.0]], np.float32)
    expected = [msgspec.json.encode(each) for each in opened.answer(outputs)]
    assert opened.json("1").answers(outputs) == expected
    assert expected[0] == b'{"state":[0.10000000149011612,-9.999999717180685e-10]}'
    assert opened.scores(outputs)[0] == pytest.approx(0.1)
    assert list(opened.columns(outputs)) == ["h0", "h1"]
    assert opened.metrics(outputs, np.full(2, np.nan)) == {"n": 0}


def test_a_rounded_model_is_refused(make_bundle) -> None:
    with pytest.raises(InputError, match="int8: its head would round") as refused:
        embedder(compress(make_bundle(), "int8"))
    assert refused.value.code == "compressed"
