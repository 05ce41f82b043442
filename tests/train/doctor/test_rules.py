"""The rules' edges, on histories that are made by hand."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tidegate.data.profile import LengthProfile
from tidegate.spec import LayerSpec, ModelSpec
from tidegate.train.bad_batches import BadBatch, Suspect
from tidegate.train.diagnostics import Diagnosis, LayerDiagnosis
from tidegate.train.doctor import Run, examine
from tidegate.train.given import Column, Given
from tidegate.train.history import Clipping, Epoch
from tidegate.train.settings import TrainSettings

LAYER = LayerDiagnosis((1.0, 0.5, 0.2), {"forward.z": (0.1, 0.2)}, 8, 1, -0.5, 0.5)
DIAGNOSIS = Diagnosis(4, 30, {}, {}, (0, 1, 2), (LAYER,))
COLUMN = Column("speed", 0.0, 1.0, 4.0)
GIVEN = Given(
    ModelSpec(1, (LayerSpec("gru", 8),), 1),
    TrainSettings(epochs=4),
    LengthProfile.of([3, 3, 3]),
    (COLUMN,),
    0.7,
)
EPOCH = Epoch(
    *(1, 0.5, 0.5, {}, 0.4, 0.5, 0.01, 100, 50.0, 2.0),
    clipping=Clipping(0.1, 1.2, 1.5),
    updates={"layers.0.forward.input": 0.001, "head.weight": 0.002, "head.bias": 9.0},
    diagnosis=DIAGNOSIS,
)
HEALTHY = Run(GIVEN, tuple(msgspec.structs.replace(EPOCH, epoch=e) for e in (1, 2, 3, 4)))


def epochs(**changes: Any) -> Run:
    """Each change has a value for every epoch, or one for all."""
    each = [
        {name: value[at] if isinstance(value, list) else value for name, value in changes.items()}
        for at in range(4)
    ]
    history = [msgspec.structs.replace(e, **c) for e, c in zip(HEALTHY.history, each, strict=True)]
    return msgspec.structs.replace(HEALTHY, history=tuple(history))


def layers(*changes: dict[str, Any], lags: tuple[int, ...] = (0, 1, 2)) -> Run:
    """The healthy run with other layers."""
    found = tuple(msgspec.structs.replace(LAYER, **change) for change in changes)
    spec = ModelSpec(1, GIVEN.spec.layers * len(found), 1)
    run = epochs(diagnosis=Diagnosis(4, 30, {}, {}, lags, found))
    return msgspec.structs.replace(run, given=msgspec.structs.replace(GIVEN, spec=spec))


def given(**changes: Any) -> Run:
    return msgspec.structs.replace(HEALTHY, given=msgspec.structs.replace(GIVEN, **changes))


def names(run: Run) -> list[str]:
    return [finding.name for finding in examine(run)]


def test_the_healthy_run_is_healthy() -> None:
    assert names(HEALTHY) == []


def test_runs_of_which_little_is_known_are_not_judged() -> None:
    bare = epochs(diagnosis=None, updates={})
    assert names(msgspec.structs.replace(bare, given=None)) == []
    assert names(given(constant_loss=None, columns=(), lengths=None)) == []
    assert names(Run(None, ())) == []
    assert names(msgspec.structs.replace(HEALTHY, history=HEALTHY.history[:1])) == []


@pytest.mark.parametrize(("change", "found"), [(0.89, []), (0.9, ["clipped_always"])])
def test_clipped_often_is_not_always(change: float, found: list[str]) -> None:
    later = Clipping(change, 2.0, 9.0)
    assert names(epochs(clipping=[Clipping(), Clipping(), later, later])) == found
    assert names(epochs(clipping=[later, later, Clipping(), Clipping()])) == []
    barely = Clipping(1.0, 1.9, 2.0)
    assert names(epochs(clipping=barely)) == []


def test_the_loss_may_rise_a_little_or_with_small_steps() -> None:
    large = {"layers.0.forward.input": 0.03}
    assert names(epochs(train_loss=[0.5, 0.3, 0.44, 0.3], updates=large)) == []
    high = epochs(train_loss=[0.5, 0.3, 0.45, 0.3], updates=large)
    assert names(high) == ["learning_rate_too_high"]
    assert names(epochs(train_loss=[0.5, 0.3, 0.45, 0.3])) == []
    worse = epochs(train_loss=0.71, updates=large)
    assert names(worse) == ["learning_rate_too_high"]
    assert "101% of a constant answer's" in examine(worse)[0].evidence


def test_small_steps_are_no_fault_of_a_loss_that_falls() -> None:
    small = {"layers.0.forward.input": 9e-5, "head.bias": 0.5}
    assert names(epochs(updates=small)) == ["learning_rate_too_low"]
    assert names(epochs(updates=small, train_loss=[0.6, 0.55, 0.53, 0.53])) == []
    assert names(epochs(updates=[small, EPOCH.updates, small, small])) == []  # it was larger once
    still = epochs(updates={"head.weight": 0.0})
    assert names(still) == ["learning_rate_too_low"]
    begun = msgspec.structs.replace(epochs(updates=small), finished=False)
    assert names(msgspec.structs.replace(begun, history=begun.history[:2])) == []  # warming up


def test_overfitting_needs_both_losses_and_a_loss_worth_the_name() -> None:
    falls = [0.5, 0.4, 0.3, 0.2]
    assert names(epochs(train_loss=falls, valid_loss=[0.5, 0.4, 0.42, 0.43])) == []
    assert names(epochs(train_loss=falls, valid_loss=[0.5, 0.4, 0.42, 0.45])) == ["overfitting"]
    assert names(epochs(train_loss=0.5, valid_loss=[0.5, 0.4, 0.42, 0.45])) == []
    jumps = epochs(train_loss=[0.5, 0.3, 0.5, 0.2], valid_loss=[0.5, 0.4, 0.42, 0.45])
    assert names(jumps) == []
    tiny = [0.02, 0.01, 0.015, 0.03]
    assert names(epochs(train_loss=[0.02, 0.01, 0.005, 0.004], valid_loss=tiny)) == []


def test_a_loss_that_still_falls_is_worth_a_note_only_at_the_end_of_a_run() -> None:
    run = epochs(train_loss=[0.6, 0.5, 0.4, 0.3], valid_loss=[0.6, 0.5, 0.4, 0.3])
    (finding,) = examine(run)
    assert (finding.name, finding.severity) == ("underfitting", "note")
    assert names(msgspec.structs.replace(run, finished=False)) == []


def test_an_explosion_is_a_large_gradient_that_grows_with_the_lag() -> None:
    grows = {"by_lag": (1.0, 3.0, 10.0)}
    assert names(layers(grows)) == []
    run = layers({}, grows)
    history = [msgspec.structs.replace(e, gradient_norm_max=100.0) for e in run.history]
    (finding,) = examine(msgspec.structs.replace(run, history=tuple(history)))
    assert finding.name == "exploding_gradients"
    assert "layers.1 is 10 times as large 2 events before" in finding.evidence
    assert names(epochs(gradient_norm_max=1e6)) == []  # large at every lag alike
    peak = layers({"by_lag": (1.0, 50.0, 1e-4)})
    history = [msgspec.structs.replace(e, gradient_norm_max=100.0) for e in peak.history]
    finding, *_ = examine(msgspec.structs.replace(peak, history=tuple(history)))
    assert "50 times as large 1 events before" in finding.evidence
    burst = layers({"by_lag": (1.0, None, None)})
    history = [msgspec.structs.replace(e, gradient_norm_max=1e9) for e in burst.history]
    (finding,) = examine(msgspec.structs.replace(burst, history=tuple(history)))
    assert "not finite" in finding.evidence


def test_gradients_may_vanish_where_the_loss_is_learned() -> None:
    lags = (0, 1, 2, 4, 8)
    vanishing = layers({"by_lag": (1.0, 0.1, 0.02, 1e-3, 1e-5)}, lags=lags)
    assert names(vanishing) == []
    worse = [msgspec.structs.replace(e, train_loss=0.65) for e in vanishing.history]
    assert names(msgspec.structs.replace(vanishing, history=tuple(worse))) == [
        "vanishing_gradients"
    ]
    short = layers({"by_lag": (1.0, 0.1, 1e-5)})
    history = [msgspec.structs.replace(e, train_loss=0.65) for e in short.history]
    assert names(msgspec.structs.replace(short, history=tuple(history))) == []


@pytest.mark.parametrize(
    ("gate", "ends", "saturated"),
    [
        ("n", (0.5, 0.4), True),
        ("n", (0.0, 0.9), True),
        ("n", (0.5, 0.39), False),
        ("r", (0.0, 1.0), False),  # a simpler cell, and no harm
        ("r", (0.45, 0.45), True),
        ("z", (0.0, 1.0), False),
        ("f", (0.0, 1.0), False),
        ("i", (1.0, 0.0), False),
        ("o", (0.9, 0.0), True),
        ("o", (0.0, 1.0), False),
    ],
)
def test_ends_that_harm(gate: str, ends: tuple[float, float], saturated: bool) -> None:
    run = layers({"saturated": {f"forward.{gate}": ends}})
    assert names(run) == (["saturated_gates"] if saturated else [])


def test_dead_units_are_counted_layer_by_layer() -> None:
    assert names(layers({"dead": 1}, {"dead": 1})) == []
    (finding,) = examine(layers({"dead": 1}, {"dead": 2}))
    assert finding.evidence == "the same at every event: 2 of 8 units of layers.1"


def test_columns_at_the_edges() -> None:
    for column in (
        Column("a", 10.0, 10.0, 1000.0),
        Column("a", 3.0, 0.0, 3.0),
        Column("a", -10.0, 0.01, 11.0),
    ):
        assert names(given(columns=(column,))) == []
    odd = [Column(f"c{i}", 0.0, 11.0, 40.0) for i in range(7)]
    (finding,) = examine(given(columns=tuple(odd)))
    assert "c4" in finding.evidence
    assert finding.evidence.endswith("2 more")


def test_memory_is_short_where_most_sessions_are_far_longer() -> None:
    forgets = {"by_lag": (1.0, 0.5, 0.001)}

    def run(median: int, *layer: dict[str, Any]) -> Run:
        found = layers(*layer)
        lengths = LengthProfile.of([median] * 3)
        more = msgspec.structs.replace(found.given or GIVEN, lengths=lengths)
        return msgspec.structs.replace(found, given=more)

    assert names(run(3, forgets)) == []
    assert names(run(4, forgets)) == ["short_memory"]
    assert names(run(400, {})) == []  # nobody knows how far it goes
    assert names(run(400, {}, forgets)) == []


SUSPECT = Suspect(3, None, 5, True, False, 2, 1, 4.0)


def test_bad_batches_that_only_the_history_knows() -> None:
    (finding,) = examine(epochs(bad_batches=[0, 2, 0, 1]))
    assert finding.evidence == "batches skipped: 3"
    assert "bad_batches.json" in finding.next_step


def test_the_source_of_numbers_that_burst() -> None:
    bad = BadBatch(1, 4, "gradient", 0.5, 9, (SUSPECT,), "layers.1")
    (finding,) = examine(msgspec.structs.replace(HEALTHY, bad_batches=(bad,)))
    assert "batch 4 of epoch 1: its gradient is not finite, first at layers.1" in finding.evidence
    assert "largest input 4: column 1 at event 2 of session 3" in finding.evidence
    assert "0.5 then" in finding.next_step


def test_a_batch_without_suspects() -> None:
    bad = BadBatch(1, 4, "loss", 0.5, 9, ())
    (finding,) = examine(msgspec.structs.replace(HEALTHY, bad_batches=(bad,)))
    assert "bad_batches.json" in finding.next_step


def test_losses_of_nothing() -> None:
    quick, slow = ({"layers.0.forward.input": size} for size in (0.5, 1e-6))
    assert names(epochs(train_loss=0.0, valid_loss=0.0, updates=quick)) == []
    assert names(epochs(train_loss=0.0, valid_loss=0.0, updates=slow)) == []
    assert names(epochs(train_loss=[0.5, 0.0, 1e-4, 0.0], updates=quick)) == []


def test_gradients_that_vanish_and_are_not_finite() -> None:
    lags = (0, 1, 2, 4, 8)
    for by_lag in ((None, 1.0, 0.1, 1e-3, 1e-5), (None,) * 5, (0.0,) * 5):
        run = layers({"by_lag": by_lag}, lags=lags)
        history = [msgspec.structs.replace(e, train_loss=0.7) for e in run.history]
        assert "exploding_gradients" not in names(msgspec.structs.replace(run, history=history))


def test_worst_first() -> None:
    bad = BadBatch(1, 4, "gradient", 0.5, 9, (SUSPECT,))
    run = epochs(train_loss=[0.5, 0.4, 0.3, 0.2], valid_loss=[0.4, 0.4, 0.42, 0.45])
    run = msgspec.structs.replace(run, bad_batches=(bad,))
    assert [(f.name, f.severity) for f in examine(run)] == [
        ("not_finite", "serious"),
        ("overfitting", "warning"),
    ]
