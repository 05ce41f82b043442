"""Batches that were not learned from, because their loss or gradient is not finite."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import torch

from tidegate import files
from tidegate.data.batches import Batch

__all__ = ["KEPT_BATCHES", "KEPT_SESSIONS", "BadBatch", "Suspect", "suspects", "write"]

KEPT_BATCHES = 20
"""Batches that are described; later ones are counted."""

KEPT_SESSIONS = 32
"""Sessions of a batch that are described, the most suspect first."""


class Suspect(msgspec.Struct, frozen=True):
    """A session of such a batch.

    Parameters
    ----------
    index : int
        Among the sessions of the training part, from 0.
    id : str or None
        Its id, where it is known.
    events : int
        Its events in the batch.
    finite_inputs, finite_outputs : bool
        Whether its encoded rows, and what the network made of them, are all finite.
    event, column : int
        Where its encoded rows of the batch are largest, or first not finite, from 0.
    largest : float or None
        The absolute value there; None if it is not finite.
    """

    index: int
    id: str | None
    events: int
    finite_inputs: bool
    finite_outputs: bool
    event: int
    column: int
    largest: float | None


class BadBatch(msgspec.Struct, frozen=True):
    """A batch that was skipped.

    Parameters
    ----------
    epoch, batch : int
        Which it was, from 1.
    what : {"loss", "gradient"}
        What was not finite.
    learning_rate : float
        Of its step.
    sessions : int
        How many it held.
    suspects : tuple of Suspect
        Those to look at first, `KEPT_SESSIONS` at most.
    """

    epoch: int
    batch: int
    what: Literal["loss", "gradient"]
    learning_rate: float
    sessions: int
    suspects: tuple[Suspect, ...]


def suspects(batch: Batch, outputs: torch.Tensor, ids: Sequence[str] = ()) -> tuple[Suspect, ...]:
    """Describe a batch's sessions: first those that are not finite, then by their largest value.

    Parameters
    ----------
    batch : Batch
        The batch.
    outputs : tensor (B, T, output_size)
        What the network made of it.
    ids : sequence of str
        Of all sessions of the training part; may be left out.
    """
    finite_outputs = np.isfinite(outputs.detach().float().cpu().numpy()).all(axis=-1)
    found = []
    for place, (index, events) in enumerate(
        zip(batch.session_indices.tolist(), batch.lengths.tolist(), strict=True)
    ):
        rows = np.abs(batch.rows[place, :events])
        ranks = np.where(np.isfinite(rows), rows, np.inf)
        event, column = divmod(int(ranks.argmax()), rows.shape[1])
        largest = float(ranks[event, column])
        finite = bool(np.isfinite(largest))
        found.append(
            Suspect(
                index=index,
                id=ids[index] if len(ids) else None,
                events=events,
                finite_inputs=finite,
                finite_outputs=bool(finite_outputs[place, :events].all()),
                event=int(batch.before[place]) + event,
                column=column,
                largest=largest if finite else None,
            )
        )
    found.sort(key=lambda one: (one.finite_inputs, one.finite_outputs, -(one.largest or 0.0)))
    return tuple(found[:KEPT_SESSIONS])


def write(batches: Sequence[BadBatch], path: Path) -> None:
    """Write descriptions as a JSON list, whole or not at all.

    Raises
    ------
    InputError
        ``cannot_write``.
    """
    files.write_file(path, msgspec.json.format(msgspec.json.encode(batches), indent=1))
