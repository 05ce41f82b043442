"""``tidegate evaluate``: early answers, and the likeliest of two classes."""

from __future__ import annotations

import dataclasses
import hashlib

import msgspec
import polars as pl
import pytest
from command import said, tidegate

from tidegate import bundle as bundles


@pytest.fixture
def per_session(make_bundle, tmp_path):
    made = make_bundle()
    task = msgspec.structs.replace(made.task, per="session")
    bundles.save(dataclasses.replace(made, task=task), tmp_path / "b")
    return tmp_path / "b"


def test_early_answers_end_with_those_of_whole_sessions(per_session, frame, tmp_path) -> None:
    source = tmp_path / "events.parquet"
    frame.with_columns(late=pl.lit("yes")).write_parquet(source)
    whole = said("evaluate", per_session, source)
    report = said("evaluate", per_session, source, "--early")
    assert report["metrics"] == whole["metrics"]
    assert [each["share"] for each in report["early"]] == [tenth / 10 for tenth in range(1, 11)]
    assert report["early"][-1]["metrics"] == whole["metrics"]
    assert {each["metrics"]["n"] for each in report["early"]} == {3}
    assert len({each["metrics"]["brier"] for each in report["early"]}) == 10
    printed = tidegate("evaluate", per_session, source, "--early")
    assert printed.returncode == 0
    assert all(f" {share}0% " in printed.stdout for share in range(1, 11))


def test_labels_of_events_have_no_early_answers(saved_bundle, frame, tmp_path) -> None:
    frame.write_parquet(tmp_path / "events.parquet")
    done = tidegate("evaluate", saved_bundle, tmp_path / "events.parquet", "--early")
    assert done.returncode == 3
    assert "not_early" in done.stderr


def test_the_precision_of_the_likeliest(saved_bundle, frame, tmp_path) -> None:
    source, out = tmp_path / "events.parquet", tmp_path / "answers.parquet"
    frame.write_parquet(source)
    metrics = said("evaluate", saved_bundle, source, "--top", "5", "--top", "1")["metrics"]
    said("score", saved_bundle, source, "--out", out)
    scored = frame.with_columns(p=pl.read_parquet(out)["probabilities.yes"])
    known = scored.filter(pl.col("late").is_not_null()).sort("p", descending=True)
    for k in (1, 5):
        expected = (known["late"][:k] == "yes").mean()
        assert metrics[f"precision_at_{k}"] == pytest.approx(expected)
    done = tidegate("evaluate", saved_bundle, source, "--top", "61")
    assert done.returncode == 3
    assert "--top" in done.stderr


def test_events_that_the_model_was_made_from_are_told(saved_bundle, frame, tmp_path) -> None:
    source = tmp_path / "events.parquet"
    frame.write_parquet(source)
    assert "note:" not in tidegate("evaluate", saved_bundle, source).stderr
    made = bundles.load(saved_bundle)
    known = {"file": source.name, "sha256": hashlib.sha256(source.read_bytes()).hexdigest()}
    provenance = {**made.provenance, "data": known}
    bundles.save(dataclasses.replace(made, provenance=provenance), tmp_path / "b")
    done = tidegate("evaluate", tmp_path / "b", source)
    assert done.returncode == 0
    assert "note: these are the events that the model was made from" in done.stderr
    done = tidegate("report", tmp_path / "b", source, "--out", tmp_path / "page.html")
    assert "note: these are the events" in done.stderr
    assert "Mind that these are the events" in (tmp_path / "page.html").read_text()
