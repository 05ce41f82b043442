"""Sessions that are in two parts, reach into another one, or are there twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from tidegate.data.check import limits
from tidegate.data.check.fields import identifying
from tidegate.data.check.parts import Parts
from tidegate.findings import Finding
from tidegate.tables import naming_rows

__all__ = ["duplicates", "overlaps", "reaching"]


def overlaps(parts: Parts) -> Iterator[Finding]:
    """Find session ids of more than one part."""
    for (one, table), (other, later) in combinations(parts.tables.items(), 2):
        both = set(table.sessions) & set(later.sessions)
        if both:
            shown = ", ".join(map(repr, sorted(both)[: limits.SHOWN]))
            yield Finding(
                "overlapping_sessions",
                "serious",
                f"{len(both):,} of the {len(later.sessions):,} sessions of the {other} part are in "
                f"the {one} part too: {shown}",
                "split whole sessions (data.splits): half a session in training lets the model "
                "remember instead of predict",
            )


def reaching(parts: Parts) -> Iterator[Finding]:
    """Find events of a part that are later than the next part's start."""
    for (one, other), start in zip(pairwise(parts.tables), parts.starts, strict=False):
        table = parts.tables[one]
        behind = table.times >= start
        if not behind.any():
            continue
        sessions = np.repeat(np.arange(len(table.sessions)), table.lengths)
        share = float(behind.mean())
        yield Finding(
            "future_in_training",
            "warning" if share >= limits.BEHIND else "note",
            f"{behind.sum():,} events ({share:.2%}) of the {one} part, of "
            f"{len(np.unique(sessions[behind])):,} sessions that began before, are later than the "
            f"start of the {other} part, by up to {_span(float(table.times.max() - start))}",
            f"leave out the sessions of the {one} part that go on behind the start, or begin the "
            f"{other} part later, where events of one time tell of each other across sessions",
        )


def duplicates(parts: Parts) -> Iterator[Finding]:
    """Find sessions of the same rows and labels under different ids."""
    found = defaultdict(list)
    for key, part, session in _told(parts):
        found[key].append((part, session))
    groups = [group for group in found.values() if len({name for _, name in group}) > 1]
    for name, table in parts.tables.items():
        copies = [names for group in groups if len(names := _of(group, name)) > 1]
        if copies:
            count, of = sum(len(names) - 1 for names in copies), len(table.sessions)
            yield Finding(
                "duplicated_sessions",
                "note",
                f"{count:,} of the {of:,} sessions ({count / of:.1%}) of the {name} part repeat "
                f"another one of it, rows and labels: {_shown(copies)}",
                "see whether the events were read twice under other ids; each copy weighs as much "
                "as the original",
            )
    for one, other in combinations(parts.tables, 2):
        pairs = [
            (originals[0], name)
            for group in groups
            if (originals := _of(group, one))
            for name in _of(group, other)
        ]
        if pairs:
            count = len(parts.tables[other].sessions)
            yield Finding(
                "duplicated_sessions",
                "warning",
                f"{len(pairs):,} of the {count:,} sessions ({len(pairs) / count:.1%}) of the "
                f"{other} part have the rows and labels of one of the {one} part: {_shown(pairs)}",
                "take the copies out before the split: what was learned by heart is measured there",
            )


def _told(parts: Parts) -> Iterator[tuple[bytes, str, str]]:
    """Yield a key of the content, the part and the id of sessions that no chance makes equal."""
    for name, codes, chances, sessions in _codes(parts):
        table, labels = parts.tables[name], parts.labels.get(name)
        _, first = np.unique(sessions * (codes.max() + 1) + codes, return_index=True)
        # Rows that come again in a session may do so because nothing moves: they count once.
        surprise = np.bincount(sessions[first], np.log(chances[first]), len(table.sessions))
        expected = np.log(sum(len(table.sessions) for table in parts.tables.values())) + surprise
        for index in np.flatnonzero(expected < np.log(limits.CHANCE)).tolist():
            events = slice(*table.offsets[index : index + 2].tolist())
            told = b"" if labels is None else labels[events].tobytes()
            yield codes[events].tobytes() + told, name, table.sessions[index]


def _codes(
    parts: Parts,
) -> Iterator[tuple[str, NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]]:
    """Yield, of each part, a number for each row, its share of all rows, and its session.

    A copy under another id may have another serial number: fields that identify are left out.
    """
    names = [parts.schema.columns.index(name) for name in identifying(parts)]
    if len(names) == parts.schema.width:
        return
    rows = []
    for table in parts.tables.values():
        with naming_rows(table.source_rows):
            rows.append(parts.schema.encode(table.columns, table.times, table.offsets).rows)
    whole = np.delete(np.concatenate(rows), names, axis=1) + np.float32(0)  # -0.0 is 0.0
    whole = np.ascontiguousarray(whole)
    keys = whole.view(np.dtype((np.void, whole.itemsize * whole.shape[1]))).reshape(-1)
    _, codes, counts = np.unique(keys, return_inverse=True, return_counts=True)
    codes = codes.reshape(-1).astype(np.int64)
    chances = counts[codes] / len(codes)
    start = 0
    for name, table in parts.tables.items():
        taken = slice(start, start + table.n_events)
        start += table.n_events
        sessions = np.repeat(np.arange(len(table.sessions)), table.lengths)
        yield name, codes[taken], chances[taken], sessions


def _of(group: list[tuple[str, str]], part: str) -> list[str]:
    return [name for of, name in group if of == part]


def _shown(groups: list[list[str]] | list[tuple[str, str]]) -> str:
    return "; ".join(
        " = ".join(map(repr, names[: limits.SHOWN])) for names in groups[: limits.SHOWN]
    )


def _span(seconds: float) -> str:
    """Word a span of time.

    >>> _span(30.0), _span(5400.0), _span(864000.0)
    ('30 s', '1.5 h', '10 days')
    """
    if seconds < 60:
        return f"{seconds:.3g} s"
    if seconds < 3600:
        return f"{seconds / 60:.3g} min"
    return f"{seconds / 3600:.3g} h" if seconds < 172800 else f"{seconds / 86400:,.3g} days"
