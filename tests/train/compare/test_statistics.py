import math

import numpy as np
import pytest
from scipy import stats

from tidegate.train.compare import paired


def test_it_is_the_t_test_of_scipy() -> None:
    rng = np.random.default_rng(3)
    for n in (2, 5, 20):
        first = rng.normal(0.8, 0.02, n)
        second = first - rng.normal(0.01, 0.01, n)
        found = paired(list(first), list(second))
        expected = stats.ttest_rel(first, second)
        low, high = expected.confidence_interval(0.95)
        assert found.p == pytest.approx(expected.pvalue)
        assert (found.low, found.high) == pytest.approx((low, high))
        assert found.told == (expected.pvalue < 0.05)


def test_one_pair_tells_nothing() -> None:
    found = paired([0.8], [0.1])
    assert found.mean == pytest.approx(0.7)
    assert math.isnan(found.p)
    assert not found.told
    none = paired([], [])
    assert (none.n, none.told) == (0, False)
    assert math.isnan(none.p)


def test_equal_gaps() -> None:
    assert not paired([1.0, 2.0], [1.0, 2.0]).told
    assert paired([1.0, 2.0], [0.5, 1.5]).told
