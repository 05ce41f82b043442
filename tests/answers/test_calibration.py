from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from tidegate.answers import metrics
from tidegate.answers.calibration import LIMITS, temperature


def drawn(n: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and classes drawn from their softmax."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, classes))
    return logits, (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("classes", [2, 5])
def test_no_other_temperature_has_a_lower_loss(scale: float, classes: int) -> None:
    logits, truth = drawn(4000, classes)
    logits *= scale
    found = minimize_scalar(
        lambda log_t: metrics.log_loss(logits / np.exp(log_t), truth), bounds=(-3, 3)
    )
    # The smoothing counts 1 in 4,000.
    assert temperature(logits, truth) == pytest.approx(np.exp(found.x), rel=0.02)


def test_a_few_right_answers_do_not_make_it_sure() -> None:
    logits = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    truth = logits.argmax(axis=1)
    found = temperature(logits, truth)
    # As if one of 6 had been something else.
    assert 1 / (1 + np.exp(-1 / found)) == pytest.approx(5 / 6)


@pytest.mark.parametrize(("sign", "limit"), [(-1.0, LIMITS[1]), (1e-6, LIMITS[0])])
def test_it_ends_at_its_limits(sign: float, limit: float) -> None:
    logits, truth = drawn(500, 3)
    assert temperature(sign * logits, truth) == pytest.approx(limit)
