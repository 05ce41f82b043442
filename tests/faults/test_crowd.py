"""Many sessions, few of them often active, at a server that holds fewer in memory."""

from __future__ import annotations

from dataclasses import replace

import pytest
from faults.crowd import Crowd, crowd, thirds


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Crowd:
    folder = tmp_path_factory.mktemp("crowd")
    return crowd(folder, sessions=20_000, cached=5_000, seconds=3.0, measured=1.0)


def test_a_crowd_comes_and_goes(seen) -> None:
    assert seen.errors == 0, seen.first_error
    assert seen.strayed == 0
    assert seen.load.events > 0
    assert seen.evicted > 0
    assert seen.loaded > 0
    assert "0 errors; 0 of 1,000 sessions not where they were left" in str(seen)


def test_what_was_seen_is_told(seen) -> None:
    flat = replace(seen, memory=[(float(second), 200.0) for second in range(9)])
    assert flat.failures == []
    assert "20,000 sessions, 5,000 in memory" in str(flat)
    assert "200 MB in the first third, 200 MB in the last, 200 MB at most; +0.00 MB" in str(flat)
    grown = replace(flat, memory=[(float(second), 200.0 + 5 * second) for second in range(9)])
    assert "205 MB in the first third, 235 MB in the last, 240 MB at most; +300.00" in str(grown)
    assert grown.failures == ["memory grew from 205 to 235 MB"]
    failed = replace(flat, errors=2, first_error="seq_gap", strayed=3)
    assert failed.failures == [
        "2 errors; the first is seq_gap",
        "3 sessions are not where their answers left them",
    ]


def test_thirds_are_medians() -> None:
    assert thirds([9.0, 1.0, 2.0, 5.0, 5.0, 5.0, 3.0, 99.0, 4.0]) == (2.0, 4.0)
    assert thirds([7.0]) == (7.0, 7.0)
