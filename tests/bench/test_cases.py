"""Cases as the command line writes them."""

from __future__ import annotations

import pytest

from tidegate.bench import cases
from tidegate.errors import InputError


@pytest.mark.parametrize("case", [*cases.STANDARD, *cases.QUICK], ids=str)
def test_a_case_reads_back(case) -> None:
    assert cases.parse(str(case)) == case


def test_the_figures_that_were_promised_are_among_the_cases() -> None:
    promised = ("gru:16-64@1", "gru:64-256@1", "gru:64-256@256", "gru:16-64@1024")
    assert {*map(cases.parse, promised), cases.parse("gru:16-64@256/1000000")} <= {*cases.STANDARD}
    batches = [case.batch for case in cases.STANDARD if case.cell == "gru" and case.layers == 1]
    assert batches[:-1] == sorted(batches[:-1])  # one session at a time first


@pytest.mark.parametrize(
    "text",
    [
        *("", "gru", "gru:16-64", "gru:16@1", "rwkv:16-64@1", "GRU:16-64@1", "gru:١-64@1"),
        *("gru:0-64@1", "gru:16-64@0", "gru:16-64x0@1", "gru:16-64@1/0", "gru:16-99999@1"),
        *("gru:16-64@256/255", "gru:16-64@1/", "gru:16-64@1 ", "gru:16-64@" + "9" * 5000),
    ],
)
def test_a_bad_case_is_refused(text) -> None:
    with pytest.raises(InputError) as refused:
        cases.parse(text)
    assert refused.value.code == "bad_case"
    assert len(str(refused.value)) < 400
