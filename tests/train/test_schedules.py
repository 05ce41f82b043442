from __future__ import annotations

import numpy as np
import pytest

from tidegate.train.schedules import Plateau, learning_rate
from tidegate.train.settings import Schedule, TrainSettings


def rates_of(schedule: Schedule, steps: int = 40, **changes: object) -> list[float]:
    """Rates of 4 epochs of 10 steps, of which the first 4 warm up."""
    options = {"schedule_factor": 0.25, "schedule_epochs": 2, **changes}
    settings = TrainSettings(
        epochs=4,
        learning_rate=8.0,
        warmup_steps=4,
        schedule=schedule,
        **options,  # type: ignore[arg-type]
    )
    return [learning_rate(step, steps, settings) for step in range(steps)]


def test_every_schedule_warms_up() -> None:
    for schedule in ("constant", "cosine", "exponential", "step", "plateau"):
        assert rates_of(schedule)[:5] == [2.0, 4.0, 6.0, 8.0, 8.0]


def test_cosine_falls_to_zero() -> None:
    settings = TrainSettings(learning_rate=0.5, warmup_steps=10)
    rates = [learning_rate(step, 100, settings) for step in range(101)]
    assert rates[0] == 0.05
    assert rates[9] == rates[10] == 0.5
    assert np.all(np.diff(rates[:10]) > 0)
    assert np.all(np.diff(rates[10:]) < 0)
    assert rates[55] == pytest.approx(0.25)  # half the way
    assert rates[100] == 0.0
    assert learning_rate(0, 100, TrainSettings(learning_rate=0.5, warmup_steps=0)) == 0.5


def test_constant_and_plateau_stay() -> None:
    for schedule in ("constant", "plateau"):
        assert rates_of(schedule)[4:] == [8.0] * 36


def test_exponential_falls_by_the_factor_in_so_many_epochs() -> None:
    rates = rates_of("exponential")
    assert rates[4 + 10] == pytest.approx(4.0)  # a quarter in two epochs: a half in one
    assert rates[4 + 20] == pytest.approx(2.0)
    ratios = np.divide(rates[5:], rates[4:-1])
    np.testing.assert_allclose(ratios, 0.25 ** (1 / 20))


def test_step_falls_at_once_when_so_many_epochs_are_over() -> None:
    rates = rates_of("step")
    assert rates[4:20] == [8.0] * 16
    assert rates[20:] == [2.0] * 20
    assert rates_of("step", schedule_epochs=1)[10::10] == [2.0, 0.5, 0.125]


def test_plateau_counts_epochs_without_improvement() -> None:
    settings = TrainSettings(schedule="plateau", schedule_epochs=2, schedule_factor=0.5)
    plateau, scales = Plateau(), []
    for improved in (False, True, False, False, False, False, True, False, False):
        plateau = plateau.after(improved, settings)
        scales.append(plateau.scale)
    assert scales == [1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]
    assert Plateau().after(False, TrainSettings(schedule_epochs=1)) == Plateau()
