"""Write the cases that replay.c replays: models and sequences, and what this machine makes of them.

Usage: ``python tests/native/make_cases.py FILE``
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from kernel_models import CELLS, options_of, random_rows, random_weights, walk
from readouts import EVERY, READOUTS, with_readout
from train_cases import RESULTS, Sequence, sequences

from tidegate import core
from tidegate.spec import CategoryInput, LayerSpec, ModelSpec

MAGIC = b"replay3\0"
PRECISIONS = ("fp32", "bf16", "int8")
HEADS = ("linear", "sigmoid", "softmax")
KERNELS = ("gru", "gru_before", "lstm", "rnn_tanh", "rnn_relu")  # as in tg_cell
SIZES = ((1, 1), (3, 16), (18, 37), (33, 64), (64, 91))
"""Inputs and hidden units: whole vectors, and one more or less."""


@dataclass
class Written:
    """Bytes of the file: 64-bit numbers, and arrays behind their length in bytes."""

    parts: list[bytes] = field(default_factory=list)

    def number(self, value: int) -> None:
        self.parts.append(int(value).to_bytes(8, "little"))

    def array(self, value: Any) -> None:
        content = value if isinstance(value, bytes) else np.ascontiguousarray(value).tobytes()
        self.number(len(content))
        self.parts.append(content)


class RecordedModel:
    """Takes what `pack` gives the core's model, and writes it down."""

    def __init__(self, precision, row_size, numbers, fast_activations, threads) -> None:
        self.precision = precision
        self.head = Written()
        self.head.number(PRECISIONS.index(precision))
        self.head.number(fast_activations)
        self.head.number(row_size)
        self.head.array(np.array(numbers, dtype=np.uint64))
        self.below = len(numbers)
        self.layers = Written()
        self.n_layers = 0
        self.categories = Written()
        self.n_categories = 0

    def add_layer(
        self,
        cell,
        hidden_size,
        residual,
        *,
        candidate=None,
        norms=None,
        zoneout=0.0,
        zoneout_cell=0.0,
        peephole=None,
        initial=None,
        **products,
    ) -> None:
        # `initial` is no matter of the kernels: a case has its states before.
        self.n_layers += 1
        for value in (KERNELS.index(cell), hidden_size, residual):
            self.layers.number(value)
        self._product(products["input"], self.below)
        self._product(products["recurrent"], hidden_size)
        if candidate is not None:
            self._product(candidate, hidden_size)
        for vector in ("input", "recurrent", "candidate"):
            for part in ("gain", "shift"):
                self.layers.array((norms or {}).get(f"{part}_{vector}", b""))
        for part in ("gain_cell", "bias_cell"):
            self.layers.array((norms or {}).get(part, b""))
        self.layers.array(np.array([zoneout, zoneout_cell], dtype=np.float32))
        self.layers.array(b"" if peephole is None else peephole)
        self.below = hidden_size

    def _product(self, parts: dict[str, Any], inputs: int) -> None:
        self.layers.array(parts["weights"])
        self.layers.array(parts["bias"])
        if self.precision == "int8":
            self.layers.array(parts["scale"])
            self.layers.array(parts["start"])
            self.layers.number(parts["bounded"])
            # as bind_model.cpp has it: sums of products stay below 2^31
            self.layers.number(min((2**31 - 1) // (127 * max(inputs, 1)), 16383))

    def add_category(self, column, table) -> None:
        self.n_categories += 1
        self.categories.number(column)
        self.categories.number(len(table))
        self.categories.array(table)

    def set_head(self, kind, parts, *, skip, top, surprise) -> None:
        self.kind, self.outputs = kind, parts
        self.skip, self.top, self.surprise = skip, top, surprise

    def content(self) -> bytes:
        whole = Written(self.head.parts.copy())
        whole.number(self.n_layers)
        whole.parts += self.layers.parts
        whole.number(self.n_categories)
        whole.parts += self.categories.parts
        whole.number(HEADS.index(self.kind))
        whole.number(self.outputs["outputs"])
        rows = "weight" in self.outputs  # else the head is a product
        whole.number(rows)
        whole.array(self.outputs["weight" if rows else "weights"])
        whole.array(self.outputs["bias"])
        whole.array(b"" if self.skip is None else self.skip)
        whole.number(self.top)
        whole.number(len(self.surprise))
        for categorical, column, output, size, missing in self.surprise:
            for value in (categorical, column, output, size, 0 if missing is None else missing + 1):
                whole.number(value)
        return b"".join(whole.parts)


def recorded(spec: ModelSpec, weights: Any, precision: str, **options: Any) -> bytes:
    """Return the model's bytes, as `pack` lays it out."""
    module = importlib.import_module("tidegate.core.pack")
    real = module.Model
    try:
        module.Model = RecordedModel
        return module.pack(spec, weights, precision, **options).content()
    finally:
        module.Model = real


def cases() -> Iterator[tuple[str, ModelSpec, dict[str, Any]]]:
    """Return a name, a model and options of `pack`."""
    for cell, kind in CELLS.items():
        for option, chosen in options_of(cell).items():
            for inputs, hidden in SIZES:
                size = hidden if option != "residual" else inputs
                layer = LayerSpec(**kind, **chosen, hidden_size=size)
                yield f"{cell} {option} {inputs}->{size}", ModelSpec(inputs, (layer,), 2), {}
        plain, normed = (
            LayerSpec(**kind, hidden_size=h, layer_norm=n) for h, n in ((21, 0), (40, 1))
        )
        categories = (CategoryInput(1, 9, 3), CategoryInput(4, 4, 2))
        for name, stack in (("stack", (plain, normed)), ("normed stack", (normed, plain, plain))):
            yield f"{cell} {name} with categories", ModelSpec(6, stack, 3, categories), {}
        yield f"{cell} categories alone", ModelSpec(1, (plain,), 1, (CategoryInput(0, 5, 2),)), {}
        yield f"{cell} fast", ModelSpec(5, (plain, plain), 1), {"fast_activations": True}
    for head in HEADS:
        for outputs in (1, 7, 8, 91):
            spec = ModelSpec(5, (LayerSpec("gru", 21),), outputs)
            yield f"{head} head of {outputs}", spec, {"head": head}
    categories = (CategoryInput(1, 9, 3), CategoryInput(4, 4, 2))
    for name, layers in EVERY.items():
        for readout in READOUTS:
            spec = with_readout(ModelSpec(6, layers, 1, categories), readout)
            yield f"{readout} of {name}", spec, {}


def played(model: core.Model, spec: ModelSpec, rows, slots, before, run: bool):
    """Return the states and outputs of a case on the set in use."""
    states = before.copy()
    if not run:
        return states, walk(model, spec, rows, slots, states)
    outputs = np.empty((len(rows), spec.answer_size), dtype=np.float32)
    model.run(rows, states[0], outputs)
    return states, outputs


OPTIONAL = (
    *("gain_input", "gain", "cell_gain", "cell_shift", "peephole", "mask", "keep", "keep_cell"),
    *("h", "c", "a", "dy", "dh_end", "dc_end"),
)


def write_sequence(whole: Written, sequence: Sequence, isas: tuple[str, str]) -> None:
    """Write a case of training, and its results on each set."""
    whole.number(KERNELS.index(sequence.cell))
    whole.number(PRECISIONS.index(sequence.precision))
    whole.number(sequence.hidden_size)
    whole.number(len(sequence.arrays["lengths"]))
    whole.number(sequence.rows)
    whole.number(sequence.flags["reverse"])
    whole.array(np.array(sequence.rates, dtype=np.float32))
    for name in ("lengths", "offsets", "weight", "bias", *OPTIONAL):
        whole.array(sequence.arrays.get(name, b""))
    for isa in isas:
        core.use_isa(isa)
        results = sequence.played()
        for name in RESULTS:
            whole.array(results.get(name, b""))


def main(path: str) -> None:
    """Write the file."""
    sets = core.isas()
    # fp32 has the same bits on every set with FMA (tests/core says so), bf16 its own on some.
    fused = next((name for name in ("avx2", "neon") if name in sets), "scalar")
    count, whole = 0, Written()
    for seed, (name, spec, options) in enumerate(cases()):
        rng = np.random.default_rng(seed)
        weights = random_weights(spec, seed)
        for precision in PRECISIONS:
            if precision == "bf16" and spec.readout != "outputs":
                continue  # its sets are near each other, and indices of near numbers are not
            model = core.pack(spec, weights, precision, **options)
            content = recorded(spec, weights, precision, **options)
            for run in (False, True):
                # More events than pass through a layer together (64), and repeats of sessions.
                n, sessions = (67, 1) if run else (100, 75)
                again = rng.integers(0, sessions, n)
                slots = np.concatenate([rng.permutation(sessions), again])[:n]
                rows = random_rows(spec, n, seed)
                before = rng.uniform(-0.9, 0.9, (sessions, spec.state_size)).astype(np.float32)
                whole.array(f"{precision} {name}{' run' * run}".encode())
                whole.parts.append(content)
                whole.number(run)
                for part in (slots, rows, before):
                    whole.array(part)
                for isa in ("scalar", fused):
                    core.use_isa(isa)
                    for part in played(model, spec, rows, slots, before, run):
                        whole.array(part)
                count += 1
    head = Written([MAGIC])
    head.number(fused != "scalar")
    head.number(count)
    training, n_sequences = Written(), 0
    for name, sequence in sequences():
        training.array(name.encode())
        write_sequence(training, sequence, ("scalar", fused))
        n_sequences += 1
    whole.number(n_sequences)
    Path(path).write_bytes(b"".join(head.parts + whole.parts + training.parts))
    done = f"{count} cases and {n_sequences} sequences, played on scalar and {fused}"
    print(f"make_cases: {done}")  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1])
