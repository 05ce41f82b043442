"""A metric in groups: the values, and intervals that know what a session is."""

from __future__ import annotations

import numpy as np
import pytest

from tidegate import answers
from tidegate.spec import TaskSpec
from tidegate.train.report.groups import MAX_GROUPS, compare, groups_of, intervals
from tidegate.train.report.scored import Scored

NUMBER = TaskSpec("regress", "y")


def scored(lengths: list[int], seed: int = 0, task: TaskSpec = NUMBER) -> Scored:
    rng = np.random.default_rng(seed)
    n = sum(lengths)
    truth = rng.normal(size=n)
    if task.name == "classify":
        truth = rng.integers(0, 2, n).astype(np.float64)
    truth[rng.random(n) < 0.2] = np.nan
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Scored(task, rng.normal(size=(n, 1)).astype(np.float32), truth, offsets)


@pytest.mark.parametrize("metric", ["mae", "rmse"])
def test_a_group_has_the_metric_of_its_events(metric: str) -> None:
    of = scored([5] * 40)
    codes = np.tile([0, 1, 2, 2, -1], 40)
    found = compare(of, codes, ["a", "b", "c", "never"], metric, draws=20)
    half = answers.open(NUMBER)
    assert [group.name for group in found.groups] == ["a", "b", "c"]
    for code, group in enumerate(found.groups):
        mine = codes == code
        metrics = half.metrics(of.numbers[mine], of.truth[mine])
        assert group.value == pytest.approx(metrics[metric], rel=1e-12)
        assert group.events == metrics["n"]
        assert group.difference == pytest.approx(metrics[metric] - found.value)
    counted = codes >= 0
    assert found.value == half.metrics(of.numbers[counted], of.truth[counted])[metric]


def test_copies_of_events_within_sessions_make_no_interval_narrower() -> None:
    of = scored([1] * 60)
    fivefold = Scored(NUMBER, of.numbers.repeat(5, 0), of.truth.repeat(5), of.offsets * 5)
    codes = np.arange(60) % 2
    one = compare(of, codes, ["a", "b"], "mae", seed=3)
    five = compare(fivefold, codes.repeat(5), ["a", "b"], "mae", seed=3)
    for single, copied in zip(one.groups, five.groups, strict=True):
        assert copied.interval == pytest.approx(single.interval)
        assert copied.difference_interval == pytest.approx(single.difference_interval)
    assert intervals(fivefold, seed=3)["mae"] == pytest.approx(intervals(of, seed=3)["mae"])


def test_an_interval_is_as_wide_as_theory_says() -> None:
    of = scored([1] * 400)
    errors = np.abs(of.numbers[:, 0] - of.truth)[of.known]
    low, high = intervals(of, draws=1000)["mae"]
    assert high - low == pytest.approx(2 * 1.96 * errors.std() / np.sqrt(len(errors)), rel=0.1)
    assert low < errors.mean() < high


def test_a_worse_group_is_found_and_an_equal_one_is_not() -> None:
    of = scored([4] * 100)
    codes = np.repeat(np.arange(100) % 2, 4)
    alike = compare(of, codes, ["a", "b"], "mae")
    assert not any(group.apart for group in alike.groups)
    numbers = of.numbers + 2 * codes[:, None].astype(np.float32)
    apart = compare(Scored(NUMBER, numbers, of.truth, of.offsets), codes, ["a", "b"], "mae")
    assert [group.apart for group in apart.groups] == [True, True]
    assert apart.groups[1].difference_interval is not None
    assert apart.groups[1].difference_interval[0] > 0


def test_few_sessions_have_no_interval() -> None:
    of = scored([50, 50, 50])
    (group,) = compare(of, np.zeros(150, np.int64), ["a"], "mae").groups
    assert (group.interval, group.difference_interval, group.apart) == (None, None, False)
    assert group.value is not None
    assert intervals(of) == {}


def test_a_metric_that_a_group_does_not_define() -> None:
    task = TaskSpec("classify", "y", classes=("no", "yes"))
    of = scored([2] * 50, task=task)
    codes = np.where(of.truth == 1, 1, 0)
    found = compare(of, codes, ["no", "yes"], "auc", draws=20)
    assert [group.value for group in found.groups] == [None, None]
    assert [group.difference for group in found.groups] == [None, None]
    assert 0.3 < found.value < 0.7


def test_the_groups_of_a_field() -> None:
    column = np.array([f"c{i % 30}" for i in range(300)] + ["top"] * 50 + [None] * 3, dtype=object)
    codes, names = groups_of(column)
    assert names[0] == "top"
    assert len(names) == MAX_GROUPS + 1
    assert names[-2:] == ["(20 others)", "(missing)"]
    assert np.bincount(codes).tolist() == [50, *[10] * 10, 200, 3]
    codes, names = groups_of(np.array([3.0, np.nan, 1.0, 3.0]))
    assert (codes.tolist(), names) == ([1, 2, 0, 1], ["1", "3", "(missing)"])
    codes, names = groups_of(np.append(np.arange(100.0), np.nan))
    assert np.bincount(codes).tolist() == [25, 25, 25, 25, 1]
    codes, names = groups_of(np.full(5, np.nan))
    assert names == ["(missing)"]
    codes, names = groups_of(np.array([None, None], dtype=object))
    assert (codes.tolist(), names) == ([0, 0], ["(missing)"])
