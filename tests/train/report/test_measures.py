"""Calibration, confusion and drift, against scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix

from tidegate.bundle import baseline
from tidegate.schema import Field, SchemaConfig
from tidegate.train.report.measures import confusion, psi, reliability


@pytest.mark.parametrize("decimals", [9, 1, 0])
def test_reliability_is_the_calibration_curve(decimals: int) -> None:
    rng = np.random.default_rng(1)
    said = np.round(rng.beta(0.5, 2, 997), decimals)
    happened = rng.random(997) < said**1.5
    found = reliability(said, happened, 10)
    shares, means = calibration_curve(happened, said, n_bins=10, strategy="quantile")
    assert found.happened == pytest.approx(shares, abs=1e-12)
    assert found.said == pytest.approx(means, abs=1e-12)
    assert found.events.sum() == 997
    gaps = [n / 997 * abs(s - m) for n, s, m in zip(found.events, shares, means, strict=True)]
    assert found.error == pytest.approx(sum(gaps))
    assert np.all(found.low <= found.happened + 1e-12)
    assert np.all(found.happened <= found.high + 1e-12)


def test_reliability_of_one_event() -> None:
    found = reliability(np.array([0.3]), np.array([True]))
    assert found.error == pytest.approx(0.7)
    assert found.low == pytest.approx(0.2065, abs=1e-3)  # Wilson, 1 of 1


def test_confusion_is_the_confusion_matrix() -> None:
    rng = np.random.default_rng(2)
    truth, answered = rng.integers(0, 4, (2, 300))
    assert np.array_equal(confusion(truth, answered, 4), confusion_matrix(truth, answered))


def test_the_stability_index() -> None:
    rng = np.random.default_rng(3)
    n = 4000
    config = SchemaConfig({"x": Field("numeric"), "c": Field("category"), "b": Field("boolean")})
    columns = {
        "x": rng.normal(size=n),
        "c": rng.choice(np.array(["a", "b", None], dtype=object), n),
        "b": (rng.random(n) < 0.25) * 1.0,
    }
    zeros = np.zeros(n)
    of = baseline.measure(config, columns, zeros, np.array([0, n]), zeros)["features"]
    for name, column in columns.items():
        assert psi(of[name], column) == pytest.approx(0.0, abs=1e-9)
        assert (psi(of[name], column[: n // 2]) or 0.0) < 0.02
    assert (psi(of["x"], columns["x"] + 1.0) or 0.0) > 0.5
    assert (psi(of["x"], np.full(n, np.nan)) or 0.0) > 5
    assert (psi(of["c"], np.full(n, "unseen", dtype=object)) or 0.0) > 5
    p, q = np.array([0.5, 0.5]), np.bincount(columns["b"].astype(int)) / n
    halves = np.tile([0.0, 1.0], n // 2)
    assert psi(of["b"], halves) == pytest.approx(((p - q) * np.log(p / q)).sum(), rel=0.01)
    assert psi(of["b"], np.empty(0)) is None
