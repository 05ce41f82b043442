"""Sections that tasks have of their own: their numbers are those of the answer halves."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import reportable

from tidegate import answers
from tidegate.answers.ahead import Track
from tidegate.answers.forecast import Forecast
from tidegate.bundle import Bundle
from tidegate.engine.embed import embedder
from tidegate.errors import InputError
from tidegate.spec import AnomalySpec, ForecastSpec, ItemsSpec, SurprisePart, TaskSpec
from tidegate.train import report
from tidegate.train.report import anomaly, forecast, groups, language, next_item, tag, words
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
    truth = Track.of(values, np.array([0, 20, 40])).truth()
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
    nothing = Track.of(np.full(40, np.nan), np.array([0, 20, 40])).truth()
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


def tables_of(section: report.Section) -> list[Table]:
    return [block for block in section.blocks if isinstance(block, Table)]


def test_the_curve_ends_at_the_recall_of_the_answer_half() -> None:
    items = ("", *(f"<item {at}>" for at in range(1, 41)))
    task = TaskSpec("next_item", "item", classes=items, items=ItemsSpec(top=5))
    rng = np.random.default_rng(2)
    named = np.stack([rng.permutation(np.arange(1, 41))[:5] for _ in range(40)])
    numbers = np.concatenate([np.zeros((40, 5)), named], axis=1)
    truth = named[:, 2].astype(float)  # found at the third place,
    truth[:10] = [next(at for at in range(1, 41) if at not in each) for each in named[:10]]
    truth[10:14] = 0.0  # but for those that are not named, and those that nobody knows
    truth[19], truth[39] = np.nan, np.nan
    data = data_of(task, numbers, truth)
    metrics = answers.open(task).metrics(data.scored.numbers, truth)
    section = next_item.ranks(data)
    curve, bars = (
        next(iter(block.chart.to_dict()["datasets"].values()))
        for block in section.blocks
        if isinstance(block, Figure)
    )
    shares = {(row["of"], row["k"]): row["share"] for row in curve}
    assert shares["the model", 2] == 0
    assert shares["the model", 3] == shares["the model", 5] == pytest.approx(metrics["recall"])
    known = truth[~np.isnan(truth)]
    popular = ((known >= 1) & (known <= 5)).mean()
    assert shares["the most popular items", 5] == pytest.approx(popular)
    assert [row["count"] for row in bars] == [0, 0, 24, 0, 0]
    by_popularity, worst = tables_of(next_item.popularity(data))
    came = [int(row[1]) for row in by_popularity.rows]
    assert came == [
        *(int(((known > low) & (known <= high)).sum()) for low, high in ((0, 10), (10, 30))),
        int((known > 30).sum()),
        4,
    ]
    missed = [row for row in worst.rows if row[3] != "0"]
    assert sum(int(row[3]) for row in missed) == 10
    checked(section)


def test_tags_and_entities_are_those_of_the_answer_half(
    make_bundle: Any, random_events: Any
) -> None:
    task = TaskSpec("tag", "entity", classes=("O", "B-<x>", "I-<x>", "B-y"))
    bundle: Bundle = make_bundle(task=task)
    table = reportable.table_of(bundle, random_events, [9] * 12)
    labels = np.random.default_rng(3).choice(np.array(task.classes, object), 108)
    labels[5:9] = None
    table = dataclasses.replace(table, labels=labels)
    table.columns["road"][::4] = "Z9"  # which training never met
    data = report.ReportData.of(bundle, table)
    entities, each = tables_of(tag.tags(data))
    assert [row[0] for row in entities.rows] == ["<x>", "y"]
    for name, *_, f1 in entities.rows:
        assert f1 == f"{100 * data.metrics[f'f1 {name}']:.1f}%"
    assert sum(int(row[2]) for row in each.rows) == data.metrics["n"]
    right = sum(int(row[2]) * float(row[4][:-1]) / 100 for row in each.rows)
    assert right / data.metrics["n"] == pytest.approx(data.metrics["accuracy"], abs=2e-3)
    section = tag.unseen(data)
    assert section is not None
    (fields,) = tables_of(section)
    road = next(row for row in fields.rows if row[0] == "road")
    unmet = sum(value == "Z9" for value in table.columns["road"][data.scored.known])
    assert int(road[3]) == unmet
    assert int(road[1]) + unmet == data.metrics["n"]
    checked(section)


def test_bits_of_tokens_are_those_of_the_answer_half(make_bundle: Any, random_events: Any) -> None:
    task = TaskSpec("language", "road", classes=("", "A1", "B2", "C3"), items=ItemsSpec(top=2))
    bundle: Bundle = make_bundle(task=task)
    data = report.ReportData.of(bundle, reportable.table_of(bundle, random_events, [9] * 12))
    section = language.surprise(data)
    assert f"by {words.number(data.metrics['log_loss'] / np.log(2))} bits" in section.finding
    assert f"perplexity {words.number(data.metrics['perplexity'])}" in section.finding
    by_token, highest = tables_of(section)
    assert sum(int(row[1]) for row in by_token.rows) == data.metrics["n"]
    assert sum(float(row[3][:-1]) for row in by_token.rows) == pytest.approx(100, abs=0.3)
    bits = [float(row[-1]) for row in highest.rows]
    assert bits == sorted(bits, reverse=True)
    assert language.sample(data) is None  # an event holds more than its token
    checked(section)


def test_of_a_state_there_is_no_report(make_bundle: Any, random_events: Any) -> None:
    made = embedder(make_bundle())
    with pytest.raises(InputError, match="neither right nor wrong") as refused:
        report.make(made, reportable.table_of(made, random_events, [3, 4]))
    assert refused.value.code == "nothing_to_measure"
