from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_pinball_loss

from tidegate import tables, tasks
from tidegate.answers import Forecast as Answers
from tidegate.answers.ahead import Track
from tidegate.errors import InputError
from tidegate.nn import Network
from tidegate.schema import Field, Schema, SchemaConfig
from tidegate.spec import ForecastSpec, LayerSpec, ModelSpec, TaskSpec
from tidegate.tables import EventTable
from tidegate.tasks import ForecastConfig, TaskConfig
from tidegate.tasks.forecast import Ahead, Forecast

CONFIG = SchemaConfig(
    {"y": Field("numeric", missing="carry", indicator=True), "shop": Field("category")}
)


def table(*series: list[float | None]) -> EventTable:
    rows = [
        {"id": str(at), "at": float(step), "y": value, "shop": "a"}
        for at, values in enumerate(series)
        for step, value in enumerate(values)
    ]
    import polars as pl

    frame = pl.DataFrame(rows, schema_overrides={"y": pl.Float64})
    fields = {"y": "numeric", "shop": "category"}
    return tables.read(frame, session="id", time="at", fields=fields)


def fitted(events: EventTable, config: SchemaConfig = CONFIG) -> Schema:
    return Schema.fit(config, events.columns, events.times, events.offsets)


def wanted(**options: object) -> TaskConfig:
    return TaskConfig("forecast", field="y", forecast=ForecastConfig(**options))  # type: ignore[arg-type]


def test_targets_are_the_encoded_values_ahead() -> None:
    events = table([1.0, None, 3.0, 5.0], [2.0])
    schema = fitted(events)
    spec = tasks.fit(wanted(horizons=2), None, events, schema)
    half = tasks.open(spec)
    rows = schema.encode(events.columns, events.times, events.offsets).rows
    targets = half.targets(Answers(spec).truth(events, schema), rows)
    assert targets.shape == (5, 2)
    found = targets[np.arange(5)]
    y = rows[:, 0]
    nan = np.nan
    np.testing.assert_array_equal(
        found, [[nan, y[2]], [y[2], y[3]], [y[3], nan], [nan, nan], [nan, nan]]
    )
    assert isinstance(targets, Ahead)
    assert targets.known.tolist() == [True, True, True, False, False]


def test_targets_are_made_when_asked() -> None:
    values = np.arange(200_000, dtype=np.float32)
    offsets = np.array([0, len(values)])
    left = Track.of(values.astype(np.float64), offsets).left
    targets = Ahead(values, left, tuple(range(1, 721)))
    assert targets.shape == (200_000, 720)  # 576 MB, if it were an array
    assert targets[np.array([5])][0, [0, 719]].tolist() == [6.0, 725.0]


@pytest.mark.parametrize(("loss", "value"), [("mse", 2.5), ("mae", 1.5), ("huber", 1.0)])
def test_losses_are_means_over_what_came(loss: str, value: float) -> None:
    spec = ForecastSpec((1, 2), loss=loss)  # type: ignore[arg-type]
    outputs = torch.tensor([[1.0, 0.0], [9.0, 4.0]], requires_grad=True)
    targets = torch.tensor([[2.0, 2.0], [torch.nan, torch.nan]])
    found = Forecast(TaskSpec("forecast", "y", forecast=spec)).loss(outputs, targets)
    assert found.item() == value
    found.backward()
    assert outputs.grad is not None
    assert outputs.grad[1].tolist() == [0.0, 0.0]


def test_the_pinball_loss_is_scikit_learns() -> None:
    shares = (0.2, 0.5, 0.7)
    spec = ForecastSpec((1, 2), quantiles=shares, loss="pinball")
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(3, 4, 6, generator=generator)
    targets = torch.randn(3, 4, 2, generator=generator)
    targets[0, 0, 1] = torch.nan
    known = ~torch.isnan(targets)
    right, found = targets[known].numpy(), outputs.reshape(3, 4, 2, 3)[known].numpy()
    each = [mean_pinball_loss(right, found[:, at], alpha=share) for at, share in enumerate(shares)]
    loss = Forecast(TaskSpec("forecast", "y", forecast=spec)).loss(outputs, targets)
    assert loss.item() == pytest.approx(np.mean(each), rel=1e-6)


def test_nothing_known_costs_nothing() -> None:
    task = Forecast(TaskSpec("forecast", "y", forecast=ForecastSpec((1,))))
    assert task.loss(torch.ones(2, 1), torch.full((2, 1), torch.nan)).item() == 0.0


def test_a_network_begins_with_the_last_value() -> None:
    events = table([1.0, 2.0, 4.0, 8.0])
    schema = fitted(events)
    task = tasks.open(tasks.fit(wanted(horizons=3), None, events, schema))
    spec = ModelSpec(
        schema.width,
        (LayerSpec("gru", 4),),
        3,
        schema.categories,
        **task.readout(schema),
    )
    network = Network(spec)
    with torch.no_grad():
        network.head.weight.zero_()
        task.furnish(network, schema)
        rows = schema.encode(events.columns, events.times, events.offsets).rows
        outputs, _ = network(torch.from_numpy(rows)[None])
    np.testing.assert_allclose(outputs[0].numpy(), np.repeat(rows[:, :1], 3, axis=1))


def test_margins_hold_the_share_that_is_wanted() -> None:
    rng = np.random.default_rng(0)
    spec = TaskSpec("forecast", "y", forecast=ForecastSpec((1, 2), coverage=0.9))

    def part(n: int) -> tuple[np.ndarray, np.ndarray]:
        truth = Track.of(rng.normal(size=n), np.array([0, n])).truth()
        return np.zeros((n, 2), np.float32), truth

    network = Network(ModelSpec(1, (LayerSpec("gru", 1),), 2))
    settled = Forecast(spec).finish(network, *part(2000))
    assert settled.forecast is not None
    assert settled.forecast.margins == pytest.approx([1.645, 1.645], abs=0.12)
    found = Answers(settled).metrics(*part(20_000))
    assert found["coverage"] == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize(
    ("coverage", "margin"), [(0.5, 5.0), (0.79, 8.0), (0.8, 8.0), (0.81, 9.0), (0.95, 9.0)]
)
def test_a_margin_is_the_error_of_its_rank(coverage: float, margin: float) -> None:
    """Of 9 errors, 1 to 9, the ceil(10 * coverage)-th; the largest, if there are too few."""
    spec = TaskSpec("forecast", "y", forecast=ForecastSpec((1,), coverage=coverage))
    values = np.array([0.0, 3, -1, 9, -5, 7, 2, -8, 4, 6])
    truth = Track.of(values, np.array([0, 10])).truth()
    network = Network(ModelSpec(1, (LayerSpec("gru", 1),), 1))
    settled = Forecast(spec).finish(network, np.zeros((10, 1), np.float32), truth)
    assert settled.forecast is not None
    assert settled.forecast.margins == (margin,)


def test_margins_may_narrow_quantiles() -> None:
    shares = (0.1, 0.5, 0.9)
    forecast = ForecastSpec((1,), quantiles=shares, loss="pinball", coverage=0.8)
    spec = TaskSpec("forecast", "y", forecast=forecast)
    values = np.linspace(-1, 1, 1001)
    outputs = np.repeat(np.array([[-5.0, 0.0, 5.0]], np.float32), 1001, axis=0)
    truth = Track.of(values, np.array([0, 1001])).truth()
    network = Network(ModelSpec(1, (LayerSpec("gru", 1),), 3))
    settled = Forecast(spec).finish(network, outputs, truth)
    assert Answers(settled).metrics(outputs, truth)["coverage"] == pytest.approx(0.8, abs=0.01)


def test_without_errors_there_are_no_margins() -> None:
    spec = TaskSpec("forecast", "y", forecast=ForecastSpec((1, 5), coverage=0.9))
    network = Network(ModelSpec(1, (LayerSpec("gru", 1),), 2))
    truth = Track.of(np.array([1.0, 2.0, 3.0]), np.array([0, 3])).truth()
    with pytest.raises(InputError, match=r"task.forecast.coverage: .*5 events ahead"):
        Forecast(spec).finish(network, np.zeros((3, 2), np.float32), truth)


def test_what_the_training_part_says() -> None:
    events = table([1.0, 2.0, 4.0, 2.0], [7.0, 7.0])
    spec = tasks.fit(wanted(horizons=[1, 3], season=2), None, events, fitted(events))
    assert spec.forecast is not None
    assert spec.forecast.horizons == (1, 3)
    assert spec.forecast.naive_error == 1.5
    field = Field("numeric", missing="carry", scale="log1p")
    log = SchemaConfig({"y": field, "shop": Field("category")})
    spec = tasks.fit(wanted(horizons=1), None, events, fitted(events, log))
    assert spec.forecast is not None
    assert spec.forecast.log


@pytest.mark.parametrize(
    ("config", "error"),
    [
        (TaskConfig("forecast", forecast=ForecastConfig(3)), "task.field: missing"),
        (TaskConfig("forecast", field="y"), "task.forecast: missing"),
        (TaskConfig("forecast", field="shop", forecast=ForecastConfig(3)), "no numeric field"),
        (TaskConfig("forecast", field="z", forecast=ForecastConfig(3)), "forecast one of y"),
    ],
)
def test_what_cannot_be_forecast_is_refused(config: TaskConfig, error: str) -> None:
    events = table([1.0, 2.0])
    with pytest.raises(InputError, match=error):
        tasks.fit(config, None, events, fitted(events))


def test_a_field_without_values_is_refused() -> None:
    events = table([None, None])
    with pytest.raises(InputError, match="no_labels"):
        tasks.fit(wanted(horizons=1), None, events, fitted(events))


@pytest.mark.parametrize("horizons", [2, [1, 2]])
def test_a_horizon_that_no_series_reaches_is_refused(horizons: int | list[int]) -> None:
    """Nothing could be learned of it, and the others would hide that."""
    short = table([1.0, 2.0, None], [3.0])
    with pytest.raises(InputError, match=r"2 events after another .* farthest is 1") as caught:
        tasks.fit(wanted(horizons=horizons), None, short, fitted(short))
    assert (caught.value.code, caught.value.field) == ("too_short", "task.forecast.horizons")
    long = table([1.0, 2.0, None], [None, None, 3.0])
    tasks.fit(wanted(horizons=horizons), None, long, fitted(long))


@pytest.mark.parametrize("horizons", [0, -3])
def test_no_event_is_no_horizon(horizons: int) -> None:
    with pytest.raises(InputError, match=f"horizons: {horizons} is no number of events"):
        ForecastConfig(horizons)


def test_a_configuration_names_the_key_that_is_wrong() -> None:
    with pytest.raises(InputError, match="quantiles"):
        ForecastConfig(3, quantiles=(0.9, 0.5))
