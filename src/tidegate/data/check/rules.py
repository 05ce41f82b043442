"""All rules of a check of data."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from tidegate.data.check import fields, limits, sessions
from tidegate.data.check.parts import Parts
from tidegate.findings import Finding, worst_first

__all__ = ["examine"]


def examine(parts: Parts) -> list[Finding]:
    """Name what would make a result of these parts too good to be true, or say nothing.

    Fields are looked at in the training part alone. Nothing is learned, and nothing is changed.

    Parameters
    ----------
    parts : Parts
        The split, schema and task.

    Returns
    -------
    list of Finding
        Worst first; empty, if there is nothing to say.

    Raises
    ------
    InputError
        From the schema or the labels.

    References
    ----------
    S. Kaufman, S. Rosset, C. Perlich, "Leakage in data mining: formulation, detection, and
    avoidance", 2011.
    """
    return worst_first(finding for rule in RULES for finding in rule(parts))


def labels(parts: Parts) -> Iterator[Finding]:
    """Find classes, or parts, with few labels, and classes that training never saw."""
    if parts.task.name == "regress":
        for name, values in parts.labels.items():
            count = int((~np.isnan(values)).sum())
            if count < limits.FEW_LABELS:
                yield _few(name, f"{count} labels")
        return
    counts = {name: _counts(parts, values) for name, values in parts.labels.items()}
    for name, found in counts.items():
        unseen = (found > 0) & (counts["training"] == 0)
        # One that is not learned is the other finding.
        few = (found < limits.FEW_LABELS) & (counts["training"] > 0)
        if unseen.any():
            yield Finding(
                "unseen_class",
                "warning",
                f"training never saw classes of the {name} part: {_listed(parts, found, unseen)}",
                "move the cuts of [split], or leave these labels empty: a model cannot name them",
            )
        if few.any():
            yield _few(name, f"few labels of {_listed(parts, found, few)}")


def _counts(parts: Parts, labels: NDArray[np.float64]) -> NDArray[np.int64]:
    known = labels[~np.isnan(labels)].astype(np.int64)
    return np.bincount(known, minlength=len(parts.task.classes))


def _few(name: str, what: str) -> Finding:
    return Finding(
        "few_labels",
        "warning",
        f"the {name} part has {what}",
        "give it more sessions: with so few, a metric of this part says little"
        if name != "training"
        else "give it more sessions: so few teach little",
    )


def _listed(parts: Parts, counts: NDArray[np.int64], chosen: NDArray[np.bool_]) -> str:
    places = np.flatnonzero(chosen).tolist()
    shown = ", ".join(f"{parts.task.classes[i]} ({counts[i]})" for i in places[: limits.SHOWN])
    more = len(places) - limits.SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


RULES: tuple[Callable[[Parts], Iterator[Finding]], ...] = (
    sessions.overlaps,
    fields.leaks,
    fields.identifiers,
    sessions.duplicates,
    sessions.reaching,
    labels,
    fields.empty,
)
