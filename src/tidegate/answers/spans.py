"""Entities in labels of the kind ``B-PER``, ``I-PER``, ``O``, and how many of them were found.

``B-`` begins an entity, ``I-`` goes on with it, ``O`` is outside of all. A model answers event by
event and may well say ``I-PER`` where nothing has begun. Read leniently, as CoNLL's scoring script
and seqeval's default do, such a label begins an entity; read strictly (IOB2), it is none.

References
----------
L. Ramshaw, M. Marcus, "Text chunking using transformation-based learning", 1995. E. Tjong Kim Sang,
F. De Meulder, "Introduction to the CoNLL-2003 shared task", 2003 (entities count as found where
type and both ends are right).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bio", "Span", "decode", "entity_metrics", "is_bio"]

_OUTSIDE, _BEGIN, _INSIDE = 0, 1, 2


class Span(NamedTuple):
    """An entity: its type, its first event and the one behind its last."""

    type: str
    start: int
    stop: int


def is_bio(classes: Sequence[str]) -> bool:
    """Say whether labels tell entities: each is ``O``, ``B-type`` or ``I-type``, one begins.

    Examples
    --------
    >>> is_bio(("O", "B-PER", "I-PER")), is_bio(("O", "NOUN")), is_bio(("O",))
    (True, False, False)
    """
    begins = [label for label in classes if label[:2] == "B-"]
    return bool(begins) and all(
        label == "O" or (label[:2] in ("B-", "I-") and len(label) > 2) for label in classes
    )


@dataclass(frozen=True)
class Bio:
    """What each class means, by its index.

    Parameters
    ----------
    types : tuple of str
        Types of entities, sorted.
    prefix : int64 array (classes,)
        0 outside, 1 begins, 2 goes on.
    type : int64 array (classes,)
        Index into `types`; -1 outside.
    """

    types: tuple[str, ...]
    prefix: NDArray[np.int64]
    type: NDArray[np.int64]

    @classmethod
    def of(cls, classes: Sequence[str]) -> Bio:
        """Read the classes' names; see `is_bio`."""
        types = tuple(sorted({label[2:] for label in classes if label != "O"}))
        prefixes = {"O": _OUTSIDE, "B": _BEGIN, "I": _INSIDE}
        return cls(
            types,
            np.array([prefixes[label[0]] for label in classes], np.int64),
            np.array([-1 if c == "O" else types.index(c[2:]) for c in classes], np.int64),
        )

    def spans(
        self, labels: NDArray[np.int64], offsets: NDArray[np.int64], *, strict: bool = False
    ) -> NDArray[np.int64]:
        """Return the entities of some sessions, (entities, 3): index of the type, start, stop.

        Parameters
        ----------
        labels : int64 array (events,)
            Indices of classes.
        offsets : int64 array (sessions + 1,)
            Session i is events ``offsets[i]:offsets[i + 1]``; no entity goes over its ends.
        strict : bool
            Only ``B-`` begins an entity.
        """
        prefix, kind = self.prefix[labels], self.type[labels]
        # An entity's first event: one that begins, or goes on with what was not there.
        goes_on = np.zeros(len(labels), bool)
        goes_on[1:] = (prefix[1:] == _INSIDE) & (kind[1:] == kind[:-1])
        goes_on[offsets[:-1][np.diff(offsets) > 0]] = False
        inside = prefix != _OUTSIDE
        starts = np.flatnonzero(inside & ~goes_on)
        # It ends before the next event that does not go on with it.
        breaks = np.append(np.flatnonzero(~goes_on), len(labels))
        stops = breaks[np.searchsorted(breaks, starts, side="right")]
        found = np.stack([kind[starts], starts, stops], axis=1)
        return found[prefix[starts] == _BEGIN] if strict else found


def decode(labels: Sequence[str], *, strict: bool = False) -> list[Span]:
    """Return the entities of one session's labels.

    Examples
    --------
    >>> decode(["B-PER", "I-PER", "O", "I-LOC"])
    [Span(type='PER', start=0, stop=2), Span(type='LOC', start=3, stop=4)]
    >>> decode(["B-PER", "I-PER", "O", "I-LOC"], strict=True)
    [Span(type='PER', start=0, stop=2)]
    """
    classes = sorted(set(labels))
    bio, index = Bio.of(classes), {name: at for at, name in enumerate(classes)}
    indices = np.array([index[label] for label in labels], np.int64)
    found = bio.spans(indices, np.array([0, len(labels)]), strict=strict)
    return [Span(bio.types[kind], start, stop) for kind, start, stop in found.tolist()]


def entity_metrics(
    found: NDArray[np.int64], truth: NDArray[np.int64], types: Sequence[str]
) -> dict[str, float]:
    """Measure entities: found are those whose type, start and stop are all right.

    Parameters
    ----------
    found, truth : int64 array (entities, 3)
        From `Bio.spans`, of the same events.
    types : sequence of str
        From `Bio`.

    Returns
    -------
    dict of str to float
        ``entities`` (of the truth), ``precision``, ``recall`` and ``f1`` over all types, then
        ``f1 TYPE`` of each that occurs in either. A share of nothing is 0, as in seqeval.

    Examples
    --------
    >>> bio = Bio.of(("O", "B-PER", "I-PER"))
    >>> ends = np.array([0, 4])
    >>> truth = bio.spans(np.array([1, 2, 0, 1]), ends)
    >>> entity_metrics(bio.spans(np.array([1, 2, 0, 0]), ends), truth, bio.types)
    {'entities': 2, 'precision': 1.0, 'recall': 0.5, 'f1': 0.6666666666666666, 'f1 PER': 0.6666666666666666}
    """  # noqa: E501 - the doctest shows the whole answer
    said, real = (np.bincount(each[:, 0], minlength=len(types)) for each in (found, truth))
    hits = {*map(tuple, found.tolist())} & {*map(tuple, truth.tolist())}
    right = np.bincount(np.array([hit[0] for hit in hits], np.int64), minlength=len(types))
    measured: dict[str, float] = {
        "entities": len(truth),
        "precision": _share(right.sum(), said.sum()),
        "recall": _share(right.sum(), real.sum()),
        "f1": _share(2 * right.sum(), said.sum() + real.sum()),
    }
    for at, name in enumerate(types):
        if said[at] + real[at]:
            measured[f"f1 {name}"] = _share(2 * right[at], said[at] + real[at])
    return measured


def _share(part: np.int64, whole: np.int64) -> float:
    return float(part / whole) if whole else 0.0
