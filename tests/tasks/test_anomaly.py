"""What is predicted of an event, how wrong that was, and what training leaves out."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
import torch

from tidegate import answers, tasks
from tidegate.errors import InputError
from tidegate.nn.readout import numbers
from tidegate.schema import Field, Schema, SchemaConfig
from tidegate.spec import LayerSpec, ModelSpec
from tidegate.tables import EventTable
from tidegate.tasks import TaskConfig
from tidegate.tasks.config import AnomalyConfig

CONFIG = SchemaConfig(
    {
        "heat": Field("numeric", missing="mean", indicator=True),
        "load": Field("numeric", missing="carry"),
        "open": Field("boolean"),
        "wet": Field("boolean", missing="mean"),
        "mode": Field("category", missing="zero"),
        "site": Field("category", constant=True),
    }
)


def table(n: int = 60, labels: np.ndarray | None = None) -> EventTable:
    """Two sessions of noise with values missing."""
    rng = np.random.default_rng(0)
    heat, load = rng.normal(20, 5, n), rng.normal(size=n)
    heat[::7] = np.nan
    columns = {
        "heat": heat,
        "load": load,
        "open": (rng.random(n) < 0.3).astype(np.float64),
        "wet": np.where(np.arange(n) % 5 == 0, np.nan, rng.integers(0, 2, n).astype(np.float64)),
        "mode": rng.choice(np.array(["a", "b", "c"], dtype=object), n),
        "site": np.array(["north"] * n, dtype=object),
    }
    offsets = np.array([0, n // 2, n])
    return EventTable(["1", "2"], offsets, np.arange(n, dtype=float), columns, labels, np.arange(n))


def schema(events: EventTable) -> Schema:
    return Schema.fit(CONFIG, events.columns, events.times, events.offsets)


def config(*fields: str, rate: float = 0.1) -> TaskConfig:
    return TaskConfig("anomaly", anomaly=AnomalyConfig(fields, rate))


def test_each_field_is_predicted_as_what_it_is() -> None:
    events = table()
    fitted = schema(events)
    spec = tasks.fit(TaskConfig("anomaly"), None, events, fitted).anomaly
    assert spec is not None
    assert spec.fields == ("heat", "load", "open", "wet", "mode")
    names = fitted.columns
    found = {
        f: (p.kind, names[p.column], p.output, p.size, p.missing)
        for f, p in zip(spec.fields, spec.parts, strict=True)
    }
    assert found == {
        "heat": ("gaussian", "heat", 0, 2, names.index("heat missing")),
        "load": ("gaussian", "load", 2, 2, None),
        "open": ("categorical", "open", 4, 2, None),
        # Where it is missing, its mean stands.
        "wet": ("gaussian", "wet", 6, 2, None),
        "mode": ("categorical", "mode", 8, 4, None),
    }
    assert spec.output_size == 12


def test_the_loss_is_the_metric_of_the_answers_but_for_labelled_anomalies() -> None:
    labels = np.where(np.arange(60) % 6 == 0, 1.0, 0.0)
    events = table(labels=labels)
    fitted = schema(events)
    spec = tasks.fit(config(), "odd", events, fitted)
    task, half = tasks.open(spec), answers.open(spec)
    model = ModelSpec(
        fitted.width,
        (LayerSpec("gru", 2),),
        spec.output_size,
        fitted.categories,
        **task.readout(fitted),
    )
    rows = fitted.encode(events.columns, events.times, events.offsets).rows
    truth = half.truth(events, fitted)
    targets = task.targets(truth, rows)
    assert isinstance(targets, np.ndarray)
    assert np.isnan(targets[labels == 1]).all()
    outputs = torch.randn(60, spec.output_size, generator=torch.Generator().manual_seed(1))
    outputs.requires_grad_()
    loss = task.loss(outputs, torch.from_numpy(targets))
    answered = numbers(model, outputs.detach(), torch.from_numpy(rows)).numpy()
    assert np.isfinite(answered).all()
    assert loss.item() == pytest.approx(half.metrics(answered, truth)["nats"], rel=1e-5)
    loss.backward()
    assert outputs.grad is not None
    learned = (outputs.grad != 0).any(dim=-1).numpy()
    np.testing.assert_array_equal(learned, labels == 0)
    missing = np.isnan(events.columns["heat"]) & (labels == 0)
    assert missing.any()
    assert (outputs.grad.numpy()[missing, :2] == 0).all()


def test_the_best_constant_outputs_have_the_constant_loss() -> None:
    events = table()
    fitted = schema(events)
    spec = tasks.fit(config(), None, events, fitted)
    task = tasks.open(spec)
    rows = fitted.encode(events.columns, events.times, events.offsets).rows
    targets = task.targets(np.full(60, np.nan), rows)
    assert isinstance(targets, np.ndarray)
    outputs = torch.zeros(spec.output_size, requires_grad=True)
    optimizer = torch.optim.LBFGS([outputs], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = task.loss(outputs.expand(60, -1), torch.from_numpy(targets))
        loss.backward()
        return loss

    optimizer.step(closure)
    assert closure().item() == pytest.approx(task.constant_loss(targets), abs=1e-4)


def test_with_nothing_known_the_loss_is_zero() -> None:
    spec = tasks.fit(config("load", "mode"), None, table(), schema(table()))
    outputs = torch.ones(2, 3, spec.output_size, requires_grad=True)
    loss = tasks.open(spec).loss(outputs, torch.full((2, 3, 2), torch.nan))
    loss.backward()
    assert loss.item() == 0.0
    assert outputs.grad is not None
    assert not outputs.grad.any()
    assert tasks.open(spec).constant_loss(np.full((3, 2), np.nan, np.float32)) == 0.0


def test_the_threshold_is_set_by_ordinary_events() -> None:
    spec = tasks.fit(config("load"), None, table(), schema(table()))
    scores = np.arange(100.0)
    truth = np.where(scores >= 60, 1.0, np.nan)
    outputs = np.stack([scores, scores], axis=1).astype(np.float32)
    settled = tasks.open(spec).finish(None, outputs, truth)  # type: ignore[arg-type]
    assert settled.anomaly is not None
    assert settled.anomaly.threshold == 54.0  # 6 of 60 above
    assert msgspec.structs.replace(settled, anomaly=spec.anomaly) == spec


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (config("cold"), "task.anomaly.fields"),
        (config("site"), "task.anomaly.fields"),
        (config("load", "load"), "task.anomaly.fields"),
        (TaskConfig("anomaly", per="session"), "task.per"),
        (TaskConfig("anomaly", classes=("a", "b")), "task.classes"),
    ],
)
def test_what_cannot_be_predicted_is_refused(wanted: TaskConfig, field: str) -> None:
    with pytest.raises(InputError) as caught:
        tasks.fit(wanted, None, table(), schema(table()))
    assert (caught.value.code, caught.value.field) == ("bad_config", field)


def test_a_number_that_never_changes_is_not_predicted() -> None:
    events = table()
    events.columns["load"][:] = 7.0
    fitted = schema(events)
    spec = tasks.fit(TaskConfig("anomaly"), None, events, fitted).anomaly
    assert spec is not None
    assert "load" not in spec.fields
    with pytest.raises(InputError, match="load: all values") as caught:
        tasks.fit(config("load", "mode"), None, events, fitted)
    assert caught.value.code == "constant_series"
    alone = SchemaConfig({"load": Field("numeric", missing="carry")})
    only = EventTable(
        events.sessions,
        events.offsets,
        events.times,
        {"load": np.where(np.arange(60) % 3 == 0, np.nan, 7.0)},
        None,
        events.source_rows,
    )
    lone = Schema.fit(alone, only.columns, only.times, only.offsets)
    with pytest.raises(InputError) as caught:
        tasks.fit(TaskConfig("anomaly"), None, only, lone)
    assert caught.value.code == "constant_series"


def test_labels_of_another_column_are_refused() -> None:
    events = table(labels=table().columns["load"])
    with pytest.raises(InputError, match="right column") as caught:
        tasks.fit(config("load"), "load", events, schema(events))
    assert (caught.value.code, caught.value.row) == ("wrong_label", 0)
    everything = table(labels=np.ones(60))
    with pytest.raises(InputError, match="every event") as caught:
        tasks.fit(config("load"), "odd", everything, schema(everything))
    assert caught.value.code == "no_labels"


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, float("nan")])
def test_a_rate_is_a_share(rate: float) -> None:
    with pytest.raises(InputError) as caught:
        AnomalyConfig(false_alarm_rate=rate)
    assert caught.value.field == "false_alarm_rate"
