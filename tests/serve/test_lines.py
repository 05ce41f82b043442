"""Streams of bytes cut into runs of whole lines."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.errors import InputError
from tidegate.serve.lines import Slices

bodies = st.lists(st.sampled_from([b"", b"a", b"{}", b"longer than most"]), max_size=12).map(
    b"\n".join
)


@settings(deadline=None, max_examples=150)
@given(bodies, st.lists(st.integers(0, 80), max_size=8), st.integers(1, 4))
def test_no_cut_of_the_network_changes_the_lines(body: bytes, cuts: list[int], most: int) -> None:
    slices = Slices(line_bytes=1000, most=most)
    runs = []
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    for begin, end in pairwise(edges):
        runs += slices.feed(body[begin:end])
    runs += slices.end(whole=True)
    found = {}
    for first, run, count, filled in runs:
        lines = run.split(b"\n")
        assert len(lines) - run.endswith(b"\n") == count <= most
        assert filled == sum(map(bool, lines))
        found |= {first + i: line for i, line in enumerate(lines) if line}
    assert found == {i: line for i, line in enumerate(body.split(b"\n"), start=1) if line}


def test_a_line_without_an_end_may_be_a_part_of_one() -> None:
    slices = Slices(line_bytes=1000, most=4)
    assert [*slices.feed(b'{"a": 1}\n{"b": 1')] == [(1, b'{"a": 1}\n', 1, 1)]
    with pytest.raises(InputError, match="line 2 ends without a newline") as refused:
        slices.end(whole=False)
    assert refused.value.code == "line_cut"


def test_nothing_is_cut_off_at_the_end_of_a_line() -> None:
    slices = Slices(line_bytes=1000, most=4)
    assert [*slices.feed(b"{}\n")] == [(1, b"{}\n", 1, 1)]
    assert slices.end(whole=False) == []


def test_a_line_that_never_ends_is_refused_before_it_fills_the_memory() -> None:
    slices = Slices(line_bytes=100, most=4)
    assert [*slices.feed(b"{}\n" + b"x" * 90)] == [(1, b"{}\n", 1, 1)]
    with pytest.raises(InputError, match="line 2 has more than 100 bytes") as refused:
        [*slices.feed(b"x" * 11)]
    assert refused.value.code == "line_too_long"


@pytest.mark.parametrize("end", [b"", b"\n", b"\n{}\n"])
def test_the_lines_before_one_that_is_too_long_are_kept(end: bytes) -> None:
    slices = Slices(line_bytes=100, most=4)
    runs = slices.feed(b"{}\n" * 4 + b"x" * 100 + b"\n" + b"x" * 101 + end)
    assert [next(runs), next(runs)] == [(1, b"{}\n" * 4, 4, 4), (5, b"x" * 100 + b"\n", 1, 1)]
    with pytest.raises(InputError, match="line 6 has more than 100 bytes"):
        next(runs)
    assert slices.line == 6
