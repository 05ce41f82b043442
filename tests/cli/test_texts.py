"""The verbs that read tables, on models that name but a few of many tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from command import said
from texts import language_bundle

from tidegate import answers
from tidegate import bundle as bundles
from tidegate.engine import offline


def test_score_and_evaluate_a_language_model(tmp_path: Path) -> None:
    bundles.save(language_bundle(tuple("eta o\nin")), tmp_path / "bundle")
    texts = {"a": "note that\n", "b": "an ox"}
    rows = [(name, letter) for name, text in texts.items() for letter in text]
    pl.DataFrame(rows, schema=["text", "token"], orient="row").write_parquet(tmp_path / "e.parquet")
    said("score", tmp_path / "bundle", tmp_path / "e.parquet", "--out", tmp_path / "a.parquet")
    got = pl.read_parquet(tmp_path / "a.parquet")
    assert got.columns == ["session", "seq", "time", "token", "probability"]

    bundle = bundles.load(tmp_path / "bundle")
    columns = {"token": np.array([letter for _, letter in rows], dtype=object)}
    offsets = np.array([0, 10, 15])
    outputs = offline.outputs(offline.open(bundle), columns, np.zeros(15), offsets)
    wanted = answers.open(bundle.task).answer(outputs)
    assert got["token"].to_list() == [each["token"] for each in wanted]
    assert got["probability"].to_list() == [e["probabilities"][e["token"]] for e in wanted]

    found = said("evaluate", tmp_path / "bundle", tmp_path / "e.parquet")["metrics"]
    assert found["n"] == 13
    assert found["perplexity"] > 1
