"""How far each cell's states are from the float64 equations, in each precision.

    .venv/bin/python benchmarks/accuracy.py

Random networks of 16 numbers and two layers of 16, 64 or 100 units, 100 steps of 32 sessions.
Weights are normal with variance 1 / inputs, inputs standard normal. For fp32, the largest
difference of any number of any state after one step from equal states, and after 100 in which both
sides carry their own; for bf16 and int8, the root mean square of the latter. Numbers beyond 1 (an
LSTM's c) count relative to their size. Prints Markdown.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate import core
from tidegate.engine.reference import ReferenceModel
from tidegate.spec import LayerSpec, ModelSpec

CELLS: dict[str, dict[str, Any]] = {
    "GRU": {"cell": "gru"},
    "GRU, reset before": {"cell": "gru", "reset_after": False},
    "GRU, LayerNorm": {"cell": "gru", "layer_norm": True},
    "LSTM (h and c)": {"cell": "lstm"},
    "LSTM, LayerNorm": {"cell": "lstm", "layer_norm": True},
    "RNN, tanh": {"cell": "rnn"},
}
SIZES, STEPS, SESSIONS = (16, 64, 100), 100, 32


def main() -> None:
    """Measure and print a table."""
    print("| cell | fp32, one step | fp32, 100 steps | bf16, typical | int8, typical |")
    print("| --- | --: | --: | --: | --: |")
    for name, options in CELLS.items():
        one = max(float(difference(options, size, "fp32", False).max()) for size in SIZES)
        many = max(float(difference(options, size, "fp32", True)[-1].max()) for size in SIZES)
        typical = [
            np.sqrt(np.mean([np.mean(difference(options, s, p, True) ** 2) for s in SIZES]))
            for p in ("bf16", "int8")
        ]
        print(f"| {name} | {one:.1e} | {many:.1e} | {typical[0]:.4f} | {typical[1]:.4f} |")


def difference(
    options: dict[str, Any], size: int, precision: core.Precision, carried: bool
) -> NDArray[np.float64]:
    """Step one network on both sides; return how far apart states are, (steps, sessions, state)."""
    rng = np.random.default_rng(size)
    layer = LayerSpec(**options, hidden_size=size)
    spec = ModelSpec(16, (layer, layer), 1)
    weights = {}
    for name, shape in spec.weight_shapes().items():
        weights[name] = rng.normal(0, shape[-1] ** -0.5, shape).astype(np.float32)
        if "norm_" in name:
            weights[name] = np.ones(shape, dtype=np.float32)
    models = core.pack(spec, weights, precision), ReferenceModel(spec, weights)
    states = [np.zeros((SESSIONS, spec.state_size), dtype=np.float32) for _ in models]
    outputs, slots = np.empty((SESSIONS, 1), dtype=np.float32), np.arange(SESSIONS)
    apart = []
    for _ in range(STEPS):
        rows = rng.normal(size=(SESSIONS, 16)).astype(np.float32)
        for model, state in zip(models, states, strict=True):
            model.step(rows, slots, state, outputs)
        truth = states[1].astype(np.float64)
        apart.append(np.abs(states[0] - truth) / np.maximum(1.0, np.abs(truth)))
        if not carried:
            states[0][:] = states[1]
    return np.stack(apart)


if __name__ == "__main__":
    main()
