"""The facts of the machine that a timing holds for."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tidegate import __version__, core
from tidegate.bench import ours
from tidegate.bench.results import Machine
from tidegate.bench.roofline import ISAS

__all__ = ["describe", "stolen_seconds"]

_FLAGS = (
    *("avx2", "fma", "avx_vnni"),
    *("avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_tile", "amx_int8", "amx_bf16"),
    *("asimd", "asimddp", "bf16", "i8mm", "sve"),
)
_SIZES = tuple(1 << power for power in range(14, 27, 2))
_PACKAGES = ("numpy", "torch", "onnxruntime")


def describe(packages: Sequence[str] = _PACKAGES) -> Machine:
    """Look the machine up and measure what one thread can do at most (about a second).

    Parameters
    ----------
    packages : sequence of str
        Whose versions matter.
    """
    facts = _cpuinfo()
    flags = set(facts.get("flags", facts.get("Features", "")).split())
    peaks = {
        isa: {
            precision: round(gops, 1)
            for precision in ours.PRECISIONS
            if (gops := core.peak_gops(isa, precision)) > 0
        }
        for isa in ISAS
    }
    return Machine(
        processor=facts.get("model name") or platform.processor() or "unknown",
        architecture=platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        system=f"{platform.system()} {platform.release()}",
        isas=core.isas(),
        flags=[flag for flag in _FLAGS if flag in flags],
        peak_gops={isa: found for isa, found in peaks.items() if found},
        read_gbps={size: round(core.read_gbps(size), 1) for size in _SIZES},
        versions={
            "tidegate": __version__,
            "python": platform.python_version(),
            **{package: importlib.metadata.version(package) for package in packages},
        },
        date=datetime.now(UTC).date().isoformat(),
    )


def _cpuinfo() -> dict[str, str]:
    """Return what Linux says of the first processor."""
    facts = {}
    for line in Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines():
        name, _, value = line.partition(":")
        facts[name.strip()] = value.strip()
    return facts


def stolen_seconds() -> float:
    """Return the CPU seconds that the host of this virtual machine has taken from it so far."""
    try:
        words = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    except OSError:  # not Linux
        return 0.0
    return int(words[8]) / os.sysconf("SC_CLK_TCK") if len(words) > 8 else 0.0
