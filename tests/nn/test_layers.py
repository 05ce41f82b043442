"""The layer family over the grid of its options: each cell, each option, any two together.

Every test runs whichever path a layer takes for its type: float64 is the loop over the cells,
float32 what `path` says.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from layer_grid import LENGTHS, Case, batch, build, by_cells, cases, each_part
from torch import Tensor

from tidegate.nn.recurrent import Recurrent
from tidegate.spec import GATES

GRID = cases()
NOISE = {"zoneout", "zoneout_cell", "recurrent_dropout", "weight_dropout"}
NOISY = [case for case in GRID if NOISE & set(case.names)]
STREAMS = [case for case in cases(1) if "bidirectional" not in case.names]
TYPES = [torch.float64, torch.float32]

grid = pytest.mark.parametrize("case", GRID, ids=str)
types = pytest.mark.parametrize("dtype", TYPES, ids=["float64", "float32"])


def close(found: Tensor, wanted: Tensor) -> None:
    atol = 1e-12 if found.dtype == torch.float64 else 1e-5
    torch.testing.assert_close(found, wanted, rtol=0, atol=atol)


def check_equal(layer: Recurrent, *given: Any) -> None:
    """Outputs, state and gates are those of each session alone, event by event."""
    wanted = by_cells(layer, *given)
    torch.manual_seed(0)
    y, state, gates = layer(*given, return_gates=True)
    close(y, wanted[0])
    for one, other in zip(each_part(state), wanted[1], strict=True):
        close(one, other)
    for traces, values in zip(gates, wanted[2], strict=True):
        assert tuple(traces) == GATES[layer.cell]
        for one, other in zip(traces.values(), values, strict=True):
            close(one, other)


@grid
@types
def test_equals_the_loop_over_cells(case: Case, dtype: torch.dtype) -> None:
    layer = build(case, dtype)
    check_equal(layer, *batch(layer))


@pytest.mark.parametrize("case", NOISY, ids=str)
@types
def test_equals_the_loop_over_cells_in_training(case: Case, dtype: torch.dtype) -> None:
    layer = build(case, dtype, training=True)
    check_equal(layer, *batch(layer))


@pytest.mark.parametrize("case", cases(1), ids=str)
@types
def test_sessions_that_begin(case: Case, dtype: torch.dtype) -> None:
    layer = build(case, dtype)
    x, _, lengths = batch(layer)
    check_equal(layer, x, None, lengths)


def test_a_case_takes_the_path_that_its_type_says() -> None:
    """The grid is of both paths only as long as float64 is the loop."""
    for case in cases(1):
        layer = build(case)
        assert layer.path(batch(layer)[0]) == "composed"


@grid
@types
def test_what_padding_holds_changes_nothing(case: Case, dtype: torch.dtype) -> None:
    layer = build(case, dtype)
    padding = torch.arange(max(LENGTHS)) >= torch.tensor(LENGTHS)[:, None]
    found = []
    for filled in (0.0, float("nan")):
        x, state, lengths = batch(layer, filled=filled)
        begun = None if "initial" in case.names else state
        y, after, gates = layer(x.requires_grad_(), begun, lengths, return_gates=True)
        (y.sin().sum() + sum(part.sin().sum() for part in each_part(after))).backward()
        for whole in (y, x.grad, *(gate for traces in gates for gate in traces.values())):
            assert not whole[padding].any()
            assert whole[~padding].any()
        found.append((y, *each_part(after), x.grad, *(p.grad.clone() for p in layer.parameters())))
        layer.zero_grad()
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


@grid
@types
def test_a_session_alone_is_the_same(case: Case, dtype: torch.dtype) -> None:
    layer = build(case, dtype)
    x, state, lengths = batch(layer, filled=float("nan"))
    y, after, gates = layer(x, state, lengths, return_gates=True)
    for session, length in enumerate(LENGTHS):
        one = slice(session, session + 1)
        begun = tuple(part[:, one] for part in each_part(state))
        found = layer(x[one, :length], begun if len(begun) == 2 else begun[0], return_gates=True)
        close(found[0], y[one, :length])
        for part, whole in zip(each_part(found[1]), each_part(after), strict=True):
            close(part, whole[:, one])
        for traces, wholes in zip(found[2], gates, strict=True):
            for name, trace in traces.items():
                close(trace, wholes[name][one, :length])


@pytest.mark.parametrize("case", STREAMS, ids=str)
@types
def test_two_halves_are_one_whole(case: Case, dtype: torch.dtype) -> None:
    layer = build(case, dtype)
    x, state, _ = batch(layer, (6, 6, 6))
    whole, after = layer(x, state)
    first, between = layer(x[:, :2], state)
    second, end = layer(x[:, 2:], between)
    close(torch.cat([first, second], dim=1), whole)
    for one, other in zip(each_part(end), each_part(after), strict=True):
        close(one, other)


@grid
def test_gradcheck(case: Case) -> None:
    """Through events, state and every parameter, with the noise of training."""
    layer = build(case, training=True)
    x, state, lengths = batch(layer, (3, 0, 2))
    names = [name for name, _ in layer.named_parameters()]
    learned = "initial" in case.names

    def outputs(x: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        torch.manual_seed(3)
        parts, parameters = (
            tensors[: -len(names)],
            dict(zip(names, tensors[-len(names) :], strict=True)),
        )
        begun = None if learned else parts if len(parts) == 2 else parts[0]
        y, after = torch.func.functional_call(layer, parameters, (x, begun, lengths))
        return (y, *each_part(after))

    given = (x, *(() if learned else each_part(state)), *layer.parameters())
    given = tuple(tensor.detach().clone().requires_grad_() for tensor in given)
    assert torch.autograd.gradcheck(outputs, given, fast_mode=True)


@grid
def test_gradients_in_float32_are_those_of_the_loop_in_float64(case: Case) -> None:
    grads = []
    for dtype in TYPES:
        layer = build(case, dtype, training=True)
        x, state, lengths = batch(layer)
        leaves = [x, *each_part(state)]
        for leaf in leaves:
            leaf.requires_grad_()
        begun = None if "initial" in case.names else state
        if dtype == torch.float64:
            y, after, _ = by_cells(layer, x, begun, lengths, seed=5)
        else:
            torch.manual_seed(5)
            y, after = layer(x, begun, lengths)
        (y.sin().sum() + sum(part.cos().sum() for part in each_part(after))).backward()
        tensors = [*(leaves if begun is not None else leaves[:1]), *layer.parameters()]
        grads.append([tensor.grad for tensor in tensors])
    for wanted, found in zip(*grads, strict=True):
        torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", cases(1), ids=str)
@types
def test_h_is_what_the_gates_say(case: Case, dtype: torch.dtype) -> None:
    """Their values make the h of every step, with the kept share of zoneout."""
    layer = build(case, dtype)
    x, state, _ = batch(layer, (5, 5))
    _, after, gates = layer(x, state, return_gates=True)
    spec = layer.layers[0].spec
    for place, traces in enumerate(gates):
        h, *c = (part[place] for part in each_part(state))
        backward = "bidirectional" in case.names and place % 2
        for t in range(4, -1, -1) if backward else range(5):
            at = {name: values[:, t] for name, values in traces.items()}
            if case.cell == "gru":
                new = at["z"] * h + (1 - at["z"]) * at["n"]
            elif case.cell == "rnn":
                new = at["h"]
            else:
                fresh = at["f"] * c[0] + at["i"] * at["g"]
                cell = layer.layers[place // len(layer.layers[0].cells)].cells[0]
                out = fresh
                if spec.layer_norm:
                    out = torch.nn.functional.layer_norm(
                        fresh, (layer.hidden_size,), cell.norm_cell, cell.b_cell
                    )
                new = at["o"] * out.tanh()
                c = [(1 - spec.zoneout_cell) * fresh + spec.zoneout_cell * c[0]]
            h = (1 - spec.zoneout) * new + spec.zoneout * h
        close(h, after[0][place] if case.cell == "lstm" else after[place])
