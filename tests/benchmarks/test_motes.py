"""Measures of what has no likelihood, and the table in the docs."""

from __future__ import annotations

from pathlib import Path

import loglines
import motes
import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis

from tidegate.errors import InputError
from tidegate.tables import EventTable

ROOT = Path(__file__).parents[2]


def table(n: int) -> EventTable:
    rng = np.random.default_rng(n)
    change = rng.normal(size=(n, 2))
    columns = {
        "heat": change[:, 0].cumsum(),
        "heat_change": change[:, 0],
        "wet_change": change[:, 1] * 2,
    }
    truth = (rng.random(n) < 0.2).astype(np.float64)
    return EventTable(["1"], np.array([0, n]), np.arange(float(n)), columns, truth, np.arange(n))


def test_the_gaussian_is_of_the_changes() -> None:
    train, test = table(300), table(20)
    seen = np.stack([train.columns["heat_change"], train.columns["wet_change"]], axis=1)
    inverse = np.linalg.inv(np.cov(seen.T))
    point = np.array([test.columns["heat_change"][3], test.columns["wet_change"][3]])
    found = motes.gaussian(train)(test)[3]
    assert found == pytest.approx(mahalanobis(point, seen.mean(axis=0), inverse) ** 2)


def test_scores_are_measured_as_the_tasks_are() -> None:
    valid, test = np.arange(100.0), np.array([10.0, 99.5, 120.0])
    found = motes.measure(valid, test, np.array([0.0, 0.0, 1.0]), 0.01)
    assert found["false_alarm_rate"] == found["precision"] == 0.5
    assert found["recall"] == found["average_precision"] == 1.0
    assert "nats" not in found


def test_lines_are_cut_into_sessions_of_one_part_each(tmp_path: Path) -> None:
    name = loglines.SETS["bgl"]
    lines = [f"{i},{'-' if i % 9 else 'KERN'},E{i % 7}" for i in range(500)]
    (tmp_path / name).write_text("\n".join(["LineId,Label,EventId", *lines]) + "\n")
    parts = loglines.read(tmp_path, name)
    assert [part.n_events for part in parts] == [300, 100, 100]
    run = loglines.make("bgl", parts, 0, 12)
    assert run.templates == 7
    assert run.chain < 1 < run.shares  # each template tells the next
    assert run.test["n"] == 100
    with pytest.raises(InputError) as caught:
        loglines.read(tmp_path, loglines.SETS["hdfs"])
    assert caught.value.code == "no_data"


def test_the_docs_hold_the_runs_that_are_kept() -> None:
    page = (ROOT / "docs" / "anomaly.md").read_text()
    assert motes.table(motes.RESULTS) in page
    assert loglines.table(loglines.RESULTS) in page
