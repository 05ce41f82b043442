"""Our own logarithm, sine and cosine: near the truth, and the same bits everywhere."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tidegate.core import cos_turn, crc32c, log1p, own_exp, sin_turn

BOUND = 1.5
TURN = Decimal("6.28318530717958647692528676655900576839433879875021164194988918461563281257")

Function = Callable[[Any], Any]


def true_log1p(x: float) -> Decimal:
    exact = Decimal(x)
    if x < 2.0**-100:
        return exact - exact * exact / 2
    return (1 + exact).ln()


def true_sin_turn(share: float) -> Decimal:
    return sine(Fraction(share))


def true_cos_turn(share: float) -> Decimal:
    return sine(Fraction(share) + Fraction(1, 4))


def sine(share: Fraction) -> Decimal:
    """Sum Taylor's series at the share's distance from the nearest half turn."""
    half = round(share * 2)
    rest = share - Fraction(half, 2)
    angle = TURN * rest.numerator / rest.denominator
    term = total = angle
    for n in range(1, 60):
        term *= -angle * angle / ((2 * n) * (2 * n + 1))
        total += term
    return -total if half % 2 else total


def worst(function: Function, truth: Callable[[float], Decimal], xs: Any) -> float:
    """Return the largest error in units in the last place of the true value."""
    with localcontext() as context:
        context.prec = 80
        errors = []
        for x, got in zip(xs.tolist(), function(xs).tolist(), strict=True):
            exact = truth(x)
            errors.append(abs(Decimal(got) - exact) / Decimal(math.ulp(float(exact))))
        return float(max(errors))


def near(points: Any) -> Any:
    """Return the points and the doubles on both sides of them."""
    points = np.asarray(points, dtype=np.float64)
    around = [points]
    for direction in (-np.inf, np.inf):
        beside = points
        for _ in range(3):
            beside = np.nextafter(beside, direction)
            around.append(beside)
    return np.concatenate(around)


def test_log1p_is_near_the_truth() -> None:
    random = np.random.default_rng(1)
    # Where 1 + x passes a power of two or sqrt(2) times one, the reduction changes.
    powers = 2.0 ** np.arange(1, 61)
    seams = near(
        np.concatenate([powers - 1, powers * math.sqrt(0.5) - 1, 2.0 ** -np.arange(40, 70)])
    )
    xs = np.concatenate(
        [
            seams,
            random.uniform(0, 3, 4000),
            random.uniform(0.2, 0.5, 2000),
            10.0 ** random.uniform(-320, 308, 1500),
            [5e-324, np.finfo(np.float64).tiny, np.finfo(np.float64).max],
        ]
    )
    assert worst(log1p, true_log1p, xs) < BOUND


def test_exp_is_near_the_truth() -> None:
    random = np.random.default_rng(3)
    # Where x passes half a doubling, the reduction changes.
    seams = near((np.arange(-40, 40) + 0.5) * math.log(2))
    xs = np.concatenate([seams, random.uniform(-1, 1, 4000), random.uniform(-708, 709, 3000)])
    assert worst(own_exp, lambda x: Decimal(x).exp(), xs) < BOUND
    assert (np.diff(own_exp(np.linspace(-2, 2, 1_000_001))) >= 0).all()


@pytest.mark.parametrize(
    ("function", "truth"), [(sin_turn, true_sin_turn), (cos_turn, true_cos_turn)]
)
def test_sine_and_cosine_are_near_the_truth(
    function: Function, truth: Callable[[float], Decimal]
) -> None:
    random = np.random.default_rng(2)
    seams = near(np.arange(1, 16) / 16)
    quarters = (np.arange(8) % 4) / 4 + 2.0 ** random.uniform(-60, -3, (200, 8))
    shares = np.concatenate([seams, quarters.ravel(), random.random(2000), np.arange(7) / 7])
    shares = np.concatenate([shares, 2.0 ** random.uniform(-1000, -1, 300)])
    assert worst(function, truth, shares) < BOUND


def test_exact_values() -> None:
    xs = np.array([0.0, -0.0, 5e-324, 1e-300, 2.0**-54])
    assert log1p(xs).tobytes() == np.abs(xs).tobytes()
    assert own_exp(xs).tolist() == [1.0] * 5
    ends = np.array([-np.inf, -1e9, -709, 710, np.inf])
    assert own_exp(ends).tolist() == [0, 0, 0, np.inf, np.inf]
    quarters = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    assert sin_turn(quarters).tobytes() == np.array([0.0, 1.0, 0.0, -1.0, 0.0]).tobytes()
    assert cos_turn(quarters).tobytes() == np.array([1.0, 0.0, -1.0, 0.0, 1.0]).tobytes()


def test_what_has_no_value_is_nan() -> None:
    assert np.isnan(log1p(np.array([np.nan, -1e-9, -np.inf]))).all()
    assert log1p(np.array([np.inf])) == np.inf
    assert np.isnan(own_exp(np.array([np.nan]))).all()
    outside = np.array([np.nan, -1e-9, 1.0000001, np.inf, -np.inf])
    assert np.isnan(sin_turn(outside)).all()
    assert np.isnan(cos_turn(outside)).all()


def test_log1p_rises_and_the_circle_is_symmetric() -> None:
    assert (np.diff(log1p(np.geomspace(1e-17, 1e300, 100_000))) > 0).all()
    assert (np.diff(log1p(np.linspace(0, 4, 1_000_001))) > 0).all()
    # Where two quarter turns are equally near, either may be taken.
    shares = np.setdiff1d(np.arange(1, 2**12) / 2**12, np.arange(1, 8, 2) / 8)
    same = sin_turn(shares).tobytes()
    assert (0.0 - sin_turn(1 - shares)).tobytes() == same
    assert cos_turn(np.mod(shares + 0.75, 1)).tobytes() == same


def test_shapes_and_strides() -> None:
    grid = np.arange(24.0).reshape(2, 3, 4) / 24
    for function in (log1p, own_exp, sin_turn, cos_turn):
        whole = function(grid)
        assert whole.shape == grid.shape
        assert whole.dtype == np.float64
        assert function(grid[:, ::2]).tobytes() == whole[:, ::2].tobytes()
        assert function(grid[:0]).shape == (0, 3, 4)
        assert function(np.array(0.25)).shape == ()


# Every processor has to give these: they are what makes a bundle's rows the same everywhere.
SPREAD = np.arange(1, 200_001, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
SHARES = (SPREAD >> np.uint64(11)).astype(np.float64) * 2.0**-53
POSITIVE = (SPREAD >> np.uint64(2)).view(np.float64)  # of every magnitude up to 2
LARGE = (SPREAD >> np.uint64(32)).astype(np.float64) / 64


@pytest.mark.parametrize(
    ("function", "xs", "checksum"),
    [
        (log1p, SHARES, 0x77506AD7),
        (log1p, POSITIVE, 0x98582D41),
        (log1p, LARGE, 0x95C7348E),
        (sin_turn, SHARES, 0xDB201E45),
        (cos_turn, SHARES, 0x0C0B4427),
    ],
    ids=["log1p-shares", "log1p-positive", "log1p-large", "sine", "cosine"],
)
def test_the_bits_are_the_same_everywhere(function: Function, xs: Any, checksum: int) -> None:
    assert crc32c(function(xs).astype("<f8").tobytes()) == checksum


@pytest.mark.parametrize(
    ("function", "x", "value"),
    [
        (log1p, 1.0, "0x1.62e42fefa39efp-1"),
        (log1p, 3600.0, "0x1.060c043c6cc9ap+3"),
        (log1p, 0.1, "0x1.8663f793c46c7p-4"),
        (sin_turn, 1 / 7, "0x1.904c37505de4bp-1"),
        (cos_turn, 1 / 7, "0x1.3f3a0e28bedd2p-1"),
        (cos_turn, 0.1, "0x1.9e3779b97f4a8p-1"),
    ],
)
def test_bits_to_compare_by_eye(function: Function, x: float, value: str) -> None:
    assert float(function(np.array([x]))[0]).hex() == value
