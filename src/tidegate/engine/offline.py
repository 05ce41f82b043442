"""Whole tables through an engine: what streaming would have given, without the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tidegate.engine.engine import Engine
    from tidegate.schema import Columns

__all__ = ["outputs"]


def outputs(
    engine: Engine, columns: Columns, times: NDArray[np.float64], offsets: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Run every session of a table from its beginning.

    Parameters
    ----------
    engine : Engine
        Its sessions are not touched.
    columns : mapping of str to array (events,)
        Typed raw fields.
    times : float64 array (events,)
        Unix seconds.
    offsets : int64 array (sessions + 1,)
        Session i is events ``offsets[i]:offsets[i + 1]``.

    Returns
    -------
    float32 array (events, output_size)
        Equal to the bit to `Engine.step_events`, event by event.

    Raises
    ------
    InputError
        From the schema, naming the field and the row. Nothing was run.
    """
    rows = engine.schema.encode(columns, times, offsets).rows
    results = np.empty((len(rows), engine.spec.output_size), dtype=np.float32)
    alone = engine.fresh()
    for begin, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        results[begin:end] = alone.run("session", rows[begin:end])
        alone.forget("session")
    return results
