"""Language models of random weights, of characters or words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tidegate.bundle import Bundle, baseline
from tidegate.engine import offline, vectors
from tidegate.schema import Field, Schema, SchemaConfig
from tidegate.spec import ItemsSpec, LayerSpec, ModelSpec, TaskSpec

__all__ = ["language_bundle"]


def language_bundle(tokens: Sequence[str], *, field: str = "token", seed: int = 0) -> Bundle:
    """Return a bundle that knows some tokens, the most frequent first."""
    given = [token for at, token in enumerate(tokens) for _ in range(len(tokens) - at)]
    columns = {field: np.array(given, dtype=object)}
    times, offsets = np.zeros(len(given)), np.array([0, len(given)])
    config = SchemaConfig({field: Field("category", embedding_size=6)})
    schema = Schema.fit(config, columns, times, offsets)
    task = TaskSpec("language", field, classes=("", *tokens), items=ItemsSpec(top=3))
    spec = ModelSpec(schema.width, (LayerSpec("gru", 8),), task.output_size, schema.categories)
    rng = np.random.default_rng(seed)
    weights = {
        name: rng.normal(0.0, 0.5, shape).astype(np.float32)
        for name, shape in spec.weight_shapes().items()
    }
    measured = baseline.measure(config, columns, times, offsets, rng.random(len(given)))
    made = Bundle("texts", "1", spec, schema, task, weights, measured, {})
    reference = offline.open(made, "reference", replay=False)
    return Bundle(
        "texts",
        "1",
        spec,
        schema,
        task,
        weights,
        measured,
        vectors.make(reference, measured, seed),
        provenance={"columns": {"session": "text"}},
    )
