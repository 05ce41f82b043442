"""Weights in fewer bits: bf16, and int8 with one scale for each output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LARGEST", "from_bf16", "to_bf16", "to_int8", "widened"]

LARGEST = 127
"""Quantised weights lie in -127 to 127: the range is the same on both sides."""


def to_int8(weight: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Quantise a matrix row by row, to the nearest multiple of a scale of the row's own.

    Parameters
    ----------
    weight : float32 array (outputs, inputs)
        Finite numbers.

    Returns
    -------
    quantised : int8 array (outputs, inputs)
        -127 to 127.
    scale : float32 array (outputs,)
        ``quantised * scale[:, None]`` is the weight, within half a scale. 0 for a row of zeros.

    Examples
    --------
    >>> quantised, scale = to_int8(np.array([[0.5, -1.27], [0.0, 0.0]], dtype=np.float32))
    >>> quantised.tolist(), scale.round(4).tolist()
    ([[50, -127], [0, 0]], [0.009999999776482582, 0.0])
    """
    largest = np.abs(weight).max(axis=1, initial=0.0)
    scale = (largest / np.float32(LARGEST)).astype(np.float32)
    steps = np.divide(weight, scale[:, None], out=np.zeros_like(weight), where=scale[:, None] > 0)
    return np.clip(np.rint(steps), -LARGEST, LARGEST).astype(np.int8), scale


def to_bf16(weight: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Round to bfloat16 (the upper half of a float32), to nearest, ties to even.

    Examples
    --------
    >>> [hex(bits) for bits in to_bf16(np.array([1.0, -2.5], dtype=np.float32))]
    ['0x3f80', '0xc020']
    """
    bits = np.ascontiguousarray(weight, dtype=np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    return rounded.astype(np.uint16)


def from_bf16(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Return the float32 whose upper halves these are, exactly.

    Examples
    --------
    >>> from_bf16(np.array([0x3F80, 0xC020], dtype=np.uint16)).tolist()
    [1.0, -2.5]
    """
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def widened(weights: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float64]]:
    """Return the numbers that a bundle's arrays stand for, in float64, without scales.

    Parameters
    ----------
    weights : mapping of str to array
        float32, bf16 (as uint16), or int8 with ``NAME.scale``.

    Examples
    --------
    >>> halves = np.array([[1, -127]], dtype=np.int8), np.array([0.5], dtype=np.float32)
    >>> widened(dict(zip(["a.input", "a.input.scale"], halves)))
    {'a.input': array([[  0.5, -63.5]])}
    """
    found = {}
    for name, array in weights.items():
        if name.endswith(".scale"):
            continue
        wide = (from_bf16(array) if array.dtype == np.uint16 else array).astype(np.float64)
        scale = weights.get(f"{name}.scale")
        found[name] = wide if scale is None else wide * scale[:, None]
    return found
