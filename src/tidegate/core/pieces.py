"""Rows of text in the making."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Piece"]

Piece = (
    bytes
    | NDArray[np.float64]
    | NDArray[np.int64]
    | tuple[NDArray[np.int32], list[bytes]]
    | tuple[NDArray[np.int32], NDArray[np.uint8]]
)
"""The same bytes in each row; a number each; codes and the words for which they stand; or offsets
and the bytes of texts, which are written as they are."""
