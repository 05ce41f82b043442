from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import numpy as np
import pytest

from tidegate import answers
from tidegate.answers import Forecast
from tidegate.errors import InputError
from tidegate.schema import Field, Schema, SchemaConfig
from tidegate.spec import ForecastSpec, TaskSpec
from tidegate.tables import EventTable


def task(spec: ForecastSpec, mean: float = 0.0, scale: float = 1.0) -> TaskSpec:
    return TaskSpec("forecast", "y", target_mean=mean, target_scale=scale, forecast=spec)


def table(*series: list[float], counts_from: float | None = None) -> EventTable:
    values = np.concatenate([np.array(each) for each in series])
    lengths = [len(each) for each in series]
    return EventTable(
        sessions=[f"s{i}" for i in range(len(series))],
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        times=np.concatenate([np.arange(float(n)) for n in lengths]),
        columns={"y": values},
        labels=None,
        source_rows=np.arange(len(values)),
        counts_from=counts_from,
    )


def schema(events: EventTable) -> Schema:
    config = SchemaConfig({"y": Field("numeric", missing="carry")})
    return Schema.fit(config, events.columns, events.times, events.offsets)


def truth(half: Forecast, events: EventTable) -> np.ndarray:
    return half.truth(events, schema(events))


def test_values_come_back_in_the_fields_unit() -> None:
    half = answers.open(task(ForecastSpec((1, 3)), mean=10.0, scale=2.0))
    assert half.answer(np.array([[1.0, -1.0], [0.0, 2.0]], np.float32)) == [
        {"forecast": [12.0, 8.0]},
        {"forecast": [10.0, 14.0]},
    ]


def test_a_logarithm_is_undone() -> None:
    half = Forecast(task(ForecastSpec((1,), log=True), mean=1.0, scale=0.5))
    values = np.array([-3.0, 0.0, 1e-9, 7.0, 1e6])
    outputs = half.encode(values)[:, None].astype(np.float32)
    found = np.array([each["forecast"][0] for each in half.answer(outputs)])
    np.testing.assert_allclose(found, values, rtol=2e-6, atol=1e-6)


def test_an_absurd_output_is_a_number_still() -> None:
    half = Forecast(task(ForecastSpec((1,), log=True), scale=100.0))
    assert np.isfinite(half.scores(np.array([[1e6], [-1e6]], np.float32))).all()


def test_quantiles_that_cross_are_sorted_and_the_median_is_the_forecast() -> None:
    half = Forecast(task(ForecastSpec((1,), quantiles=(0.1, 0.5, 0.9), loss="pinball")))
    assert half.answer(np.array([[5.0, 1.0, 3.0]], np.float32)) == [
        {"forecast": [3.0], "quantiles": {"0.1": [1.0], "0.5": [3.0], "0.9": [5.0]}}
    ]


def test_an_event_is_answered_alike_in_any_batch() -> None:
    spec = ForecastSpec((1, 2), coverage=0.8, margins=(0.3, 0.4), log=True)
    half = Forecast(task(spec, mean=2.0, scale=0.7))
    outputs = np.random.default_rng(0).normal(size=(37, 2)).astype(np.float32)
    alone = [half.answer(outputs[at : at + 1])[0] for at in range(len(outputs))]
    assert half.answer(outputs) == alone


@pytest.mark.parametrize(
    "spec",
    [
        ForecastSpec((1, 24)),
        ForecastSpec((1, 2), coverage=0.9, margins=(0.1, 0.2)),
        ForecastSpec((2,), quantiles=(0.1, 0.5, 0.9), loss="pinball"),
    ],
)
def test_answers_have_the_members_of_their_schema(spec: ForecastSpec) -> None:
    half = Forecast(task(spec))
    [answer] = half.answer(np.zeros((1, spec.output_size), np.float32))
    assert list(answer) == half.schema()["required"]
    columns = half.columns(np.zeros((3, spec.output_size), np.float32))
    lists = sum(len(each) if name == "quantiles" else 1 for name, each in answer.items())
    assert len(columns) == len(spec.horizons) * lists
    assert all(len(np.asarray(column)) == 3 for column in columns.values())


@pytest.mark.parametrize(
    "spec", [ForecastSpec((1, 2, 7)), ForecastSpec((3,), coverage=0.9, margins=(0.7,))]
)
def test_c_words_the_same_answers(spec: ForecastSpec) -> None:
    half = Forecast(task(spec, mean=-3.3, scale=0.7))
    outputs = np.random.default_rng(0).normal(size=(50, spec.output_size)).astype(np.float32)
    words = half.json("1")
    assert words is not None
    assert [msgspec.json.decode(each) for each in words.answers(outputs)] == half.answer(outputs)


def test_what_c_cannot_word_it_is_not_asked_to() -> None:
    assert Forecast(task(ForecastSpec((1,), log=True))).json("1") is None
    quantiles = ForecastSpec((1,), quantiles=(0.5,), loss="pinball")
    assert Forecast(task(quantiles)).json("1") is None


def test_the_metrics_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(1)
    series = [rng.normal(size=n).tolist() for n in (9, 1, 5)]
    series[0][3] = np.nan
    spec = ForecastSpec((1, 4), coverage=0.5, margins=(0.5, 0.5), season=2, naive_error=2.0)
    events, half = table(*series), Forecast(task(spec))
    outputs = rng.normal(size=(events.n_events, 2)).astype(np.float32)
    errors: dict[int, list[float]] = {1: [], 4: []}
    last, season = [], []
    start = 0
    for values in series:
        for at in range(len(values)):
            for place, horizon in enumerate((1, 4)):
                if at + horizon < len(values) and not np.isnan(values[at + horizon]):
                    right = values[at + horizon]
                    errors[horizon].append(abs(outputs[start + at, place] - right))
                    last.append(abs(values[at] - right))
                    back = at + horizon - 2 * (1 if horizon == 1 else 2)
                    season.append(abs(values[back] - right) if back >= 0 else np.nan)
        start += len(values)
    found = half.metrics(outputs, truth(half, events), events.offsets)
    both = np.array(errors[1] + errors[4])
    assert found["n"] == len(both)
    assert found["mae"] == pytest.approx(both.mean())
    assert found["mse"] == pytest.approx((both**2).mean())
    assert found["mse_4"] == pytest.approx(np.mean(np.square(errors[4])))
    assert found["mase"] == pytest.approx(both.mean() / 2)
    assert found["mae_last"] == pytest.approx(np.nanmean(last))
    assert found["mae_seasonal"] == pytest.approx(np.nanmean(season))
    assert found["coverage"] == pytest.approx((both <= 0.5).mean())
    assert found["width"] == pytest.approx(1.0)


def test_the_pinball_loss_is_scikit_learns() -> None:
    from sklearn.metrics import mean_pinball_loss

    rng = np.random.default_rng(2)
    shares = (0.1, 0.5, 0.8)
    half = Forecast(task(ForecastSpec((1,), quantiles=shares, loss="pinball")))
    events = table(rng.normal(size=50).tolist())
    outputs = np.sort(rng.normal(size=(50, 3)).astype(np.float32), axis=1)
    right = events.columns["y"][1:]
    wanted = [
        mean_pinball_loss(right, outputs[:-1, at], alpha=share) for at, share in enumerate(shares)
    ]
    found = half.metrics(outputs, truth(half, events), events.offsets)
    assert found["pinball"] == pytest.approx(np.mean(wanted))


def test_series_shorter_than_a_horizon_count_as_far_as_they_go() -> None:
    half = Forecast(task(ForecastSpec((1, 10))))
    events = table([1.0, 2.0], [5.0])
    found = half.metrics(np.zeros((3, 2), np.float32), truth(half, events), events.offsets)
    assert found["n"] == 1
    assert found["mae"] == 2.0
    assert "mae_10" not in found
    nothing = table([5.0], [6.0])
    assert half.metrics(np.zeros((2, 2), np.float32), truth(half, nothing), nothing.offsets) == {
        "n": 0
    }


def test_a_constant_series_has_no_scaled_error() -> None:
    half = Forecast(task(ForecastSpec((1,))))
    events = table([3.0, 3.0, 3.0])
    found = half.metrics(np.full((3, 1), 3.0, np.float32), truth(half, events), events.offsets)
    assert found["mae"] == found["mae_last"] == found["smape"] == 0.0
    assert "mase" not in found


def test_what_came_before_a_part_is_not_measured() -> None:
    half = Forecast(task(ForecastSpec((1,))))
    events = table([1.0, 2.0, 3.0, 4.0], counts_from=2.0)
    found = half.metrics(np.zeros((4, 1), np.float32), truth(half, events), events.offsets)
    assert (found["n"], found["mae"]) == (2, 3.5)  # 3 and 4: the first was foretold before the cut
    assert events.columns["y"].tolist() == [1.0, 2.0, 3.0, 4.0]


def test_a_table_without_the_field_is_refused() -> None:
    half = Forecast(task(ForecastSpec((1,))))
    events = table([1.0])
    with pytest.raises(InputError, match="missing_field"):
        half.truth(dataclasses.replace(events, columns={}), schema(events))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"horizons": ()}, "horizons"),
        ({"horizons": (0, 1)}, "horizons"),
        ({"horizons": (2, 1)}, "horizons"),
        ({"quantiles": (0.1, 0.9), "loss": "pinball"}, "quantiles"),
        ({"quantiles": (0.5, 1.0), "loss": "pinball"}, "quantiles"),
        ({"quantiles": (0.5,)}, "loss"),
        ({"loss": "pinball"}, "loss"),
        ({"season": 0}, "season"),
        ({"coverage": 1.0}, "coverage"),
        ({"margins": (0.1, 0.2)}, "margins"),
    ],
)
def test_what_makes_no_forecast_is_refused(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError, match=f"forecast.{field}"):
        msgspec.structs.replace(ForecastSpec((1,)), **change)


def test_naive_forecasts_are_of_the_same_truths_as_the_models() -> None:
    """A last value from before the part was known when it was forecast from, and so it counts."""
    half = Forecast(task(ForecastSpec((1, 2, 3))))
    events = table([float(at) for at in range(9)], counts_from=6.0)
    found = half.metrics(np.zeros((9, 3), np.float32), truth(half, events), events.offsets)
    assert found["n"] == 9
    assert found["mae_last"] == 2.0  # 1, 2 and 3 ahead on a straight line, three times each
    by_horizon = half.by_horizon(np.zeros((9, 3), np.float32), truth(half, events))
    assert [each["mae_last"] for each in by_horizon.values()] == [1.0, 2.0, 3.0]
