"""What a task is told of a table of events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Events"]


class Events(Protocol):
    """Whole sessions, side by side: `tidegate.tables.EventTable` is one."""

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        """Raw fields by name, as `Schema.check_columns` wants them."""

    @property
    def times(self) -> NDArray[np.float64]:
        """Unix seconds, (events,)."""

    @property
    def offsets(self) -> NDArray[np.int64]:
        """Session i is events ``offsets[i]:offsets[i + 1]``."""

    @property
    def labels(self) -> NDArray[Any] | None:
        """The label column, (events,): numbers with NaN, or texts with None; None: it has none."""
