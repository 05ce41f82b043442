"""The least time that a step can take on this processor."""

from __future__ import annotations

import math

from tidegate import core
from tidegate.spec import ModelSpec

__all__ = ["ISAS", "multiply_adds", "roof_seconds", "strongest", "weight_bytes"]

ISAS = ("scalar", "neon", "avx2", "avx512", "amx")
"""Every instruction set that a kernel may be built for."""

_BYTES = {"fp32": 4, "bf16": 2, "int8": 1}
_BIASES = ("b_input", "b_recurrent", "bias")


def weight_bytes(spec: ModelSpec, precision: str) -> int:
    """Return the bytes of weights that a step reads at least once: matrices in the precision.

    Biases stay fp32.

    Examples
    --------
    >>> from tidegate.bench.cases import Case
    >>> [weight_bytes(Case("gru", 16, 64).spec, precision) for precision in ("fp32", "int8")]
    [63236, 16964]
    """
    return sum(
        math.prod(shape) * (4 if name.endswith(_BIASES) else _BYTES[precision])
        for name, shape in spec.weight_shapes().items()
    )


def multiply_adds(spec: ModelSpec) -> int:
    """Return the multiply-adds of one session's step: one a weight.

    Examples
    --------
    >>> from tidegate.bench.cases import Case
    >>> multiply_adds(Case("gru", 16, 64).spec) == 3 * 64 * (16 + 64) + 64
    True
    """
    return sum(
        math.prod(shape)
        for name, shape in spec.weight_shapes().items()
        if not name.endswith(_BIASES)
    )


def strongest(precision: str) -> tuple[str, str]:
    """Return this processor's fastest multiply-add that may serve a precision.

    A narrow weight may always be widened and multiplied as fp32: where the processor's own
    instruction is slower than that, or missing, the roof is that of fp32.

    Returns
    -------
    (str, str)
        Instruction set and precision, for `core.peak_gops`.
    """
    ways = [(isa, kind) for isa in ISAS for kind in dict.fromkeys((precision, "fp32"))]
    return max(ways, key=lambda way: core.peak_gops(*way))


def roof_seconds(spec: ModelSpec, batch: int, precision: str, gops: float, gbps: float) -> float:
    """Return the least time of a call: its weights read once, its multiply-adds at the peak.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    batch : int
        Sessions of the call.
    precision : str
        Of the weights.
    gops : float
        Peak, 1e9 operations a second; a multiply-add is two.
    gbps : float
        Bandwidth of the cache that holds the weights, 1e9 bytes a second.

    Examples
    --------
    >>> from tidegate.bench.cases import Case
    >>> spec = Case("gru", 64, 256).spec
    >>> one = roof_seconds(spec, 1, "fp32", gops=200.0, gbps=100.0)  # bandwidth decides
    >>> many = roof_seconds(spec, 256, "fp32", gops=200.0, gbps=100.0)  # arithmetic decides
    >>> f"{one * 1e6:.1f} us, {many * 1e6:.0f} us"
    '9.9 us, 630 us'
    """
    reading = weight_bytes(spec, precision) / (gbps * 1e9)
    arithmetic = 2 * multiply_adds(spec) * batch / (gops * 1e9)
    return max(reading, arithmetic)
