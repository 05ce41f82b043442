"""Answers as columns of a table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Column"]

Column = NDArray[np.float64] | tuple[NDArray[np.int32], tuple[str, ...]]
"""Numbers, or the indices of texts and the texts."""
