"""What a score is made of, by hand."""

from __future__ import annotations

import nab_detectors
import nab_score
import numpy as np
import pytest
from nab_detectors import Learning, Series
from scipy.stats import norm


@pytest.fixture
def series() -> Series:
    """A level that moves for ten rows."""
    values = np.random.default_rng(4).normal(size=300)
    values[200:210] += 9.0
    return Series(300.0 * np.arange(300), values, nab_score.Labels(300, [(195, 214)]))


def test_the_windowed_gaussian_knows_the_values_before(series: Series) -> None:
    scores = nab_detectors.gaussian(series, 0, Learning())
    seen = series.values[:200]
    tail = norm.sf(abs(series.values[200] - seen.mean()) / seen.std())
    assert scores[200] == pytest.approx(1 - tail, abs=1e-12)
    assert scores[0] == 0.0


def test_no_row_is_learned_from_before_it_is_scored(series: Series) -> None:
    rows = nab_detectors.features(series)
    learning = Learning(units=4, first=3, windows=2, every=50)
    found = nab_detectors.surprise(rows, 0, learning)
    changed = rows.copy()
    changed[260:] = 0.0
    again = nab_detectors.surprise(changed, 0, learning)
    np.testing.assert_array_equal(again[:260], found[:260])
    assert not np.array_equal(again[260:], found[260:])


def test_the_forest_finds_what_stands_out(series: Series) -> None:
    short = Series(series.times[:206], series.values[:206], series.labels)
    scores = nab_detectors.rrcf(short, 0, Learning())
    assert 200 <= scores.argmax() <= 205
