"""A run: nothing is timed that does not agree, and the rows say what was measured."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
import torch

from tidegate import core
from tidegate.bench import peers, run
from tidegate.bench.cases import parse
from tidegate.bench.contestant import draw_inputs, draw_weights
from tidegate.bench.results import Settings
from tidegate.errors import EngineError, InputError

SETTINGS = Settings(seconds=0.001, rounds=3)
KEYS = [
    *("entry", "cell", "input_size", "hidden_size", "layers", "batch", "precision", "isa"),
    *("us_per_step", "torch_us", "onnxruntime_us"),
    *("ratio_torch", "ratio_onnxruntime", "roofline_fraction"),
]


@pytest.fixture
def wanted():
    return run.entries(["fp32"])


def test_rows_have_the_documented_keys(wanted) -> None:
    rows, timings = run.run_case(parse("gru:16-64x2@4"), wanted, SETTINGS)
    assert [row.entry for row in rows] == ["kernel", "engine"]
    for row in rows:
        written = msgspec.to_builtins(row)
        assert list(written) == KEYS
        assert written["layers"], written["batch"] == (2, 4)
        figures = KEYS[KEYS.index("us_per_step") :]
        assert all(isinstance(written[key], float) and written[key] > 0 for key in figures)
        assert math.isclose(row.ratio_torch, row.torch_us / row.us_per_step, rel_tol=2e-3)
        assert math.isclose(
            row.ratio_onnxruntime, row.onnxruntime_us / row.us_per_step, rel_tol=2e-3
        )
    assert len(timings) == 4 + len(wanted)
    medians = {each.contestant: each.median_us for each in timings}
    assert rows[0].torch_us == min(medians["torch module"], medians["torch cell"])
    assert rows[0].onnxruntime_us == min(medians["onnxruntime run"], medians["onnxruntime bound"])
    assert rows[0].us_per_step == medians[str(wanted[0])]
    for each in timings:
        assert each.case == rows[0].case
        assert each.first_quartile_us <= each.median_us <= each.third_quartile_us


def test_a_crowd_is_compared_with_the_kernel(wanted) -> None:
    (row,), timings = run.run_case(parse("gru:16-64@8/100"), wanted, SETTINGS)
    medians = {each.contestant: each.median_us for each in timings}
    written = msgspec.to_builtins(row)
    assert list(written) == [*KEYS, "sessions", "times_kernel"]
    assert (row.entry, row.sessions) == ("engine", 100)
    times = row.us_per_step / medians[str(wanted[0])]
    assert math.isclose(row.times_kernel, times, rel_tol=2e-3)


def test_threads_are_as_they_were_afterwards(wanted) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        run.run_case(parse("rnn:4-4@1"), wanted, SETTINGS)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_every_precision_on_every_instruction_set() -> None:
    before = core.isa()
    chosen = run.entries([], core.isas())
    rows, _ = run.run_case(parse("gru:16-64@5"), chosen, Settings(0.0001, 1))
    assert [(row.precision, row.isa) for row in rows if row.entry == "kernel"] == [
        (precision, isa) for isa in core.isas() for precision in ("fp32", "bf16", "int8")
    ]
    assert core.isa() == before


@pytest.mark.parametrize("wrong", ["weights", "nan", "late"])
def test_who_computes_something_else_is_not_timed(wrong) -> None:
    spec = parse("gru:5-7@3").spec
    weights, inputs = draw_weights(spec), draw_inputs(spec, 3)
    honest = peers.TorchModule(spec, weights, inputs)
    changed = {name: array.copy() for name, array in weights.items()}
    if wrong == "weights":
        changed["layers.0.forward.recurrent"][0, 0] += 0.05
    elif wrong == "nan":
        changed["layers.0.forward.b_input"][0] = np.nan
    other = peers.OnnxRun(spec, changed, inputs[::-1] if wrong == "late" else inputs)
    with pytest.raises(EngineError) as refused:
        run.check_agreement({"torch": honest, "cheat": other}, {})
    assert (refused.value.code, refused.value.field) == ("contestants_differ", "cheat")


def test_a_wrong_precision_shows_in_its_own_tolerance() -> None:
    spec = parse("gru:5-7@3").spec
    weights, inputs = draw_weights(spec), draw_inputs(spec, 3)
    rounded = {
        name: (np.round(array * 127) / 127).astype(np.float32) for name, array in weights.items()
    }
    for tolerances in ({"rounded": run.TOLERANCES["int8"]}, {}):
        pair = {
            "torch": peers.TorchModule(spec, weights, inputs),
            "rounded": peers.TorchCell(spec, rounded, inputs),
        }
        if tolerances:
            run.check_agreement(pair, tolerances)
        else:
            with pytest.raises(EngineError, match="rounded"):
                run.check_agreement(pair, tolerances)


@pytest.mark.parametrize(
    ("option", "chosen"), [("precision", (["fp8"], [])), ("isa", ([], ["mmx"]))]
)
def test_what_does_not_run_here_is_refused(option, chosen) -> None:
    with pytest.raises(InputError) as refused:
        run.entries(*chosen)
    assert (refused.value.code, refused.value.field) == (f"unknown_{option}", f"--{option}")
