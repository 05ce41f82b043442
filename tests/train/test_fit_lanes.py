"""Training in lanes, on windows and with a curriculum: what `fit` makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tidegate.errors import InputError
from tidegate.nn import Network, to_bundle
from tidegate.spec import LayerSpec, ModelSpec, TaskSpec
from tidegate.train.fit import fit
from tidegate.train.history import Epoch
from tidegate.train.progress import Listener
from tidegate.train.repeatable import repeatable
from tidegate.train.sequences import Sequences
from tidegate.train.settings import TrainSettings


def network_of(spec: ModelSpec, dropout: float = 0.0) -> Network:
    with repeatable(0):
        return Network(spec, dropout=dropout)


def lanes(settings: TrainSettings, **more: Any) -> TrainSettings:
    chosen: dict[str, Any] = {"mode": "lanes", "lanes": 8, "chunk": 6}
    return msgspec.structs.replace(settings, **(chosen | more))


def labelled_at_the_end(sequences: Sequences) -> Sequences:
    labels = np.full(len(sequences.rows), np.nan)
    ends = sequences.offsets[1:] - 1
    labels[ends] = sequences.rows[ends, 0] > 0
    return Sequences(sequences.rows, sequences.offsets, labels, labels.astype(np.float32))


def test_lanes_learn_what_needs_memory(
    spec: ModelSpec, task: TaskSpec, train: Sequences, valid: Sequences, settings: TrainSettings
) -> None:
    result = fit(network_of(spec), task, train, valid, lanes(settings, epochs=8))
    assert result.metrics["auc"] > 0.9
    assert [epoch.events for epoch in result.history] == [len(train.rows)] * 8


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(("count", "chunk"), [(1, 4), (5, 1), (8, 6), (500, 50)])
def test_an_epochs_loss_is_that_of_whole_sessions(
    spec: ModelSpec,
    task: TaskSpec,
    train: Sequences,
    valid: Sequences,
    settings: TrainSettings,
    count: int,
    chunk: int,
    last: bool,
    accumulate: int,
) -> None:
    """Also where most chunks are without labels: the state goes on through them."""
    train = labelled_at_the_end(train) if last else train
    still = msgspec.structs.replace(
        settings, epochs=1, learning_rate=1e-12, accumulate=accumulate, diagnostics=False
    )
    expected = fit(network_of(spec), task, train, valid, still)
    found = fit(network_of(spec), task, train, valid, lanes(still, lanes=count, chunk=chunk))
    assert found.history[0].train_loss == pytest.approx(expected.history[0].train_loss, rel=1e-5)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_mixed_precision_carries_the_state_too(
    spec: ModelSpec,
    task: TaskSpec,
    train: Sequences,
    valid: Sequences,
    settings: TrainSettings,
    precision: str,
) -> None:
    """In fp16, a step is run again until its scale fits: from where it began."""
    still = lanes(settings, epochs=1, learning_rate=1e-12, chunk=3, accumulate=2)
    losses = [
        fit(network_of(spec), task, train, valid, chosen).history[0].train_loss
        for chosen in (still, msgspec.structs.replace(still, precision=precision))
    ]
    assert losses[1] == pytest.approx(losses[0], rel=5e-3)
    assert losses[1] != losses[0]


class Interrupt(Listener):
    """Presses Ctrl-C in the second epoch."""

    def __init__(self) -> None:
        self.epochs = self.batches = 0

    def batch(self, events: int, loss: float, gradient_norm: float) -> None:
        self.batches += 1
        if self.epochs == 1 and self.batches == 3:
            raise KeyboardInterrupt

    def epoch(self, epoch: Epoch, watch: str, best: bool) -> None:
        self.epochs, self.batches = self.epochs + 1, 0


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "lanes"},
        {"mode": "lanes", "max_length": 9, "truncate": "random", "curriculum": 3, "accumulate": 2},
        {"mode": "sessions", "max_length": 9, "truncate": "random", "curriculum": 3},
    ],
)
def test_an_interrupted_run_goes_on_to_the_same_weights(
    spec: ModelSpec,
    task: TaskSpec,
    train: Sequences,
    valid: Sequences,
    settings: TrainSettings,
    tmp_path: Path,
    options: dict[str, Any],
) -> None:
    chosen = lanes(settings, **options)
    whole = network_of(spec, dropout=0.1)
    fit(whole, task, train, valid, chosen)
    resumed = network_of(spec, dropout=0.1)
    path = tmp_path / "run.checkpoint"
    with pytest.raises(KeyboardInterrupt):
        fit(resumed, task, train, valid, chosen, checkpoint=path, listeners=[Interrupt()])
    resumed = network_of(spec, dropout=0.1)
    fit(resumed, task, train, valid, chosen, checkpoint=path)
    expected = to_bundle(whole)
    for name, array in to_bundle(resumed).items():
        np.testing.assert_array_equal(array, expected[name])


@pytest.mark.parametrize("mode", ["sessions", "lanes"])
def test_the_curriculum_lets_more_events_in_and_patience_waits_for_it(
    spec: ModelSpec,
    task: TaskSpec,
    train: Sequences,
    valid: Sequences,
    settings: TrainSettings,
    mode: str,
) -> None:
    chosen = lanes(settings, mode=mode, epochs=6, curriculum=4, patience=1, learning_rate=1e-12)
    history = fit(network_of(spec), task, train, valid, chosen).history
    events = [epoch.events for epoch in history]
    assert events[:4] == sorted(set(events[:4]))
    assert events[3:] == [len(train.rows)] * len(events[3:])
    # The metric stays the same: without the curriculum, the second epoch would be the last.
    assert len(history) == 5
    plain = msgspec.structs.replace(chosen, curriculum=0)
    assert len(fit(network_of(spec), task, train, valid, plain).history) == 2


def test_windows_are_all_that_is_trained_on(
    spec: ModelSpec, task: TaskSpec, train: Sequences, valid: Sequences, settings: TrainSettings
) -> None:
    chosen = lanes(settings, epochs=1, max_length=5)
    (epoch,) = fit(network_of(spec), task, train, valid, chosen).history
    assert epoch.events == np.minimum(np.diff(train.offsets), 5).sum()


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_bad_event_costs_its_chunk_and_nothing_after_it(
    spec: ModelSpec,
    task: TaskSpec,
    train: Sequences,
    valid: Sequences,
    settings: TrainSettings,
    accumulate: int,
) -> None:
    rows = train.rows.copy()
    longest = int(np.diff(train.offsets).argmax())
    rows[train.offsets[longest] + 1] = np.nan
    broken = Sequences(rows, train.offsets, train.labels, train.targets)
    chosen = lanes(settings, epochs=2, chunk=3, accumulate=accumulate)
    result = fit(network_of(spec), task, broken, valid, chosen)
    assert [epoch.bad_batches for epoch in result.history] == [1, 1]


def test_a_backward_direction_is_refused_before_training(
    task: TaskSpec, train: Sequences, valid: Sequences, settings: TrainSettings
) -> None:
    spec = ModelSpec(2, (LayerSpec("gru", 4, bidirectional=True),), 1)
    network = network_of(spec)
    before = to_bundle(network)
    with pytest.raises(InputError) as caught:
        fit(network, task, train, valid, lanes(settings))
    assert (caught.value.code, caught.value.field) == ("bad_layer", "bidirectional")
    for name, array in to_bundle(network).items():
        np.testing.assert_array_equal(array, before[name])
    fit(network, task, train, valid, msgspec.structs.replace(settings, epochs=1))


def test_an_epoch_without_labels_is_refused(
    spec: ModelSpec, task: TaskSpec, train: Sequences, valid: Sequences, settings: TrainSettings
) -> None:
    """As of windows that no label stands in."""
    long = np.flatnonzero(np.diff(train.offsets) > 4)
    labels = np.full(len(train.rows), np.nan)
    labels[train.offsets[long + 1] - 1] = 1.0
    late = Sequences(train.rows, train.offsets, labels, labels.astype(np.float32))
    chosen = lanes(settings, max_length=4, truncate="head")
    with pytest.raises(InputError) as caught:
        fit(network_of(spec), task, late, valid, chosen)
    assert caught.value.code == "no_labels"
