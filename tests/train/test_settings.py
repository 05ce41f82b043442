from __future__ import annotations

from typing import Any

import pytest
import torch

from tidegate.errors import InputError
from tidegate.nn import to_bundle
from tidegate.spec import CategoryInput, LayerSpec
from tidegate.train.settings import ModelSettings, TrainSettings


def test_every_option_reaches_every_layer() -> None:
    options = {
        "bias": "single",
        "layer_norm": True,
        "bidirectional": True,
        "peephole": True,
        "learned_initial_state": True,
        "zoneout": 0.2,
        "zoneout_cell": 0.1,
    }
    settings = ModelSettings("lstm", 4, 2, **options)
    assert settings.spec(3, (), 1).layers == (LayerSpec("lstm", 4, **options),) * 2
    before = ModelSettings("gru", 4, reset_after=False)
    assert before.spec(3, (), 1).layers == (LayerSpec("gru", 4, reset_after=False),)
    relu = ModelSettings("rnn", 4, activation="relu", zoneout=0.3)
    assert relu.spec(3, (), 1).layers == (LayerSpec("rnn", 4, activation="relu", zoneout=0.3),)


def test_an_lstms_c_is_zoned_out_as_its_h() -> None:
    (layer,) = ModelSettings("lstm", 4, zoneout=0.2).spec(3, (), 1).layers
    assert (layer.zoneout, layer.zoneout_cell) == (0.2, 0.2)
    (layer,) = ModelSettings("lstm", 4, zoneout=0.2, zoneout_cell=0.0).spec(3, (), 1).layers
    assert (layer.zoneout, layer.zoneout_cell) == (0.2, 0.0)


def test_residual_where_sizes_are_equal() -> None:
    settings = ModelSettings(hidden_size=4, num_layers=3, residual=True)

    def residual(row_size: int, *categories: CategoryInput) -> list[bool]:
        return [layer.residual for layer in settings.spec(row_size, categories, 1).layers]

    assert residual(4) == [True, True, True]
    assert residual(3) == [False, True, True]
    assert residual(4, CategoryInput(1, 3, 1)) == [False, True, True]


def test_rates_and_first_weights_reach_the_network() -> None:
    settings = ModelSettings(
        hidden_size=16,
        dropout=0.1,
        recurrent_dropout=0.2,
        weight_dropout=0.3,
        zoneout=0.4,
        init="chrono",
        longest=50,
        recompute=True,
    )
    torch.manual_seed(0)
    network = settings.network(settings.spec(3, (), 1))
    (layer,) = network.layers
    assert network.dropout.p == 0.1
    rates = layer.rates
    assert (rates.recurrent_dropout, rates.weight_dropout, rates.zoneout) == (0.2, 0.3, 0.4)
    assert layer.recompute
    z = to_bundle(network)["layers.0.forward.b_input"][16:32]
    assert len(set(z.tolist())) == 16
    assert 0.0 <= z.min() < z.max() <= 3.9  # log(49)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("epochs", [0, -1]),
        ("batch_tokens", [0]),
        ("accumulate", [0, -2]),
        ("optimizer", ["adam", ""]),
        ("momentum", [-0.1, 1.0, float("nan")]),
        ("learning_rate", [0.0, float("inf"), float("nan")]),
        ("warmup_steps", [-1]),
        ("schedule", ["cosin"]),
        ("schedule_factor", [0.0, 1.0, float("nan")]),
        ("schedule_epochs", [0]),
        ("weight_decay", [-1.0, float("inf")]),
        ("clip_norm", [0.0, float("nan")]),
        ("weight_noise", [-0.1, float("inf"), float("nan")]),
        ("ema_decay", [-0.1, 1.0]),
        ("precision", ["fp64", "float16"]),
        ("max_bad_batches", [0]),
        ("max_returns", [-1]),
        ("patience", [0]),
        ("seed", [-1, 2**63]),
        ("threads", [0]),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(name: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(InputError) as caught:
            TrainSettings(**{name: value})
        assert (caught.value.code, caught.value.field) == ("out_of_range", name)
        assert caught.value.hint.startswith("use ")


def test_momentum_needs_an_optimizer_that_has_one() -> None:
    assert TrainSettings(optimizer="sgd", momentum=0.9).momentum == 0.9
    with pytest.raises(InputError, match="adamw") as caught:
        TrainSettings(momentum=0.9)
    assert (caught.value.code, caught.value.field) == ("unused_key", "momentum")


def test_a_plateau_must_come_before_the_end_of_patience() -> None:
    assert TrainSettings(schedule="plateau", schedule_epochs=4, patience=5).patience == 5
    assert TrainSettings(schedule="step", schedule_epochs=5, patience=5).patience == 5
    with pytest.raises(InputError, match="patience") as caught:
        TrainSettings(schedule="plateau", schedule_epochs=5, patience=5)
    assert caught.value.field == "schedule_epochs"
