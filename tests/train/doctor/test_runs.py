"""Each diagnosis has a training run that provokes it, and one like it that does not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from tidegate.errors import InputError
from tidegate.nn import Network
from tidegate.nn.layer import Layer
from tidegate.spec import LayerSpec, ModelSpec, TaskSpec
from tidegate.train.doctor import Finding, examine, of_fit, read
from tidegate.train.fit import fit
from tidegate.train.repeatable import repeatable
from tidegate.train.sequences import Sequences
from tidegate.train.settings import TrainSettings

TASK = TaskSpec("classify", "up", classes=("no", "yes"))
GRU = LayerSpec("gru", 16)
SETTINGS = TrainSettings(
    epochs=8, batch_tokens=400, learning_rate=0.02, warmup_steps=5, patience=99
)


def make(rows: np.ndarray, labels: np.ndarray) -> Sequences:
    sessions, steps, width = rows.shape
    return Sequences(
        rows.reshape(-1, width),
        np.arange(sessions + 1) * steps,
        labels.ravel(),
        labels.ravel().astype(np.float32),
        [f"car {i}" for i in range(sessions)],
        ("speed", "lane", "mood", "fuel")[:width],
    )


def before(sessions: int, steps: int, seed: int, *, scale: float = 1.0) -> Sequences:
    """Noise; the label is whether the value before was positive."""
    rows = np.random.default_rng(seed).standard_normal((sessions, steps, 1)).astype(np.float32)
    labels = np.full((sessions, steps), np.nan)
    labels[:, 1:] = rows[:, :-1, 0] > 0
    return make(rows * np.float32(scale), labels)


def first(sessions: int, steps: int, seed: int, *, wrong: float = 0.0, width: int = 1) -> Sequences:
    """Noise; the last event's label is whether the session's first value was positive."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((sessions, steps, width)).astype(np.float32)
    labels = np.full((sessions, steps), np.nan)
    labels[:, -1] = (rows[:, 0, 0] > 0) ^ (rng.random(sessions) < wrong)
    return make(rows, labels)


def with_value(part: Sequences, value: float) -> Sequences:
    """Put a value into event 13 of session 16."""
    rows = part.rows.copy()
    rows[333] = value
    return Sequences(rows, part.offsets, part.labels, part.targets, part.ids, part.columns)


def louder(name: str, factor: float) -> Callable[[Network], None]:
    """Begin with larger weights in the first layer."""

    def change(network: Network) -> None:
        layer = network.layers[0]
        assert isinstance(layer, Layer)
        with torch.no_grad():
            layer.cells[0].get_parameter(name).mul_(factor)

    return change


def run(
    layer: LayerSpec,
    train: Sequences,
    valid: Sequences,
    change: Callable[[Network], None] = lambda network: None,
    **settings: Any,
) -> dict[str, Finding]:
    with repeatable(0):
        network = Network(ModelSpec(train.rows.shape[1], (layer,), 1))
    change(network)
    result = fit(network, TASK, train, valid, msgspec.structs.replace(SETTINGS, **settings))
    return {finding.name: finding for finding in examine(of_fit(result))}


RNN, RELU = LayerSpec("rnn", 16), LayerSpec("rnn", 16, activation="relu")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def healthy() -> dict[str, Finding]:
    """The run that the provoking ones differ from in one thing."""
    return run(GRU, before(100, 20, 1), before(40, 20, 2))


def test_a_healthy_run_gets_no_finding(healthy: dict[str, Finding]) -> None:
    assert healthy == {}


def test_vanishing_gradients() -> None:
    """The cause lies 99 events back: a plain RNN never hears of it."""
    found = run(RNN, first(300, 100, 1), first(60, 100, 2), epochs=4, batch_tokens=3000)
    assert list(found) == ["vanishing_gradients"]
    finding = found["vanishing_gradients"]
    assert finding.severity == "warning"
    assert "64 events before" in finding.evidence
    assert "chrono" in finding.next_step


def test_a_gru_hears_of_a_cause_far_back() -> None:
    found = run(GRU, first(400, 30, 1), first(60, 30, 2), epochs=12, batch_tokens=1000)
    assert found == {}


def test_exploding_gradients() -> None:
    """A recurrent matrix that makes every state almost twice as large."""
    parts = first(100, 30, 1), first(50, 30, 2)
    found = run(RELU, *parts, louder("recurrent", 1.8), learning_rate=1e-3)
    finding = found["exploding_gradients"]
    assert finding.severity == "serious"
    assert "layers.0" in finding.evidence
    assert "exploding_gradients" not in run(RELU, *parts, learning_rate=1e-3)


def test_saturated_gates() -> None:
    parts = before(100, 20, 1), before(40, 20, 2)
    found = run(GRU, *parts, louder("input", 100.0), learning_rate=1e-3)
    finding = found["saturated_gates"]
    assert re.search(r"layers.0.forward.n \d+% low, \d+% high", finding.evidence)
    assert "saturated_gates" not in run(GRU, *parts, louder("input", 2.0), learning_rate=1e-3)


def chrono(longest: int, **settings: Any) -> tuple[float, set[str]]:
    """Return the share of z at its upper end, and what is found."""
    with repeatable(0):
        network = Network(ModelSpec(1, (GRU,), 1), init="chrono", longest=longest)
    settings = {"batch_tokens": 1000, **settings}
    parts = first(400, 30, 1), first(60, 30, 2)
    result = fit(network, TASK, *parts, msgspec.structs.replace(SETTINGS, **settings))
    diagnosis = result.history[-1].diagnosis
    assert diagnosis is not None
    high = diagnosis.layers[0].saturated["forward.z"][1]
    return high, {finding.name for finding in examine(of_fit(result))}


def test_gates_that_keep_are_not_saturated_where_the_past_is_used() -> None:
    high, found = chrono(600, epochs=12)
    assert high > 0.9
    assert found == set()


def test_gates_that_keep_are_saturated_where_nothing_is_learned() -> None:
    high, found = chrono(100_000, epochs=3)
    assert high > 0.9
    assert "saturated_gates" in found


def test_learning_rate_too_high() -> None:
    """Such a run is chaos, and other on every processor: 3.0 was too little on one, and learned."""
    found = run(GRU, before(100, 20, 1), before(40, 20, 2), learning_rate=30.0)
    finding = found["learning_rate_too_high"]
    assert finding.severity == "serious"
    rate = float(finding.next_step.removeprefix("learning_rate = "))
    assert 0.003 <= rate <= 0.3  # the healthy run has 0.02
    severities = [each.severity for each in found.values()]
    assert severities == sorted(severities, key=["serious", "warning"].index)  # worst first


def test_learning_rate_too_low() -> None:
    found = run(GRU, before(100, 20, 1), before(40, 20, 2), learning_rate=1e-6)
    assert list(found) == ["learning_rate_too_low"]
    rate = float(found["learning_rate_too_low"].next_step.split(";")[0].split("=")[1])
    assert 1e-4 < rate < 1e-2


def test_overfitting() -> None:
    """40 sessions, three in ten of them labelled wrongly: all there is to learn is the noise."""
    parts = first(40, 6, 1, wrong=0.3, width=4), first(60, 6, 2, wrong=0.3, width=4)
    found = run(LayerSpec("gru", 48), *parts, epochs=40, batch_tokens=120)
    assert list(found) == ["overfitting"]
    assert "from epoch" in found["overfitting"].evidence


def test_underfitting() -> None:
    """Labels that nothing tells of."""
    parts = first(200, 6, 1, wrong=0.5), first(60, 6, 2, wrong=0.5)
    found = run(LayerSpec("gru", 8), *parts)
    assert list(found) == ["underfitting"]
    assert found["underfitting"].severity == "warning"


def test_a_run_that_ended_while_it_learned_gets_a_note() -> None:
    parts = first(400, 16, 1), first(60, 16, 2)
    found = run(GRU, *parts, batch_tokens=800, schedule="constant", epochs=6)
    assert list(found) == ["underfitting"]
    assert found["underfitting"].severity == "note"
    assert found["underfitting"].next_step.startswith("more epochs")


def test_clipped_always() -> None:
    found = run(GRU, before(100, 20, 1), before(40, 20, 2), clip_norm=0.01)
    assert list(found) == ["clipped_always"]
    assert "100% of the steps" in found["clipped_always"].evidence


def test_unscaled_inputs() -> None:
    parts = before(100, 20, 1, scale=1000), before(40, 20, 2, scale=1000)
    finding = run(GRU, *parts)["unscaled_inputs"]
    assert re.search(r"speed: mean \S+, deviation 1.01e\+03", finding.evidence)
    tiny = before(100, 20, 1, scale=1e-3), before(40, 20, 2, scale=1e-3)
    assert "unscaled_inputs" in run(GRU, *tiny)


def test_dead_units() -> None:
    parts = before(100, 20, 1), before(40, 20, 2)
    finding = run(RELU, *parts, learning_rate=1.0)["dead_units"]
    assert re.match(r"the same at every event: \d+ of 16 units of layers.0", finding.evidence)
    assert run(RELU, *parts) == {}


def test_short_memory() -> None:
    parts = before(20, 200, 1), before(10, 200, 2)
    found = run(GRU, *parts, batch_tokens=1000)
    assert list(found) == ["short_memory"]
    assert found["short_memory"].severity == "note"
    assert "200 events or more" in found["short_memory"].evidence
    cut = run(GRU, *parts, batch_tokens=1000, max_length=20)
    assert "short_memory" not in cut


def test_a_nan_in_the_events() -> None:
    found = run(GRU, with_value(before(100, 20, 1), np.nan), before(40, 20, 2))
    assert list(found) == ["not_finite"]
    finding = found["not_finite"]
    assert finding.severity == "serious"
    assert finding.evidence.startswith("batches skipped: 8")  # one an epoch
    assert "first at input; speed at event 13 of session car 16" in finding.evidence
    assert finding.next_step.startswith("clean speed")


def test_a_huge_value_in_the_events() -> None:
    parts = with_value(before(100, 20, 1), 1e30), before(40, 20, 2)
    finding = run(RELU, *parts, learning_rate=0.005)["not_finite"]
    assert "largest input 1e+30: speed at event 13 of session car 16" in finding.evidence
    assert "log1p" in finding.next_step


def test_numbers_that_burst_in_a_layer_end_a_run_and_are_found_beside_it(tmp_path: Path) -> None:
    with repeatable(0):
        network = Network(ModelSpec(1, (GRU, RELU), 1))
    with torch.no_grad():
        layer = network.layers[1]
        assert isinstance(layer, Layer)
        layer.cells[0].get_parameter("recurrent").mul_(10.0)
    train, valid = first(100, 100, 1), first(40, 100, 2)
    with pytest.raises(InputError, match="loss_not_finite"):
        fit(network, TASK, train, valid, SETTINGS, checkpoint=tmp_path / "cars.checkpoint")
    assert [path.name for path in tmp_path.iterdir()] == ["cars.bad_batches.json"]
    (finding,) = examine(read(tmp_path / "cars"))
    assert finding.name == "not_finite"
    assert "first at layers.1" in finding.evidence
    assert "lower learning_rate" in finding.next_step
