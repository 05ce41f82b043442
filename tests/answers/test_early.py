from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate import answers
from tidegate.answers.early import events_at
from tidegate.spec import TaskSpec

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=8)


@settings(max_examples=50, deadline=None)
@given(LENGTHS, st.integers(1, 12))
def test_parts_rise_from_the_first_event_to_the_last(lengths: list[int], parts: int) -> None:
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    found = [events_at(offsets, part, parts) - offsets[:-1] for part in range(1, parts + 1)]
    assert all((later >= earlier).all() for earlier, later in pairwise(found))
    np.testing.assert_array_equal(found[-1], np.array(lengths) - 1)
    for part, at in enumerate(found, 1):  # as little as possible, but so large a part
        assert ((at + 1) * parts >= np.array(lengths) * part).all()
        assert (at * parts < np.array(lengths) * part).all()


def test_it_measures_the_event_that_has_been_seen() -> None:
    """A model that knows nothing in the first half of a session, and all of it in the second."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, 30, 60)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    truth = rng.normal(size=60)
    labels = np.full(offsets[-1], np.nan)
    labels[offsets[1:] - 1] = truth
    seen = (np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths) + 1) / np.repeat(
        lengths, lengths
    )
    outputs = np.where(seen >= 0.5, np.repeat(truth, lengths), 0.0).astype(np.float32)[:, None]
    task = answers.open(TaskSpec("regress", "y", "session"))
    found = answers.by_share(task.metrics, outputs, labels, offsets, parts=4)
    assert [each.share for each in found] == [0.25, 0.5, 0.75, 1.0]
    assert found[0].metrics["mae"] > 0.3
    assert all(each.metrics["mae"] < 1e-6 for each in found[1:])
    assert found[-1].metrics == task.metrics(outputs, labels)
