"""What is kept of one session."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

__all__ = ["Record", "Status", "StoredAnswer"]

Status = Literal["live", "ended", "deleted", "expired"]


class StoredAnswer(msgspec.Struct, frozen=True):
    """An answer that was given, kept for clients that ask again.

    Parameters
    ----------
    seq : int
        Sequence number of the event that it answers; unsigned, 64 bit.
    payload_hash : int
        `Schema.payload_hash` of that event; unsigned, 64 bit.
    time : float
        Effective time of that event, in unix seconds.
    answer : bytes
        Outputs of the model's head, from which its answer is worded: float32, little-endian.
    model_version : str
        Version of the bundle that gave it, where that is not the record's; else empty.
    reset : bool
        The session began anew with that event, because it belonged to another model.
    """

    seq: int
    payload_hash: int
    time: float
    answer: bytes
    model_version: str = ""
    reset: bool = False


class Record(msgspec.Struct, frozen=True, eq=False):
    """All that is kept of one session.

    Records are compared by their bytes (`encode`), which are the same for equal records.

    Parameters
    ----------
    status : {"live", "ended", "deleted", "expired"}
        Everything but ``"live"`` is a tombstone.
    fingerprint : bytes
        Fingerprint of the bundle that the states belong to; 32 bytes.
    model_version : str
        Version of that bundle.
    seq : int
        Sequence number of the last event; 0 before the first.
    time : float
        Effective time of the last event, in unix seconds.
    created, updated : float
        When the session began and when it last changed, by the server's clock, in unix seconds.
    encoder : float64 array of shape (schema.state_size,)
        The schema's state; NaN marks what is absent.
    hidden : float32 array of shape (spec.state_size,)
        Hidden state: layers in spec order, an LSTM's h and then its c.
    answer_state : bytes
        What the task's answer half remembers.
    answers : tuple of StoredAnswer
        The last answers, oldest first.
    events : tuple of bytes
        The last raw events, oldest first.
    unknown : tuple of (int, bytes)
        Sections that this version does not know: type and data, kept as they are.
    """

    status: Status
    fingerprint: bytes
    model_version: str
    seq: int
    time: float
    created: float
    updated: float
    encoder: NDArray[np.float64]
    hidden: NDArray[np.float32]
    answer_state: bytes = b""
    answers: tuple[StoredAnswer, ...] = ()
    events: tuple[bytes, ...] = ()
    unknown: tuple[tuple[int, bytes], ...] = ()
