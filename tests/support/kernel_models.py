"""Random models and rows for tests of the kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from tidegate.spec import CategoryInput, LayerSpec, ModelSpec

CELLS: dict[str, dict[str, Any]] = {
    "gru": {"cell": "gru"},
    "gru_before": {"cell": "gru", "reset_after": False},
    "lstm": {"cell": "lstm"},
    "rnn_tanh": {"cell": "rnn"},
    "rnn_relu": {"cell": "rnn", "activation": "relu"},
}
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "layer_norm": {"layer_norm": True},
    "single_bias": {"bias": "single"},
    "no_bias": {"bias": "none"},
    "residual": {"residual": True},
    "zoneout": {"zoneout": 0.3},
    "learned_initial_state": {"learned_initial_state": True},
}
"""Options of any cell."""
LSTM_OPTIONS: dict[str, dict[str, Any]] = {
    "peephole": {"peephole": True},
    "zoneout_cell": {"zoneout_cell": 0.2},
}
"""Those that only a cell with c has."""


def options_of(cell: str) -> dict[str, dict[str, Any]]:
    """Return the options of one of `CELLS`, by name."""
    return OPTIONS | LSTM_OPTIONS if cell == "lstm" else OPTIONS


GRID = [(cell, option) for cell in CELLS for option in options_of(cell)]
"""Each cell with each of its options."""


def random_weights(spec: ModelSpec, seed: int) -> dict[str, np.ndarray]:
    """Weights of a size that keeps a network lively."""
    rng = np.random.default_rng(seed)
    weights = {}
    for name, shape in spec.weight_shapes().items():
        weights[name] = rng.normal(0.0, 1.0 / np.sqrt(shape[-1]), shape).astype(np.float32)
        if "norm_" in name:
            weights[name] = rng.uniform(0.5, 1.5, shape).astype(np.float32)
        if name.endswith(".initial"):  # a session may well begin outside of -1 to 1
            weights[name] = rng.uniform(-1.2, 1.2, shape).astype(np.float32)
        if ".recurrent" in name:  # a relu network must not grow without bounds
            weights[name] *= np.float32(0.7)
    return weights


def random_rows(spec: ModelSpec, n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, spec.row_size)).astype(np.float32)
    for category in spec.categories:
        rows[:, category.column] = rng.integers(0, category.size, n)
    return rows


def walk(model, spec, rows, slots, states) -> np.ndarray:
    """Step events in order; return the outputs."""
    outputs = np.empty((len(rows), spec.answer_size), dtype=np.float32)
    model.step(rows, np.asarray(slots, dtype=np.int64), states, outputs)
    return outputs


@st.composite
def specs(draw: st.DrawFn, largest: int = 40) -> ModelSpec:
    """Stacks of any cells and options, over numbers and categories."""
    row_size = draw(st.integers(1, 12))
    columns = draw(st.lists(st.integers(0, row_size - 1), unique=True, max_size=3))
    categories = tuple(
        CategoryInput(c, draw(st.integers(1, 9)), draw(st.integers(1, 5))) for c in columns
    )
    layers: list[LayerSpec] = []
    for _ in range(draw(st.integers(1, 3))):
        size = draw(st.integers(1, largest))
        below = layers[-1].hidden_size if layers else row_size
        residual = draw(st.booleans()) and (bool(layers) or not categories)
        cell = draw(st.sampled_from(list(CELLS.values())))
        lstm = cell["cell"] == "lstm"
        shares = st.sampled_from([0.0, 0.0, 0.05, 0.5])
        layers.append(
            LayerSpec(
                **cell,
                hidden_size=below if residual else size,
                bias=draw(st.sampled_from(["double", "single", "none"])),
                layer_norm=draw(st.booleans()),
                residual=residual,
                learned_initial_state=draw(st.booleans()),
                peephole=lstm and draw(st.booleans()),
                zoneout=draw(shares),
                zoneout_cell=draw(shares) if lstm else 0.0,
            )
        )
    return ModelSpec(row_size, tuple(layers), draw(st.integers(1, 4)), categories)
