from __future__ import annotations

import numpy as np
import torch

from tidegate.train import sample as samples
from tidegate.train.sample import Sample
from tidegate.train.sequences import Sequences


def part(lengths: list[int], labelled: list[int]) -> Sequences:
    """Events with their own number as their row; those named have a label."""
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    rows = np.arange(offsets[-1], dtype=np.float32)[:, None]
    labels = np.full(len(rows), np.nan)
    labels[labelled] = rows[labelled, 0]
    return Sequences(rows, offsets, labels, labels.astype(np.float32))


def test_each_session_ends_at_its_last_label() -> None:
    found = Sample.of(part([4, 3, 2], [0, 2, 5]), seed=0)
    assert found is not None
    ends = {
        tuple(rows[:length, 0].tolist()): targets[:length].tolist()
        for rows, length, targets in zip(
            found.rows, found.lengths.tolist(), found.last_targets, strict=True
        )
    }
    assert set(ends) == {(0.0, 1.0, 2.0), (4.0, 5.0)}  # the third has no label
    for rows, targets in ends.items():
        assert targets[-1] == rows[-1]
        assert np.isnan(targets[:-1]).all()
    assert torch.isnan(found.targets).sum() == 3  # one place without label each, one of padding


def test_what_it_holds_is_bounded() -> None:
    long = samples.MAX_EVENTS + 100
    lengths = [long] * 30 + [10] * 2000
    ends = np.cumsum(lengths) - 1
    many = part(lengths, ends.tolist())
    for seed in range(20):
        found = Sample.of(many, seed)
        assert found is not None
        assert samples.MIN_SESSIONS <= len(found.lengths) <= samples.MAX_SESSIONS
        assert found.rows.shape[1] <= samples.MAX_EVENTS
        few = len(found.lengths) == samples.MIN_SESSIONS
        assert few or found.lengths.sum() <= ends[-1] / samples.SHARE
        assert set(found.last_targets[~found.last_targets.isnan()].tolist()) <= set(ends.tolist())


def test_a_seed_draws_the_same_sessions() -> None:
    many = part([5] * 100, list(range(500)))
    one, same, other = (Sample.of(many, seed) for seed in (3, 3, 4))
    assert one is not None
    assert same is not None
    assert other is not None
    assert torch.equal(one.rows, same.rows)
    assert not torch.equal(one.rows, other.rows)


def test_sessions_that_are_not_finite_or_without_label_are_left_out() -> None:
    broken = part([3, 3], [1, 4])
    broken.rows[0] = np.inf
    broken.rows[5] = np.nan  # after the last label: it is not looked at
    found = Sample.of(broken, seed=0)
    assert found is not None
    assert found.rows[:, :, 0].tolist() == [[3.0, 4.0]]
    broken.rows[3] = np.nan
    assert Sample.of(broken, seed=0) is None
    assert Sample.of(part([3, 3], []), seed=0) is None
