"""From the head's outputs to the numbers that events are answered with, in float64 NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.spec import LOG_SCALES, ModelSpec, SurprisePart

__all__ = ["numbers"]

Matrix = NDArray[np.float64]


def numbers(spec: ModelSpec, outputs: Matrix, rows: NDArray[np.float32]) -> Matrix:
    """Return what `ModelSpec.readout` says of outputs.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    outputs : float64 array (events, output_size)
        Of the head; with ``surprise`` those before each event.
    rows : float32 array (events, row_size)
        The encoded rows, which ``surprise`` compares.

    Returns
    -------
    float64 array (events, answer_size)
        ``top`` and ``surprise``: NaN, where an output is not finite.

    Examples
    --------
    >>> from tidegate.spec import LayerSpec
    >>> spec = ModelSpec(1, (LayerSpec("gru", 2),), 4, readout="top", top=2)
    >>> numbers(spec, np.array([[0.5, 2.0, -1.0, 2.0]]), np.zeros((1, 1), np.float32))
    array([[2., 2., 1., 3.]])
    """
    if spec.readout == "outputs":
        return outputs
    with np.errstate(invalid="ignore", over="ignore"):
        found = _top(spec.top, outputs) if spec.readout == "top" else _surprise(spec, outputs, rows)
    found[~np.isfinite(outputs).all(axis=1)] = np.nan
    return found


def _top(k: int, outputs: Matrix) -> Matrix:
    kept = outputs.astype(np.float32)  # equal ones are those that are equal as they are given
    order = np.argsort(-kept, axis=1, kind="stable")[:, :k]
    return np.concatenate(
        [np.take_along_axis(kept, order, axis=1), order], axis=1, dtype=np.float64
    )


def _surprise(spec: ModelSpec, outputs: Matrix, rows: NDArray[np.float32]) -> Matrix:
    parts = [_nats(part, outputs, rows.astype(np.float64)) for part in spec.parts]
    return np.stack([np.sum(parts, axis=0), *parts], axis=1)


def _nats(part: SurprisePart, outputs: Matrix, rows: Matrix) -> Matrix:
    x, its = rows[:, part.column], outputs[:, part.output : part.output + part.size]
    if part.kind == "gaussian":
        log_scale = np.clip(its[:, 1], *LOG_SCALES)
        found = ((x - its[:, 0]) / np.exp(log_scale)) ** 2 / 2 + log_scale + np.log(2 * np.pi) / 2
    else:
        found = _of_index(its, x)
    if part.missing is not None:
        found[rows[:, part.missing] == 1] = 0.0
    return np.asarray(found)


def _of_index(logits: Matrix, x: Matrix) -> Matrix:
    """Return each index's surprise; NaN of a number that is none."""
    known = np.isin(x, np.arange(logits.shape[1]))
    index = np.where(known, x, 0).astype(np.int64)[:, None]
    most = logits.max(axis=1, keepdims=True)
    total = most[:, 0] + np.log(np.exp(logits - most).sum(axis=1))
    return np.where(known, total - np.take_along_axis(logits, index, axis=1)[:, 0], np.nan)
