"""What goes in and out of an engine besides rows and outputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.errors import InputError

__all__ = ["SessionState", "Stepped"]


@dataclass(frozen=True)
class SessionState:
    """What an engine remembers of one session.

    Parameters
    ----------
    encoder : float64 array (schema.state_size,)
        Last values and last time; NaN where there is none yet.
    hidden : float32 array (spec.state_size,)
        Layers in order; an LSTM's h, then its c.
    """

    encoder: NDArray[np.float64]
    hidden: NDArray[np.float32]


@dataclass(frozen=True)
class Stepped:
    """Outputs of raw events, and the events that were refused.

    Parameters
    ----------
    outputs : float32 array (events, answer_size)
        NaN in the rows of refused events.
    errors : dict of int to InputError
        Refused events by position. Their sessions' memory is as it was before them.
    """

    outputs: NDArray[np.float32]
    errors: dict[int, InputError]
