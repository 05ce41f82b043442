"""Answers as columns: of a table, and of lines of JSON."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.core import Piece

__all__ = ["Column", "Piece"]

Column = NDArray[np.float64] | tuple[NDArray[np.int32], tuple[str, ...]]
"""Numbers, or the indices of texts and the texts."""
