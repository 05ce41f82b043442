"""Sections that forecasts and anomalies have: their numbers are those of the answer halves."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import reportable

from tidegate import answers
from tidegate.answers.forecast import Forecast
from tidegate.bundle import Bundle
from tidegate.spec import AnomalySpec, ForecastSpec, SurprisePart, TaskSpec
from tidegate.train import report
from tidegate.train.report import anomaly, forecast, groups
from tidegate.train.report.page import Figure, Page, Table, Text
from tidegate.train.report.scored import Scored

HOURS = ForecastSpec((1, 2, 5), season=3, coverage=0.9, margins=(0.5, 0.6, 0.7))
AHEAD = TaskSpec("forecast", "y", target_mean=10.0, target_scale=2.0, forecast=HOURS)


@dataclasses.dataclass
class Data:
    """What a section reads."""

    scored: Scored
    table: Any
    bundle: Any
    measured: str = "40 events"


@dataclasses.dataclass
class Named:
    task: TaskSpec


@dataclasses.dataclass
class Sessions:
    sessions: list[str]
    lengths: np.ndarray
    seqs: np.ndarray


def data_of(task: TaskSpec, numbers: np.ndarray, truth: np.ndarray) -> Any:
    half = np.array([0, 20, 40])
    lengths = np.diff(half)
    seqs = np.tile(np.arange(1, 21), 2)
    scored = Scored(task, numbers.astype(np.float32), truth, half)
    return Data(scored, Sessions(["a", "<b>"], lengths, seqs), Named(task))


def checked(section: report.Section) -> None:
    page = Page("p", "l", [section])
    assert reportable.Loads(report.render(page)).dangers == []


def test_errors_by_horizon_are_those_of_the_answer_half() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(10, 2, 40)
    truth = np.stack([values, np.arange(40.0), np.repeat([0.0, 1.0], 20)], axis=1)
    numbers = rng.standard_normal((40, 3))
    data = data_of(AHEAD, numbers, truth)
    found = Forecast(AHEAD).by_horizon(data.scored.numbers, truth)
    assert list(found) == [1, 2, 5]
    lines = Forecast(AHEAD).lines(data.scored.numbers)
    for at, ahead in enumerate(HOURS.horizons):
        errors = [
            abs(lines["forecast"][i, at] - values[i + ahead])
            for i in range(40)
            if i // 20 == (i + ahead) // 20 and i + ahead < 40
        ]
        assert found[ahead]["mae"] == pytest.approx(np.mean(errors))
    whole = answers.open(AHEAD).metrics(data.scored.numbers, truth)
    assert found[1]["mae"] == pytest.approx(whole["mae_1"])
    section = forecast.horizons(data)
    assert [type(block) for block in section.blocks] == [Figure, Figure]
    assert "5 ahead" in section.finding
    checked(section)


def test_no_truth_ahead_is_said() -> None:
    nothing = np.full((40, 3), np.nan)
    nothing[:, 1], nothing[:, 2] = np.arange(40.0), np.repeat([0.0, 1.0], 20)
    section = forecast.horizons(data_of(AHEAD, np.zeros((40, 3)), nothing))
    assert [type(block) for block in section.blocks] == [Text]


def test_surprise() -> None:
    parts = (SurprisePart("gaussian", 0, 0), SurprisePart("gaussian", 1, 2))
    spec = AnomalySpec(("heat", "<hum>"), parts, threshold=5.0, false_alarm_rate=0.01)
    task = TaskSpec("anomaly", "", anomaly=spec)
    rng = np.random.default_rng(1)
    fields = rng.exponential(1.0, (40, 2))
    fields[7] = 9.0, 3.0
    numbers = np.concatenate([fields.sum(axis=1, keepdims=True), fields], axis=1)
    section = anomaly.surprise(data_of(task, numbers, np.full(40, np.nan)))
    by_field, highest = (block for block in section.blocks if isinstance(block, Table))
    assert [row[0] for row in by_field.rows] == ["heat", "<hum>"]
    assert list(highest.rows[0][:2]) == ["a", "8"]
    above = (numbers[:, 0] > 5).mean()
    assert section.finding.startswith(f"{above:.2%} of the events")
    checked(section)


def test_too_few_sessions_are_not_drawn_again(make_bundle: Any, random_events: Any) -> None:
    bundle: Bundle = make_bundle()
    data = report.ReportData.of(bundle, reportable.table_of(bundle, random_events, [60, 40]))
    codes = np.arange(100) % 2
    found = groups.compare(data.scored, codes, ["even", "odd"], data.metric)
    assert found.draws == 0
    assert [group.interval for group in found.groups] == [None, None]
