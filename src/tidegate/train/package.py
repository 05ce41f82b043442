"""From a trained model to a bundle: baseline, test vectors, provenance."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from tidegate import __version__, answers, bundle
from tidegate.bundle import Bundle, baseline
from tidegate.data.profile import LengthProfile
from tidegate.engine import offline, vectors
from tidegate.nn import to_bundle
from tidegate.train.trained import Trained

__all__ = ["make_bundle", "save_bundle"]


def save_bundle(
    trained: Trained,
    path: str | Path,
    *,
    name: str,
    version: str,
    metrics: Mapping[str, Mapping[str, float]] | None = None,
    provenance: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Bundle:
    """Write a trained model as a bundle.

    The test vectors are what the float64 reference makes of drawn events; the engine of this
    machine must reproduce them before anything is written.

    Parameters
    ----------
    trained : Trained
        The model.
    path : str or Path
        Folder of the bundle.
    name, version : str
        Of the model.
    metrics : mapping, optional
        Metrics of more parts, such as ``{"test": {...}}``; those of the training and the validation
        part are added.
    provenance : mapping, optional
        More of where it comes from, JSON-able; versions, seeds, settings, metrics, the profile of
        lengths, what the training part holds and the history are added. ``columns`` (``session``
        and ``time``) tells `tidegate evaluate` how the tables of training call them.
    overwrite : bool
        Whether a bundle that is there already may be replaced.

    Returns
    -------
    Bundle
        As `bundle.load` gives it.

    Raises
    ------
    InputError
        From `bundle.save`.
    EngineError
        ``vectors_mismatch``: the engine of this machine does not reproduce the reference.
    """
    made = make_bundle(trained, name=name, version=version, metrics=metrics, provenance=provenance)
    return bundle.save(made, path, overwrite=overwrite)


def make_bundle(
    trained: Trained,
    *,
    name: str,
    version: str,
    metrics: Mapping[str, Mapping[str, float]] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Bundle:
    """Return the bundle that `save_bundle` writes, not on disk yet; errors are those, too."""
    train, seed, given = trained.train, trained.settings.seed, trained.result.given
    outputs = trained.outputs(train)
    scores = answers.open(trained.task).scores(outputs)
    measured = {"train": trained.evaluate(train, outputs), "valid": trained.evaluate(trained.valid)}
    made = Bundle(
        name=name,
        version=version,
        spec=trained.spec,
        schema=trained.schema,
        task=trained.task,
        weights=to_bundle(trained.network),
        baseline=baseline.measure(
            trained.schema.config, train.columns, train.times, train.offsets, scores
        ),
        vectors={},
        provenance={
            **(provenance or {}),
            "metrics": {**measured, **(metrics or {})},
            "lengths": (given.lengths or LengthProfile.of(train.lengths)).to_dict(),
            "seeds": {"train": seed, "vectors": seed},
            "settings": msgspec.to_builtins({"model": trained.model, "train": trained.settings}),
            "best_epoch": trained.result.best_epoch,
            **_calibration(trained, measured["valid"]),
            "given": {
                "columns": msgspec.to_builtins(given.columns),
                "constant_loss": given.constant_loss,
            },
            "history": msgspec.to_builtins(trained.result.history),
            "versions": {
                "tidegate": __version__,
                "torch": str(torch.__version__),
                "numpy": np.__version__,
                "python": platform.python_version(),
            },
        },
    )
    reference = offline.open(made, "reference", replay=False)
    made = replace(made, vectors=vectors.make(reference, made.baseline, seed))
    offline.open(made)
    return made


def _calibration(trained: Trained, after: Mapping[str, float]) -> dict[str, Any]:
    """Return what calibrating did on the validation part, if it was done."""
    if trained.task.temperature is None:
        return {}
    said: dict[str, float] = {"temperature": trained.task.temperature}
    for name in ("log_loss", "ece"):
        said |= {f"{name}_before": trained.result.metrics[name], f"{name}_after": after[name]}
    return {"calibration": said}
