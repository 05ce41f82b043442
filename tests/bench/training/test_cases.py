"""Cases and options as the command line writes them."""

from __future__ import annotations

import pytest
import torch

from tidegate.bench.training import cases
from tidegate.bench.training.cases import Case, Variant
from tidegate.bench.training.contestants import draw_lengths
from tidegate.errors import InputError


@pytest.mark.parametrize("case", [*cases.STANDARD, *cases.QUICK], ids=str)
def test_a_case_reads_back(case) -> None:
    assert cases.parse(str(case)) == case


def test_what_was_promised_is_among_the_cases() -> None:
    shapes = {(64, 100, 16, 64), (64, 100, 16, 128), (32, 500, 16, 128), (64, 100, 64, 256)}
    assert {*cases.STANDARD} == {
        Case(cell, *shape) for cell in ("gru", "lstm", "rnn") for shape in shapes
    }
    assert {*cases.QUICK} < {*cases.STANDARD}
    options = {"plain", "layer_norm", "zoneout", "recurrent_dropout", "return_gates", "recompute"}
    for case in cases.STANDARD:
        found = cases.variants(case)
        assert len(set(found)) == len(found)
        assert {Variant(each) for each in options} <= {*found}
        assert {Variant(lengths="ragged"), Variant(precision="bf16")} <= {*found}
    most = cases.variants(cases.parse("gru:16-128@64x100"))
    assert sum("+" in variant.options for variant in most) == 4


@pytest.mark.parametrize(
    "text",
    [
        *("", "gru", "gru:16-64", "gru:16-64@1", "rwkv:16-64@1x1", "GRU:16-64@1x1"),
        *("gru:0-64@1x1", "gru:16-64@0x1", "gru:16-64@1x0", "gru:16-99999@1x1", "gru:16-64@1x1 "),
        *("gru:1-1@65536x65536", "gru:٣-64@1x1", "gru:16-64@1x" + "9" * 5000),
    ],
)
def test_a_bad_case_is_refused(text) -> None:
    with pytest.raises(InputError) as refused:
        cases.parse(text)
    assert (refused.value.code, refused.value.field) == ("bad_case", "--case")
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("text", ["", "plain+zoneout", "zoneout+zoneout", "dropout", "zoneout+"])
def test_bad_options_are_refused(text) -> None:
    with pytest.raises(InputError) as refused:
        cases.parse_options(text)
    assert (refused.value.code, refused.value.field) == ("bad_case", "--option")


def test_what_is_asked_for_is_combined() -> None:
    case = cases.parse("gru:16-64@64x100")
    found = cases.variants(case, ["plain", "zoneout"], ["bf16"], [])
    assert [*map(str, found)] == [
        *("plain bf16", "plain bf16 ragged", "zoneout bf16", "zoneout bf16 ragged"),
    ]
    assert len(cases.variants(case, [], ["fp32"], ["ragged"])) == 5


@pytest.mark.parametrize(("batch", "steps"), [(64, 100), (32, 500), (6, 12), (4, 9)])
def test_ragged_sessions_have_a_third_of_the_steps(batch, steps) -> None:
    case = Case("gru", batch, steps, 1, 1)
    lengths = draw_lengths(case)
    assert lengths.shape == (batch,)
    assert int(lengths.max()) == steps
    assert int(lengths.min()) >= 1
    assert abs(float(lengths.double().mean()) - steps / 3) <= 1
    assert torch.equal(lengths, draw_lengths(case))


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_few_sessions_have_lengths_too(batch) -> None:
    lengths = draw_lengths(Case("gru", batch, 7, 1, 1))
    assert sorted(lengths.tolist()) == [1] * (batch - 1) + [7]
