"""What the data looked like in training: histograms of each field and of the answers.

Drift detection compares with them, and test vectors are drawn from them.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tidegate.schema import Columns, SchemaConfig

__all__ = ["histogram", "measure"]

_BINS = 20
_CATEGORIES = 1000


def measure(
    config: SchemaConfig,
    columns: Columns,
    times: NDArray[np.float64],
    offsets: NDArray[np.int64],
    scores: NDArray[np.float64],
) -> dict[str, Any]:
    """Measure the distributions of training data.

    Parameters
    ----------
    config : SchemaConfig
        The kinds of the fields.
    columns : mapping of str to array (events,)
        Typed raw fields.
    times : float64 array (events,)
        Unix seconds.
    offsets : int64 array (sessions + 1,)
        Session i is events ``offsets[i]:offsets[i + 1]``.
    scores : float64 array (events,)
        One number an answer, as `tidegate.answers` gives it.

    Returns
    -------
    dict
        JSON-able: ``sessions``, ``events``, ``features`` (one histogram a field, with ``missing``),
        ``time_delta`` (seconds between events of a session) and ``answers``.
    """
    deltas = np.diff(times)
    inside = np.ones(len(times), dtype=bool)
    inside[offsets[:-1][np.diff(offsets) > 0]] = False
    return {
        "sessions": len(offsets) - 1,
        "events": len(times),
        "features": {
            name: _feature(field.kind, columns[name]) for name, field in config.fields.items()
        },
        "time_delta": histogram(np.maximum(deltas[inside[1:]], 0.0)),
        "answers": histogram(scores),
    }


def histogram(values: NDArray[np.float64], bins: int = _BINS) -> dict[str, list[float] | list[int]]:
    """Count values in bins of about equal counts.

    Parameters
    ----------
    values : float64 array
        NaNs are left out.
    bins : int
        At most this many bins; fewer where values repeat.

    Returns
    -------
    dict
        ``edges`` (one more than bins; the first and last are the extremes) and ``counts``. A bin
        holds its left edge; the last one both.

    Examples
    --------
    >>> histogram(np.array([1.0, 2.0, 2.0, 4.0]), bins=2)
    {'edges': [1.0, 2.0, 4.0], 'counts': [1, 3]}
    >>> histogram(np.array([]))
    {'edges': [0.0, 0.0], 'counts': [0]}
    """
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return {"edges": [0.0, 0.0], "counts": [0]}
    edges = np.unique(np.quantile(values, np.linspace(0.0, 1.0, bins + 1)))
    if len(edges) == 1:
        edges = np.repeat(edges, 2)
        return {"edges": edges.tolist(), "counts": [len(values)]}
    counts, _ = np.histogram(values, edges)
    return {"edges": edges.tolist(), "counts": counts.tolist()}


def _feature(kind: str, column: NDArray[Any]) -> dict[str, Any]:
    if kind == "category":
        counts = Counter(column.tolist())
        missing = counts.pop(None, 0)
        # Ties in name order, so that the same data gives the same file.
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        kept = dict(ranked[:_CATEGORIES])
        other = sum(counts.values()) - sum(kept.values())
        return {"kind": kind, "counts": kept, "other": other, "missing": missing}
    missing = int(np.isnan(column).sum())
    if kind == "boolean":
        true = int(np.nansum(column))
        counted = [len(column) - missing - true, true]
        return {"kind": kind, "counts": counted, "missing": missing}
    return {"kind": kind, **histogram(column), "missing": missing}
