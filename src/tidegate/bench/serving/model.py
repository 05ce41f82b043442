"""The model that all servers serve: 16 numbers, a GRU of 64, one number; its weights are random."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tidegate import bundle as bundles
from tidegate.bench.contestant import draw_weights
from tidegate.bundle import Bundle, baseline
from tidegate.engine import Engine, vectors
from tidegate.schema import Field, Schema, SchemaConfig
from tidegate.spec import LayerSpec, ModelSpec, TaskSpec

__all__ = ["FIELDS", "NAME", "make_bundle", "save", "save_weights"]

NAME = "bench"
FIELDS = tuple(f"x{i}" for i in range(16))
_HIDDEN = 64
_EVENTS = 400


def make_bundle() -> Bundle:
    """Make the bundle; not on disk yet.

    Examples
    --------
    >>> made = make_bundle()
    >>> made.spec.row_size, made.spec.state_size
    (16, 64)
    """
    rng = np.random.default_rng(0)
    config = SchemaConfig({name: Field("numeric") for name in FIELDS})
    columns = {name: rng.normal(size=_EVENTS) for name in FIELDS}
    times = np.arange(_EVENTS, dtype=np.float64)
    offsets = np.arange(0, _EVENTS + 1, 20)
    schema = Schema.fit(config, columns, times, offsets)
    task = TaskSpec("regress", "value")
    spec = ModelSpec(schema.width, (LayerSpec("gru", _HIDDEN),), task.output_size)
    weights = draw_weights(spec)
    measured = baseline.measure(config, columns, times, offsets, rng.normal(size=_EVENTS))
    unfinished = Bundle(NAME, "1", spec, schema, task, weights, measured, {})
    made = vectors.make(Engine.open(unfinished, "reference", replay=False), measured, 0)
    return Bundle(NAME, "1", spec, schema, task, weights, measured, made)


def save_weights(path: Path, bundle: Bundle) -> None:
    """Write what the peers need of a bundle, as an ``.npz``."""
    fields = bundle.schema.to_dict()["fields"]
    statistics = [field["statistics"] for field in fields]
    arrays: dict[str, Any] = {
        name: np.array([each[name] for each in statistics], dtype=np.float32)
        for name in ("center", "spread")
    }
    for name, array in bundle.weights.items():
        arrays[name.removeprefix("layers.0.forward.").replace(".", "_")] = array
    np.savez(path, **arrays)


def save(folder: Path) -> Bundle:
    """Write the bundle to a folder that is not there yet."""
    return bundles.save(make_bundle(), folder)
