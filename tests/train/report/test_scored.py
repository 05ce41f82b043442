"""Parts of what was scored: entities do not grow together where events are left out."""

from __future__ import annotations

import numpy as np
import pytest

from tidegate.spec import TaskSpec
from tidegate.train.report.scored import Scored

CLASSES = ("B-PER", "I-PER", "O")
NAN = np.nan


def scored(said: list[int], truth: list[float], offsets: list[int]) -> Scored:
    task = TaskSpec("tag", "tag", classes=CLASSES)
    return Scored(task, np.eye(3, dtype=np.float32)[said], np.array(truth), np.array(offsets))


def test_events_without_a_label_keep_their_neighbours_apart() -> None:
    # B I ? I: the last is an entity of its own, that the answer has missed.
    whole = scored([0, 1, 1, 2], [0, 1, NAN, 1], [0, 4])
    part = whole.pick(whole.known)
    assert part.numbers.shape == (3, 3)
    assert part.metrics() == whole.metrics()
    assert part.metrics()["recall"] == pytest.approx(1 / 2)
    assert part.metrics()["precision"] == 1


def test_a_part_of_a_part_remembers_what_was_left_out() -> None:
    whole = scored([0, 1, 1, 0, 1, 1], [0, 1, 1, 0, 1, 1], [0, 3, 6])
    twice = whole.pick(np.array([1, 1, 1, 1, 0, 1], bool)).pick(np.array([1, 0, 1, 1, 1], bool))
    assert twice.offsets.tolist() == [0, 2, 4]
    # B . I and B . I: two entities a session.
    assert twice.metrics()["n"] == 4
    spans = twice._stretches()
    assert spans.tolist() == [0, 1, 2, 3, 4]


def test_sessions_that_are_drawn_twice_are_no_neighbours() -> None:
    whole = scored([0, 1, 1], [0, 1, 1], [0, 1, 3])
    drawn, events = whole.pick(np.ones(3, bool)).draw(np.array([1, 0, 1]))
    assert events.tolist() == [1, 2, 0, 1, 2]
    assert drawn.offsets.tolist() == [0, 2, 3, 5]
    assert drawn.metrics()["f1"] == 1
    assert drawn._stretches().tolist() == [0, 2, 3, 5]
