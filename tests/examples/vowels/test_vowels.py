"""From .ts files to events, and the example's configuration on them."""

from __future__ import annotations

from pathlib import Path

import examples_of
import msgspec
import numpy as np
import polars as pl

from tidegate.train import load_config, run

EXAMPLE = Path(__file__).parents[3] / "examples" / "vowels"


def utterances(path: Path, count: int, seed: int) -> None:
    """Nine speakers, of whom each has coefficients of his own."""
    rng = np.random.default_rng(seed)
    lines = ["@data"]
    for place in range(count):
        frames = rng.normal(np.arange(12)[:, None] == place % 9, 0.1, (12, 3))
        told = [",".join(map(str, dimension)) for dimension in frames.tolist()]
        lines.append(":".join([*told, str(1 + place % 9)]))
    path.write_text("\n".join(lines))


def test_the_example_trains(tmp_path: Path) -> None:
    events = examples_of.load("vowels")
    for seed, part in enumerate(("train", "test")):
        utterances(tmp_path / f"{part}.ts", 90, seed)
    events.main(tmp_path, tmp_path / "out")
    found = pl.read_parquet(tmp_path / "out" / "train.parquet")
    assert found.shape == (270, 14)
    assert found["utterance"].n_unique() == 90
    config = load_config(EXAMPLE / "train.toml")
    assert list(config.schema.fields) == found.columns[1:-1]
    small = msgspec.structs.replace
    config = small(
        config,
        data=small(config.data, events=str(tmp_path / "out" / "train.parquet")),
        bundle=small(config.bundle, out=str(tmp_path / "bundle")),
        model=small(config.model, hidden_size=16),
        train=small(config.train, epochs=15, batch_tokens=48),
    )
    bundle = run(config, quiet=True)
    assert bundle.task.classes == tuple("123456789")
    assert bundle.task.temperature not in (None, 1.0)
    assert bundle.provenance["metrics"]["valid"]["accuracy"] > 0.6
