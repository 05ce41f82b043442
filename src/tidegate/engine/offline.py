"""Whole tables through a bundle: what streaming would have given, without the server."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tidegate.bundle import Bundle
from tidegate.engine import refusals, vectors
from tidegate.engine.engine import Backend, Engine
from tidegate.engine.whole import WholeSessions
from tidegate.schema import Columns

__all__ = ["Scorer", "open", "outputs"]

Scorer = Engine | WholeSessions
"""What scores tables: an engine, or, for a model that cannot stream, whole sessions."""


def open(bundle: Bundle, backend: Backend = "native", *, replay: bool = True) -> Scorer:  # noqa: A001
    """Build what scores tables with a bundle, also with one that cannot stream.

    Parameters
    ----------
    bundle : Bundle
        From `tidegate.bundle.load`.
    backend : {"native", "reference"}
        The C core in the bundle's precision, or float64 NumPy.
    replay : bool
        Whether to replay the test vectors.

    Returns
    -------
    Engine or WholeSessions
        An engine, if `ModelSpec.streams`.

    Raises
    ------
    EngineError
        ``bad_weights`` or ``vectors_mismatch``; see `Engine.open`.
    """
    if bundle.spec.streams:
        return Engine.open(bundle, backend, replay=replay)
    refusals.check_backend(backend)
    precision = bundle.precision if backend == "native" else None
    scorer = WholeSessions(bundle.spec, bundle.schema, bundle.weights, precision)
    if replay:
        tolerance = vectors.tolerance_of(bundle.precision, backend, bundle.weights)
        vectors.replay(scorer, bundle.vectors, tolerance)
    return scorer


def outputs(
    scorer: Scorer, columns: Columns, times: NDArray[np.float64], offsets: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Run every session of a table from its beginning.

    Parameters
    ----------
    scorer : Engine or WholeSessions
        From `open`, say. The sessions of an engine are not touched.
    columns : mapping of str to array (events,)
        Typed raw fields.
    times : float64 array (events,)
        Unix seconds.
    offsets : int64 array (sessions + 1,)
        Session i is events ``offsets[i]:offsets[i + 1]``.

    Returns
    -------
    float32 array (events, answer_size)
        Of an engine equal to the bit to `Engine.step_events`, event by event.

    Raises
    ------
    InputError
        From the schema, naming the field and the row. Nothing was run.
    """
    rows = scorer.schema.encode(columns, times, offsets).rows
    results = np.empty((len(rows), scorer.spec.answer_size), dtype=np.float32)
    run = scorer.run if isinstance(scorer, WholeSessions) else _alone(scorer)
    for begin, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        results[begin:end] = run(rows[begin:end])
    return results


def _alone(engine: Engine) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Return what runs a session that nothing came before."""
    fresh = engine.fresh()

    def run(rows: NDArray[np.float32]) -> NDArray[np.float32]:
        found = fresh.run("session", rows)
        fresh.forget("session")
        return found

    return run
