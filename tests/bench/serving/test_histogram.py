"""Percentiles of the generator's histogram, beside numpy's."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[3]
SOURCES = ROOT / "benchmarks" / "load"
SHARES = (0.0, 0.01, 0.5, 0.9, 0.99, 0.999, 1.0)

MAIN = """
#include "load.h"
#include <stdio.h>
static struct tg_histogram histogram;
int main(void) {
    static const double shares[] = {%s};
    unsigned long long value;
    while (scanf("%%llu", &value) == 1) tg_record(&histogram, value);
    for (unsigned i = 0; i < sizeof shares / sizeof *shares; i++)
        printf("%%llu\\n", (unsigned long long)tg_percentile(&histogram, shares[i]));
    return 0;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("histogram")
    (folder / "main.c").write_text(MAIN % ", ".join(map(str, SHARES)))
    sources = [folder / "main.c", SOURCES / "histogram.c"]
    flags = ["-std=c11", "-fsanitize=undefined", "-fno-sanitize-recover=all", f"-I{SOURCES}"]
    subprocess.run(["cc", *flags, "-o", folder / "main", *sources], check=True)
    return folder / "main"


def percentiles(program: Path, values: np.ndarray) -> list[int]:
    text = "\n".join(map(str, values.tolist()))
    done = subprocess.run([program], input=text, capture_output=True, text=True, check=True)
    return [int(line) for line in done.stdout.split()]


@pytest.mark.parametrize(
    "values",
    [
        np.array([0]),
        np.array([2**64 - 1], dtype=np.uint64),
        np.arange(1000),
        np.array([5] * 99 + [10**9]),
        np.random.default_rng(0).lognormal(13.0, 2.0, 20_000).astype(np.int64),
        np.random.default_rng(1).integers(0, 2**62, 20_000),
        (1 << np.arange(63)).astype(np.int64),
        (1 << np.arange(63)).astype(np.int64) - 1,
    ],
)
def test_percentiles_are_within_one_per_cent(values, program) -> None:
    exact = np.percentile(values, [100 * share for share in SHARES], method="inverted_cdf")
    found = np.array(percentiles(program, values), dtype=np.float64)
    np.testing.assert_allclose(found, exact.astype(np.float64), rtol=0.01)


def test_none_of_none(program) -> None:
    assert percentiles(program, np.array([], dtype=np.int64)) == [0] * len(SHARES)
