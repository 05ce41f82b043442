"""A trained model as features: the same layers, which answer with their state."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np

from tidegate import answers
from tidegate.bundle import Bundle, baseline
from tidegate.engine import offline, vectors
from tidegate.errors import InputError
from tidegate.spec import TaskSpec

__all__ = ["embedder", "headless"]


def embedder(bundle: Bundle, *, name: str | None = None) -> Bundle:
    """Put an identity in the place of a bundle's head, so that it answers with what the head reads.

    Parameters
    ----------
    bundle : Bundle
        Of any task, with fp32 weights.
    name : str, optional
        Of the new bundle; by default that of `bundle` with ``-state`` behind it.

    Returns
    -------
    Bundle
        Of the task ``embed``, not on disk yet: what goes up from the last layer after each event,
        as float32, of two directions the forward one's first. ``provenance["embedded"]`` says what
        it was made from.

    Raises
    ------
    InputError
        ``compressed``: the bundle's weights are not fp32, and would round the state.
    """
    if bundle.precision != "fp32":
        raise InputError(
            "compressed",
            f"{bundle.name} {bundle.version} is {bundle.precision}: its head would round the state",
            field="bundle",
            hint="use the bundle that it was made from",
        )
    made = headless(bundle, name=name)
    reference = offline.open(made, "reference", replay=False)
    found = vectors.record(reference, bundle.vectors["events"])
    # Of real events there are none here: the test vectors' stand for them.
    scores = answers.open(made.task).scores(found["outputs"])
    seen = {**bundle.baseline, "answers": baseline.histogram(scores)}
    made = replace(made, vectors=found, baseline=seen)
    offline.open(made)
    return made


def headless(bundle: Bundle, *, name: str | None = None) -> Bundle:
    """Return what `embedder` does, without a baseline and test vectors of its own.

    For a bundle that is run at once, here, and by nobody else.
    """
    size = bundle.spec.layers[-1].output_size
    kept = ("metrics", "history", "embedded")
    return replace(
        bundle,
        name=name or f"{bundle.name}-state",
        spec=msgspec.structs.replace(
            bundle.spec, output_size=size, readout="outputs", top=0, parts=(), skip=False
        ),
        task=TaskSpec("embed", "state", classes=tuple(f"h{at}" for at in range(size))),
        weights={
            **{key: array for key, array in bundle.weights.items() if key[:5] != "head."},
            "head.weight": np.eye(size, dtype=np.float32),
            "head.bias": np.zeros(size, dtype=np.float32),
        },
        provenance={
            **{key: value for key, value in bundle.provenance.items() if key not in kept},
            "embedded": {
                "name": bundle.name,
                "version": bundle.version,
                "fingerprint": bundle.fingerprint.hex(),
            },
        },
        fingerprint=b"",
        path=None,
    )
