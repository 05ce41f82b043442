"""NAB's score on windows worked by hand, and its threshold against trying them all."""

from __future__ import annotations

import math

import nab_score
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nab_score import Labels, best, probation, score

FILE = Labels(100, [(40, 49), (70, 79)])
"""Two windows of ten rows; rows 0 to 14 are on probation."""


def sigmoid(place: float) -> float:
    return 2 / (1 + math.exp(5 * place)) - 1


def of(*alarms: int, labels: Labels = FILE) -> float:
    """The score of a detector that gives an alarm at these rows."""
    given_ = np.zeros(labels.rows)
    given_[list(alarms)] = 1.0
    return score([given_], [labels], 0.5).normalised


def test_no_alarm_is_nothing_and_one_where_each_window_begins_is_all() -> None:
    assert of() == 0.0
    assert of(40, 70) == pytest.approx(100.0)


def test_the_earliest_alarm_of_a_window_is_the_one_that_counts() -> None:
    # Row 45 is the sixth of ten: -(49 - 45 + 1) / 10.
    hit = sigmoid(-0.5) / sigmoid(-1.0)
    assert of(45) == pytest.approx(100 * (hit + 1) / 4)
    assert of(45, 46, 49) == pytest.approx(of(45))
    assert of(49) == pytest.approx(100 * (sigmoid(-0.1) / sigmoid(-1.0) + 1) / 4)


def test_false_alarms_cost_less_soon_behind_a_window() -> None:
    assert of(20) == pytest.approx(100 * -0.11 / 4)
    assert of(20, 30) == pytest.approx(2 * of(20))
    # Three rows behind: 3 / (10 - 1).
    assert of(52) == pytest.approx(100 * 0.11 * sigmoid(3 / 9) / 4)
    # More than three lengths behind the last window, all of it again.
    long = Labels(200, FILE.windows)
    assert of(79 + 27, labels=long) == pytest.approx(100 * 0.11 * sigmoid(3.0) / 4)
    assert of(79 + 28, labels=long) == pytest.approx(100 * -0.11 / 4)


def test_alarms_on_probation_count_for_nothing() -> None:
    assert of(0, 14) == 0.0
    assert of(15) < 0.0
    assert probation(22_695) == probation(5_000) == 750


def test_a_file_without_windows_can_only_cost() -> None:
    quiet = Labels(100, [])
    scores = [np.eye(100)[40], np.eye(100)[60]]
    both = score(scores, [FILE, quiet], 0.5)
    assert both.normalised == pytest.approx(of(40) + 100 * -0.11 / 4)
    assert (both.found, both.windows, both.false_alarms) == (1, 2, 1)


def test_a_detector_that_is_only_wrong_is_best_silent() -> None:
    scores = np.zeros(100)
    scores[20:30] = 1.0
    found = best([scores[:69]], [Labels(69, [(60, 60)])])
    assert found.normalised >= 0.0
    assert found.found == (0 if found.threshold == math.inf else 1)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=160, max_size=160))
def test_the_best_threshold_is_the_best_of_all(numbers: list[int]) -> None:
    scores = np.array(numbers, dtype=np.float64)
    files = [FILE, Labels(60, [(10, 14)])]
    parts = [scores[:100], scores[100:]]
    tried = [score(parts, files, t).normalised for t in [*range(6), math.inf]]
    assert best(parts, files).normalised == pytest.approx(max(tried))


def test_a_window_of_one_row() -> None:
    values, inside = nab_score.worth(Labels(30, [(20, 20)]))
    assert values[20] == pytest.approx(1.0)
    assert values[21] == pytest.approx(0.11 * sigmoid(1.0))
    assert inside.tolist() == [-1] * 20 + [0] + [-1] * 9
