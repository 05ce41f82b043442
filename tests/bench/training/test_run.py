"""A run: nothing is timed that does not agree, and the rows say what was measured."""

from __future__ import annotations

import math

import msgspec
import pytest
import torch

from tidegate import core
from tidegate.bench.results import Settings
from tidegate.bench.training import run
from tidegate.bench.training.cases import OPTIONS, Variant, parse
from tidegate.bench.training.contestants import (
    LayerEntry,
    LoopEntry,
    TorchCellLoop,
    TorchLayer,
    draw_inputs,
    draw_lengths,
    draw_weights,
)
from tidegate.bench.training.memory import kept_bytes
from tidegate.bench.training.run import Judged
from tidegate.errors import EngineError

SETTINGS = Settings(seconds=0.0001, rounds=3, threads=1)
KEYS = {
    *("cell", "path", "options", "precision", "lengths", "batch", "time"),
    *("input_size", "hidden_size", "forward_ms", "step_ms", "torch_gru_ms", "torch_lstm_ms"),
    *("ratio_torch_gru", "ratio_torch_lstm"),
}
TINY = parse("gru:3-8@6x12")


def test_rows_have_the_documented_keys() -> None:
    wanted = [
        Variant(),
        Variant("zoneout", lengths="ragged"),
        Variant("layer_norm+recurrent_dropout", "bf16"),
    ]
    rows, timings = run.run_case(TINY, wanted, SETTINGS)
    assert [row.variant for row in rows] == wanted
    times = {each.contestant: each for each in timings}
    assert len(times) == len(timings)
    for row in rows:
        written = msgspec.to_builtins(row)
        assert set(written) >= KEYS
        assert all(value > 0 for value in written.values() if isinstance(value, float))
        assert (row.case, row.isa, row.path) == (TINY, core.isa(), "fused")
        assert row.step_ms == times[str(row.variant)].step_ms
        assert row.forward_ms < row.step_ms
        for cell in ("gru", "lstm", "rnn"):
            peer = times[f"torch {cell.upper()}"]
            assert written[f"torch_{cell}_ms"] == peer.step_ms
            assert written[f"torch_{cell}_kept_mb"] == peer.kept_mb
            ratio = peer.step_ms / row.step_ms
            assert math.isclose(written[f"ratio_torch_{cell}"], ratio, rel_tol=2e-3)
        assert row.loop_ms == times[f"loop {row.options}"].step_ms
        assert math.isclose(row.ratio_loop, row.loop_ms / row.step_ms, rel_tol=2e-3)
    plain, ragged, joined = rows
    assert plain.ratio_plain == 1.0
    assert plain.padded_ms is joined.padded_ms is None
    assert ragged.padded_ms == times["zoneout"].step_ms
    for row, name in ((ragged, "plain ragged"), (joined, "plain bf16")):
        assert math.isclose(row.ratio_plain, row.step_ms / times[name].step_ms, rel_tol=2e-3)
    for each in timings:
        assert each.case == str(TINY)
        assert each.first_quartile_ms <= each.step_ms <= each.third_quartile_ms


def test_a_recomputed_row_has_the_plain_loop_and_keeps_less() -> None:
    rows, timings = run.run_case(TINY, [Variant("recompute"), Variant()], SETTINGS)
    assert rows[0].loop_ms == rows[1].loop_ms
    assert rows[0].kept_mb < rows[1].kept_mb
    assert sum(each.contestant.startswith("loop") for each in timings) == 1


def test_both_directions_are_compared_with_both() -> None:
    (row,), timings = run.run_case(TINY, [Variant("bidirectional")], SETTINGS)
    times = {each.contestant: each for each in timings}
    assert row.torch_gru_ms == times["torch GRU bidirectional"].step_ms
    assert row.torch_gru_kept_mb == times["torch GRU bidirectional"].kept_mb
    assert row.kept_mb > times["plain"].kept_mb


def test_threads_are_as_they_were_afterwards() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        run.run_case(parse("rnn:2-2@2x2"), [Variant()], SETTINGS)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
def test_every_variant_computes_what_it_should(cell) -> None:
    case = msgspec.structs.replace(TINY, cell=cell)
    variants = [Variant(each, lengths="ragged") for each in OPTIONS]
    variants += [Variant("+".join(OPTIONS), lengths="ragged"), Variant("zoneout", "bf16", "ragged")]
    timed = run._with_companions(variants)
    contestants = run._contestants(case, timed)
    judged = run._judged(case, timed, contestants)
    peers = {f"torch {cell.upper()}", f"torch {cell.upper()} bidirectional"}
    assert {"plain, whole", "loop plain", *peers} <= {*judged}
    assert {*map(str, timed)} <= {*judged} & {*contestants}
    run.check_agreement(judged)


@pytest.mark.parametrize("wrong", ["weights", "nan", "lengths", "gradient"])
def test_who_computes_something_else_is_not_timed(wrong) -> None:
    x, lengths = draw_inputs(TINY), draw_lengths(TINY)
    weights = draw_weights(TINY)
    truth = LoopEntry(TINY, Variant(), x.double(), lengths, weights)
    other = Variant(lengths="ragged" if wrong == "lengths" else "full")
    cheat = LayerEntry(TINY, other, x, lengths, weights)
    if wrong == "gradient":
        cheat.recurrent[0].register_hook(lambda gradient: gradient * 1.01)
    with torch.no_grad():
        if wrong == "weights":
            cheat.recurrent[0][0, 0] += 0.05
        elif wrong == "nan":
            cheat.recurrent[0][0, 0] = torch.nan
    honest = TorchCellLoop(TINY, x, weights)
    judged = {"honest": Judged(honest, truth, 1e-4), "cheat": Judged(cheat, truth, 1e-4)}
    with pytest.raises(EngineError) as refused:
        run.check_agreement(judged)
    assert (refused.value.code, refused.value.field) == ("contestants_differ", "cheat")


def test_what_is_kept_is_what_torch_saves_and_the_output() -> None:
    x, lengths = draw_inputs(TINY), draw_lengths(TINY)
    weights = draw_weights(TINY)
    peer, ours = TorchLayer(TINY, x, weights), LayerEntry(TINY, Variant(), x, lengths, weights)
    for each in (peer, ours):
        saved = {}

        def pack(tensor, saved=saved):
            storage = tensor.untyped_storage()
            saved[storage.data_ptr()] = storage.nbytes()
            return tensor

        besides = [x, *each.module.parameters()]
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            y = each.forward()
        own = {tensor.untyped_storage().data_ptr() for tensor in besides}
        saved[y.untyped_storage().data_ptr()] = y.untyped_storage().nbytes()
        expected = sum(size for pointer, size in saved.items() if pointer not in own)
        del y
        assert kept_bytes(each.forward, besides) == expected
