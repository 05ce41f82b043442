"""One step of a GRU, one thread: tidegate's kernel and engine beside torch's GRUCell, in one run.

    .venv/bin/python benchmarks/step.py

Every call takes new input, carries the state and has its result read. Medians of several rounds
that take turns, so that a machine whose speed drifts slows all of them; quote the ratios.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from tidegate import core
from tidegate.engine import Engine
from tidegate.schema import Field, Schema, SchemaConfig
from tidegate.spec import LayerSpec, ModelSpec

CASES = ((16, 64, 1), (16, 64, 256), (64, 256, 1), (64, 256, 256))
"""input_size, hidden_size, batch."""


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.2, help="of each round and contestant")
    options = parser.parse_args()
    torch.set_num_threads(1)
    shown = Table("input -> hidden", "batch", "kernel", "engine", "torch GRUCell", "torch / engine")
    for case in CASES:
        contestants = contest(*case)
        times = {name: [] for name in contestants}
        for _ in range(options.rounds):
            for name, step in contestants.items():
                times[name].append(seconds_per_call(step, options.seconds))
        medians = {name: float(np.median(found)) * 1e6 / case[2] for name, found in times.items()}
        ratio = np.median(np.array(times["torch"]) / np.array(times["engine"]))
        shown.add_row(
            f"{case[0]} -> {case[1]}",
            str(case[2]),
            *(f"{medians[name]:.2f} us" for name in ("kernel", "engine", "torch")),
            f"{ratio:.2f}",
        )
    shown.title = "microseconds a step (an event of one session), one thread"
    Console().print(shown)


def contest(input_size: int, hidden_size: int, batch: int) -> dict[str, Callable[[int], float]]:
    """Return what to call for one step of `batch` sessions, by contestant."""
    rng = np.random.default_rng(0)
    spec = ModelSpec(input_size, (LayerSpec("gru", hidden_size),), 1)
    weights = {
        name: rng.normal(0, 0.1, shape).astype(np.float32)
        for name, shape in spec.weight_shapes().items()
    }
    inputs = rng.normal(size=(16, batch, input_size)).astype(np.float32)
    model = core.pack(spec, weights)
    slots = np.arange(batch)
    states = np.zeros((batch, hidden_size), dtype=np.float32)
    outputs = np.empty((batch, 1), dtype=np.float32)
    engine = Engine(spec, _schema(input_size), model)
    sessions = [f"session-{i}" for i in range(batch)]
    cell, head = torch.nn.GRUCell(input_size, hidden_size), torch.nn.Linear(hidden_size, 1)
    hidden = torch.zeros(batch, hidden_size)
    tensors = torch.from_numpy(inputs)

    def kernel(turn: int) -> float:
        model.step(inputs[turn % 16], slots, states, outputs)
        return float(outputs[0, 0])

    def whole(turn: int) -> float:
        return float(engine.step(sessions, inputs[turn % 16])[0, 0])

    def torch_step(turn: int) -> float:
        nonlocal hidden
        with torch.inference_mode():
            hidden = cell(tensors[turn % 16], hidden)
            return float(head(hidden)[0, 0])

    return {"kernel": kernel, "engine": whole, "torch": torch_step}


def seconds_per_call(step: Callable[[int], float], seconds: float) -> float:
    """Time a step over about so many seconds."""
    calls, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        for _ in range(8):
            step(calls)
            calls += 1
    return (time.perf_counter() - began) / calls


def _schema(width: int) -> Schema:
    fields = {f"x{i}": Field("numeric", scale="none") for i in range(width)}
    columns = {name: np.zeros(1) for name in fields}
    return Schema.fit(SchemaConfig(fields), columns, np.zeros(1), np.array([0, 1]))


if __name__ == "__main__":
    main()
