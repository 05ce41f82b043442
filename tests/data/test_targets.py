import numpy as np
import pytest
from numpy.typing import NDArray

from tidegate.data.augment import Augment, Augmentation
from tidegate.data.batches import Batches
from tidegate.data.lanes import Lanes
from tidegate.data.targets import known, marks
from tidegate.errors import InputError

OFFSETS = np.array([0, 3, 4, 9])
ROWS = np.arange(9, dtype=np.float32)[:, None]
MANY = np.stack([ROWS[:, 0] * 10, ROWS[:, 0] * 10 + 1], axis=1)
MANY[4] = np.nan
MANY[5, 0] = np.nan


class Made:
    """The same numbers, made when asked for."""

    shape = MANY.shape
    known = ~np.isnan(MANY).all(axis=1)

    def __getitem__(self, events: NDArray[np.int64]) -> NDArray[np.float32]:
        return MANY[events]


def plans(labels: object) -> list[Batches | Lanes]:
    batches = Batches(ROWS, OFFSETS, labels, 6, seed=1)  # type: ignore[arg-type]
    return [batches, Lanes(ROWS, OFFSETS, labels, 2, 2, seed=1)]  # type: ignore[arg-type]


@pytest.mark.parametrize("labels", [MANY, Made()], ids=["array", "made"])
def test_each_event_has_its_own_numbers(labels: object) -> None:
    for plan in plans(labels):
        learned = 0
        for batch in plan.epoch(1):
            assert batch.labels.shape == (*batch.rows.shape[:2], 2)
            np.testing.assert_array_equal(batch.labels[batch.real], MANY[batch.events])
            assert np.isnan(batch.labels[~batch.real]).all()
            learned += batch.learned
        assert learned == 8  # event 4 has nothing, event 5 one number


def test_what_is_known() -> None:
    np.testing.assert_array_equal(known(MANY), np.arange(9) != 4)
    np.testing.assert_array_equal(known(Made()), known(MANY))
    np.testing.assert_array_equal(np.isnan(marks(MANY)), np.arange(9) == 4)
    one = np.array([3.0, np.nan])
    np.testing.assert_array_equal(marks(one), one)


def test_many_numbers_do_not_move_with_their_event() -> None:
    warped = Augmentation(Augment(warp=0.3), (), 0)
    plan = Batches(ROWS, OFFSETS, MANY, 6, 1, augmentation=warped)
    with pytest.raises(InputError, match="warp") as caught:
        list(plan.epoch(1))
    assert caught.value.code == "unused_key"
    jittered = Augmentation(Augment(jitter=0.3), (0,), 0)
    for batch in Batches(ROWS, OFFSETS, MANY, 6, 1, augmentation=jittered).epoch(1):
        np.testing.assert_array_equal(batch.labels[batch.real], MANY[batch.events])
        assert (batch.rows[batch.real] != ROWS[batch.events]).all()
