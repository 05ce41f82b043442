"""Bulk scoring beside torch: the answers agree, and the docs say what was measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_a_run_checks_its_answers_and_writes_its_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import scoring

    out = tmp_path / "scoring.json"
    sizes = ["--events", "600", "--torch-events", "200", "--session-length", "30", "--rounds", "2"]
    monkeypatch.setattr(sys, "argv", ["scoring.py", *sizes, "--out", str(out)])
    scoring.main()
    found = json.loads(out.read_text())
    assert (found["tidegate"]["events"], found["torch"]["events"]) == (600, 200)
    assert found["sessions"] == 20
    assert found["ratio"] > 0

    monkeypatch.setattr(scoring, "CLOSE", 0.0)  # no two ways of adding agree so well
    with pytest.raises(SystemExit, match="answers differ"):
        scoring.main()


def test_the_docs_say_what_was_measured() -> None:
    (kept,) = (ROOT / "benchmarks" / "results").glob("scoring-*.json")
    found = json.loads(kept.read_text())
    page = (ROOT / "docs" / "train.md").read_text()
    assert f"scores {found['tidegate']['events_per_s']:,.0f} events a second" in page
    assert f"{found['ratio']:.1f} times" in page
    assert found["ratio"] >= 5
