"""The roof: what one thread can do at most."""

from __future__ import annotations

import numpy as np
import pytest

from tidegate import core
from tidegate.bench import roofline
from tidegate.bench.cases import parse


def test_every_peak_is_a_rate_or_absent() -> None:
    assert core.peak_gops("scalar", "fp32") > 0
    for isa in roofline.ISAS:
        for precision in ("fp32", "bf16", "int8"):
            gops = core.peak_gops(isa, precision)
            assert np.isfinite(gops)
            assert gops >= 0
    assert core.peak_gops("mmx", "fp32") == 0
    assert core.peak_gops("scalar", "fp8") == 0


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_the_strongest_way_exists(precision) -> None:
    isa, kind = roofline.strongest(precision)
    assert kind in {precision, "fp32"}
    assert core.peak_gops(isa, kind) > 0


@pytest.mark.parametrize("size", [1, 511, 512, 63_236, 1 << 20])
def test_reading_has_a_bandwidth(size) -> None:
    assert 0 < core.read_gbps(size) < np.inf


@pytest.mark.parametrize("size", [0, (1 << 32) + 1])
def test_a_size_that_cannot_be_read_is_refused(size) -> None:
    with pytest.raises(ValueError, match="size"):
        core.read_gbps(size)


def test_a_larger_batch_raises_the_roof_only_where_arithmetic_decides() -> None:
    spec = parse("gru:64-256@1").spec
    times = [roofline.roof_seconds(spec, n, "fp32", 200.0, 100.0) for n in (1, 2, 256, 512)]
    assert times[0] == times[1] == roofline.weight_bytes(spec, "fp32") / 100e9
    assert times[3] == 2 * times[2]
