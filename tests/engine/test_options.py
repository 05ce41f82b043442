"""Every option that streams: training's network, the C core and the reference give one answer."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from kernel_models import CELLS, options_of, random_rows

from tidegate import core
from tidegate.engine import Engine
from tidegate.engine.arithmetic import Arithmetic, PlainArithmetic
from tidegate.engine.native import NativeArithmetic
from tidegate.engine.reference import ReferenceModel
from tidegate.nn import Network, to_bundle
from tidegate.schema import Field, Schema, SchemaConfig
from tidegate.spec import CategoryInput, LayerSpec, ModelSpec

SIZE, STEPS = 21, 15
"""Inputs and units; events of a session: more than a few, so that states part from the first."""


def combinations(cell: str) -> dict[str, dict[str, Any]]:
    """Each option of a cell and each two of them, by name."""
    options = options_of(cell)
    both = {
        f"{one}+{other}": options[one] | options[other]
        for one, other in itertools.combinations(options, 2)
        if not options[one].keys() & options[other].keys() and "plain" not in (one, other)
    }
    return options | both


GRID = [(cell, name) for cell in CELLS for name in combinations(cell)]


def network_of(spec: ModelSpec) -> Network:
    """A network whose every parameter matters, as it is outside of training."""
    torch.manual_seed(0)
    network = Network(spec, dropout=0.5, recurrent_dropout=0.5, weight_dropout=0.5)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
        for cell in (cell for layer in network.layers for cell in layer.cells):
            cell.recurrent.mul_(0.7)  # a relu network must not grow without bounds
    return network.eval()


def engine_of(spec: ModelSpec, arithmetic: Arithmetic) -> Engine:
    fields = {f"x{i}": Field("numeric", scale="none") for i in range(spec.row_size)}
    columns = {name: np.zeros(1) for name in fields}
    schema = Schema.fit(SchemaConfig(fields), columns, np.zeros(1), np.array([0, 1]))
    return Engine(spec, schema, arithmetic)


def check(spec: ModelSpec) -> None:
    """Compare all that steps with the network, whole sessions at once."""
    network = network_of(spec)
    weights = to_bundle(network)
    sessions = ["a", "b", "c"]
    rows = np.stack([random_rows(spec, STEPS, seed) for seed in range(len(sessions))])
    with torch.inference_mode():
        whole, state = network(torch.from_numpy(rows))
    wanted, end = whole.numpy(), np.concatenate([part.numpy() for part in state], axis=1)
    scale = max(1.0, float(np.abs(end).max()), float(np.abs(wanted).max()))

    def near(found: np.ndarray, truth: np.ndarray) -> None:
        np.testing.assert_allclose(found, truth, rtol=0, atol=1e-5 * scale)

    reference = PlainArithmetic(ReferenceModel(spec, weights), spec)
    for arithmetic in (NativeArithmetic(core.pack(spec, weights)), reference):
        engine = engine_of(spec, arithmetic)
        stepped = np.stack([engine.step(sessions, rows[:, t]) for t in range(STEPS)], axis=1)
        near(stepped, wanted)
        for number, session in enumerate(sessions):
            near(engine.export_state(session).hidden, end[number])
            run = engine.run(f"{session} at once", rows[number])
            assert run.tobytes() == stepped[number].tobytes()


@pytest.mark.parametrize(("cell", "name"), GRID)
def test_an_option_steps_as_it_was_trained(cell: str, name: str) -> None:
    layer = LayerSpec(**CELLS[cell], **combinations(cell)[name], hidden_size=SIZE)
    check(ModelSpec(SIZE, (layer, layer), 2))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("size", [16, 40])
def test_all_options_together(cell: str, size: int) -> None:
    options: dict[str, Any] = {}
    for one in options_of(cell).values():
        options |= one
    layer = LayerSpec(**CELLS[cell], **options | {"bias": "double"}, hidden_size=size)
    below = LayerSpec(**CELLS[cell], **options | {"residual": False}, hidden_size=size)
    check(ModelSpec(6, (below, layer), 9, (CategoryInput(2, 5, 3),)))


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
@pytest.mark.parametrize("largest", [0.9, 3.0])
def test_a_session_may_begin_outside_of_1(precision: core.Precision, largest: float) -> None:
    """An int8 state has steps from -1 to 1, unless a session can begin beyond."""
    layer = LayerSpec("gru", 24, learned_initial_state=True)
    spec = ModelSpec(4, (layer, layer), 1)
    weights = to_bundle(network_of(spec))
    for index in range(2):
        weights[f"layers.{index}.forward.initial"] = np.linspace(
            -largest, largest, 24, dtype=np.float32
        )
    truth = ReferenceModel(spec, weights)
    found = [truth, core.pack(spec, weights, precision)]
    outputs = np.empty((2, 6, 1), dtype=np.float32)
    for model, some in zip(found, outputs, strict=True):
        model.step(random_rows(spec, 6, 3), np.zeros(6, np.int64), model.initial[None].copy(), some)
    tolerance = {"fp32": 1e-5, "bf16": 0.02, "int8": 0.02}[precision]
    np.testing.assert_allclose(outputs[1], outputs[0], rtol=0, atol=tolerance * largest)
