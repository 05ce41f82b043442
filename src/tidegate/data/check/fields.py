"""What fields give away, and fields that say nothing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tidegate.data.check import limits
from tidegate.data.check.measures import enough, explained
from tidegate.data.check.parts import Parts
from tidegate.findings import Finding

__all__ = ["empty", "identifiers", "identifying", "leaks"]

Numbers = NDArray[np.float64]


def leaks(parts: Parts) -> Iterator[Finding]:
    """Find fields that tell the label of their own event, or a later one."""
    if not parts.labels:
        return
    for name in parts.schema.names:
        found = _target(parts, name) or _future(parts, name)
        if found is not None:
            yield found


def identifiers(parts: Parts) -> Iterator[Finding]:
    """Find categories that name the session or the event."""
    for name, (share, values) in identifying(parts).items():
        yield Finding(
            "identifier_among_fields",
            "warning",
            f"{share:.1%} of the training events have a {name} that occurs in no other session "
            f"({values:,} values, {len(parts.train.sessions):,} sessions)",
            f"leave {name} out of [schema.fields]: a model learns it by heart, and never sees "
            "these values again",
        )


def identifying(parts: Parts) -> dict[str, tuple[float, int]]:
    """Return which categories do, with the share of such events and how many values there are."""
    found = {}
    count = len(parts.train.sessions)
    for name in parts.schema.names:
        values = parts.field(name)
        given = ~np.isnan(values)
        category = parts.schema.config.fields[name].kind == "category"
        if not category or not given.any() or count < limits.EVENTS:
            continue
        codes = values[given].astype(np.int64)
        pairs = np.unique(codes * count + parts.sessions[given])
        alone = np.bincount(pairs // count) == 1
        share = float(alone[codes].mean())
        if share >= limits.IDENTIFIES and len(alone) >= limits.EVENTS:
            found[name] = (share, len(alone))
    return found


def empty(parts: Parts) -> Iterator[Finding]:
    """Find fields of the training part that are always the same, or mostly missing."""
    for name in parts.schema.names:
        values = parts.field(name)
        given = values[~np.isnan(values)]
        missing = 1 - len(given) / len(values)
        if missing >= limits.MISSING:
            yield Finding(
                "mostly_missing",
                "note",
                f"{name} is missing in {missing:.1%} of {len(values):,} training events",
                f"see that {name} is read from the right column, or leave it out",
            )
        elif missing == 0 and len(np.unique(given)) == 1:  # that it is missing would tell something
            yield Finding(
                "constant_field",
                "note",
                f"{name} has one value in all {len(given):,} training events",
                f"leave {name} out: nothing can be learned from it",
            )


def _readings(parts: Parts, name: str) -> Iterator[tuple[str, Numbers]]:
    """Yield a field's values, and whether they are there, with what to call them."""
    values = parts.field(name)
    yield name, values
    missing = np.isnan(values)
    if missing.any():
        yield f"{name} (whether it is missing)", missing.astype(np.float64)


def _target(parts: Parts, name: str) -> Finding | None:
    """Compare a field with the label of its own event."""
    labels = parts.labels["training"]
    for what, values in _readings(parts, name):
        known = ~np.isnan(labels) & ~np.isnan(values)
        share = explained(
            labels[known],
            values[known],
            parts.sessions[known],
            classes=parts.task.name in ("classify", "tag"),
            ordered=parts.schema.config.fields[name].kind != "category",
        )
        if share >= limits.EXPLAINED:
            return Finding(
                "target_among_fields",
                "serious",
                f"{what} tells {share:.1%} of the labels ({parts.task.label}) that differ from the "
                f"most common one, by itself, in the {known.sum():,} training events with both",
                f"leave {name} out of [schema.fields], unless it is truly known when the answer is "
                "wanted: then a rule does, and no model is needed",
            )
    return None


def _future(parts: Parts, name: str) -> Finding | None:
    """Compare a field with what comes later, where earlier labels do not tell that."""
    values = parts.field(name)
    evidence = (
        _tells_next(parts, name, values)
        or _tells_end(parts, name, values)
        or _tells_length(parts, name, values)
    )
    if evidence is None:
        return None
    return Finding(
        "future_field",
        "warning",
        f"{name} {evidence}",
        f"see when {name} is written: if later than its event, leave it out of [schema.fields]; if "
        "the label truly follows from it, all is well",
    )


def _tells_next(parts: Parts, name: str, values: Numbers) -> str | None:
    """Compare a field with the label of the session's next event that has one."""
    labels = parts.labels["training"]
    labelled = np.flatnonzero(~np.isnan(labels))
    now, later = labelled[:-1], labelled[1:]
    known = (parts.sessions[now] == parts.sessions[later]) & ~np.isnan(values[now])
    now, later = now[known], later[known]
    share = _beyond(parts, name, labels[later], values[now], labels[now], parts.sessions[now])
    if share is None:
        return None
    return (
        f"tells {share:.1%} of the labels of the next event with one that differ from the most "
        f"common one, in {len(now):,} pairs of training events; the label before does not tell them"
    )


def _tells_end(parts: Parts, name: str, values: Numbers) -> str | None:
    """Compare a field that stays the same throughout a session with its last label."""
    kept = _kept(parts, values)
    labels = parts.labels["training"]
    labelled = np.flatnonzero(~np.isnan(labels))
    if kept is None or len(labelled) == 0:
        return None
    of, first, counts = np.unique(parts.sessions[labelled], return_index=True, return_counts=True)
    begin, end = labels[labelled[first]], labels[labelled[first + counts - 1]]
    known = (counts > 1) & ~np.isnan(kept[of])
    share = _beyond(parts, name, end[known], kept[of][known], begin[known], of[known])
    if share is None:
        return None
    return (
        "is the same throughout a session, and at its first event tells "
        f"{share:.1%} of the last labels that differ from the most common one, of {known.sum():,} "
        "training sessions; their first labels do not tell them"
    )


def _tells_length(parts: Parts, name: str, values: Numbers) -> str | None:
    """Compare a number that stays the same throughout a session with how many events it has."""
    kept = _kept(parts, values)
    lengths = parts.train.lengths
    number = parts.schema.config.fields[name].kind == "numeric"
    if (
        kept is None
        or not number
        or not enough(lengths.astype(np.float64), np.arange(len(lengths)))
    ):
        return None
    share = float((kept == lengths).mean())
    if share < limits.EXPLAINED:
        return None
    return f"is how many events the session will have had, in {share:.1%} of {len(lengths):,}"


def _beyond(
    parts: Parts, name: str, target: Numbers, given: Numbers, last: Numbers, of: NDArray[np.int64]
) -> float | None:
    """Return how much a field tells of a later label, if far more than an earlier one does."""
    changed = target != last
    if not enough(target, of) or changed.sum() < limits.EVENTS:
        return None
    if len(np.unique(of[changed])) < limits.SESSIONS:
        return None
    classes = parts.task.name in ("classify", "tag")
    ordered = parts.schema.config.fields[name].kind != "category"
    share = explained(target, given, of, classes=classes, ordered=ordered)
    if share < limits.EXPLAINED:
        return None
    usual = explained(target, last, of, classes=classes, ordered=not classes)
    return share if 1 - share <= limits.BETTER * (1 - usual) else None


def _kept(parts: Parts, values: Numbers) -> Numbers | None:
    """Return each session's value of a field that never changes within one; None: it does."""
    first = values[parts.train.offsets[:-1]]
    same = np.isnan(values) | (values == first[parts.sessions])
    return first if same.all() and (parts.train.lengths > 1).any() else None
