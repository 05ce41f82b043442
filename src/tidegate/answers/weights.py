"""Weights of classes in the loss, for those that are rare or dear."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tidegate.errors import InputError

__all__ = ["ClassWeight", "class_weights", "listed"]

MOST_LISTED = 10

ClassWeight = Literal["balanced"] | Mapping[str, float]
"""``"balanced"``, or weights by name."""


def class_weights(
    classes: tuple[str, ...], labels: NDArray[np.float64], wanted: ClassWeight
) -> tuple[float, ...]:
    """Return the weight of each class.

    Parameters
    ----------
    classes : tuple of str
        In the order of the head's outputs.
    labels : float64 array (events,)
        Training labels, as indices of classes; NaN where there is none.
    wanted : "balanced" or mapping of str to float
        ``balanced``: ``labels / (classes * labels of the class)``, so that all classes weigh the
        same together (scikit-learn). A class that a mapping leaves out weighs 1.

    Raises
    ------
    InputError
        ``empty_class``: balanced, and a class never occurs; ``unknown_class``; ``out_of_range``: a
        weight is not a number above 0, or `wanted` is another text.

    Examples
    --------
    >>> class_weights(("fine", "fraud"), np.array([0.0, 0.0, 0.0, 1.0, np.nan]), "balanced")
    (0.6666666666666666, 2.0)
    >>> class_weights(("fine", "fraud"), np.array([]), {"fraud": 20})
    (1.0, 20.0)
    """
    is_allowed = wanted == "balanced" or isinstance(wanted, Mapping)
    if not is_allowed:
        raise InputError(
            "out_of_range",
            f"{wanted!r} is not allowed",
            field="class_weight",
            hint='use "balanced", or a weight for each class',
        )
    if wanted == "balanced":
        known = labels[~np.isnan(labels)].astype(np.int64)
        counts = np.bincount(known, minlength=len(classes))
        if not counts.all():
            raise InputError(
                "empty_class",
                f"no training label is {classes[int(counts.argmin())]!r}",
                field="class_weight",
                hint="balanced weights need a label of each class: leave the class out of "
                "`classes`, or give weights by name",
            )
        return tuple((len(known) / (len(classes) * counts)).tolist())
    for name, weight in wanted.items():
        if name not in classes:
            raise InputError(
                "unknown_class",
                f"{name!r} is not among {listed(classes)}",
                field="class_weight",
                hint="weigh classes that the labels have",
            )
        if not (math.isfinite(weight) and weight > 0):
            raise InputError(
                "out_of_range",
                f"{name!r} weighs {weight!r}",
                field="class_weight",
                hint="use a number above 0; to leave a class out, leave its labels empty",
            )
    return tuple(float(wanted.get(name, 1.0)) for name in classes)


def listed(classes: Sequence[str]) -> str:
    """Return classes as a message has them: the first few, if there are many.

    Examples
    --------
    >>> listed(["no", "yes"])
    "['no', 'yes']"
    >>> listed([str(number) for number in range(1000)])
    "['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'] and 990 more"
    """
    more = len(classes) - MOST_LISTED
    return f"{list(classes[:MOST_LISTED])}" + (f" and {more:,} more" if more > 0 else "")
