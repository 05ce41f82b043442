"""Training in lanes, on windows and with a curriculum: what `fit` makes of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from problem import Interrupt, Problem, relabelled, same_weights

from tidegate.data.truncate import strided
from tidegate.errors import InputError
from tidegate.spec import LayerSpec, ModelSpec
from tidegate.train.sequences import Sequences
from tidegate.train.settings import TrainSettings


@pytest.fixture
def problem(problem: Problem) -> Problem:
    return replace(problem, dropout=0.0)


def lanes(problem: Problem, **more: Any) -> TrainSettings:
    return problem.having(**{"mode": "lanes", "lanes": 8, "chunk": 6, **more})


def labelled_at_the_end(sequences: Sequences) -> Sequences:
    labels = np.full(len(sequences.rows), np.nan)
    ends = sequences.offsets[1:] - 1
    labels[ends] = sequences.rows[ends, 0] > 0
    return relabelled(sequences, labels)


def test_lanes_learn_what_needs_memory(problem: Problem) -> None:
    result = problem.fit(settings=lanes(problem, epochs=8))
    assert result.metrics["auc"] > 0.9
    assert [epoch.events for epoch in result.history] == [len(problem.train.rows)] * 8


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(("count", "chunk"), [(1, 4), (5, 1), (8, 6), (500, 50)])
def test_an_epochs_loss_is_that_of_whole_sessions(
    problem: Problem, count: int, chunk: int, last: bool, accumulate: int
) -> None:
    """Also where most chunks are without labels: the state goes on through them."""
    train = labelled_at_the_end(problem.train) if last else problem.train
    still = problem.having(epochs=1, learning_rate=1e-12, accumulate=accumulate, diagnostics=False)
    problem = replace(problem, train=train, settings=still)
    expected = problem.fit()
    found = problem.fit(settings=lanes(problem, lanes=count, chunk=chunk))
    assert found.history[0].train_loss == pytest.approx(expected.history[0].train_loss, rel=1e-5)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_mixed_precision_carries_the_state_too(problem: Problem, precision: str) -> None:
    """In fp16, a step is run again until its scale fits: from where it began."""
    still = lanes(problem, epochs=1, learning_rate=1e-12, chunk=3, accumulate=2)
    losses = [
        problem.fit(settings=chosen).history[0].train_loss
        for chosen in (still, msgspec.structs.replace(still, precision=precision))
    ]
    assert losses[1] == pytest.approx(losses[0], rel=5e-3)
    assert losses[1] != losses[0]


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "lanes"},
        {"mode": "lanes", "max_length": 9, "truncate": "random", "curriculum": 3, "accumulate": 2},
        {"mode": "sessions", "max_length": 9, "truncate": "random", "curriculum": 3},
        {"mode": "lanes", "max_length": 9, "truncate": "windows", "stride": 5, "curriculum": 3},
    ],
)
def test_an_interrupted_run_goes_on_to_the_same_weights(
    problem: Problem, tmp_path: Path, options: dict[str, Any]
) -> None:
    problem, chosen = replace(problem, dropout=0.1), lanes(problem, **options)
    whole = problem.network()
    problem.fit(whole, chosen)
    resumed = problem.network()
    path = tmp_path / "run.checkpoint"
    with pytest.raises(KeyboardInterrupt):
        problem.fit(resumed, chosen, checkpoint=path, listeners=[Interrupt(2, 3)])
    resumed = problem.network()
    problem.fit(resumed, chosen, checkpoint=path)
    assert same_weights(resumed, whole)


@pytest.mark.parametrize("mode", ["sessions", "lanes"])
def test_the_curriculum_lets_more_events_in_and_patience_waits_for_it(
    problem: Problem, mode: str
) -> None:
    chosen = lanes(problem, mode=mode, epochs=6, curriculum=4, patience=1, learning_rate=1e-12)
    history = problem.fit(settings=chosen).history
    events = [epoch.events for epoch in history]
    assert events[:4] == sorted(set(events[:4]))
    assert events[3:] == [len(problem.train.rows)] * len(events[3:])
    # The metric stays the same: without the curriculum, the second epoch would be the last.
    assert len(history) == 5
    plain = msgspec.structs.replace(chosen, curriculum=0)
    assert len(problem.fit(settings=plain).history) == 2


def test_windows_are_all_that_is_trained_on(problem: Problem) -> None:
    chosen = lanes(problem, epochs=1, max_length=5)
    (epoch,) = problem.fit(settings=chosen).history
    assert epoch.events == np.minimum(np.diff(problem.train.offsets), 5).sum()


@pytest.mark.parametrize("mode", ["sessions", "lanes"])
def test_strided_windows_are_learned_as_sessions(problem: Problem, mode: str) -> None:
    still = lanes(problem, mode=mode, epochs=1, learning_rate=1e-12)
    train = problem.train
    spans = strided(train.offsets, 5, 3)
    taken = np.concatenate(
        [at + np.arange(n) for at, n in zip(spans.starts, spans.lengths, strict=True)]
    )
    offsets = np.concatenate([[0], np.cumsum(spans.lengths)])
    apart = Sequences(train.rows[taken], offsets, train.labels[taken], train.targets[taken])
    (expected,) = problem.fit(settings=still, train=apart).history
    cut = msgspec.structs.replace(still, max_length=5, truncate="windows", stride=3)
    (found,) = problem.fit(settings=cut).history
    assert found.events == expected.events == len(taken) > len(train.rows)
    assert found.train_loss == pytest.approx(expected.train_loss, rel=1e-5)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_bad_event_costs_its_chunk_and_nothing_after_it(
    problem: Problem, accumulate: int
) -> None:
    rows = problem.train.rows.copy()
    longest = int(np.diff(problem.train.offsets).argmax())
    rows[problem.train.offsets[longest] + 1] = np.nan
    broken = replace(problem.train, rows=rows)
    chosen = lanes(problem, epochs=2, chunk=3, accumulate=accumulate)
    result = problem.fit(settings=chosen, train=broken)
    assert [epoch.bad_batches for epoch in result.history] == [1, 1]


def test_a_backward_direction_is_refused_before_training(problem: Problem) -> None:
    problem = replace(problem, spec=ModelSpec(2, (LayerSpec("gru", 4, bidirectional=True),), 1))
    network = problem.network()
    with pytest.raises(InputError) as caught:
        problem.fit(network, lanes(problem))
    assert (caught.value.code, caught.value.field) == ("bad_layer", "bidirectional")
    assert same_weights(network, problem.network())
    problem.fit(network, problem.having(epochs=1))


def test_an_epoch_without_labels_is_refused(problem: Problem) -> None:
    """As of windows that no label stands in."""
    long = np.flatnonzero(np.diff(problem.train.offsets) > 4)
    labels = np.full(len(problem.train.rows), np.nan)
    labels[problem.train.offsets[long + 1] - 1] = 1.0
    late = relabelled(problem.train, labels)
    chosen = lanes(problem, max_length=4, truncate="head")
    with pytest.raises(InputError) as caught:
        problem.fit(settings=chosen, train=late)
    assert caught.value.code == "no_labels"
