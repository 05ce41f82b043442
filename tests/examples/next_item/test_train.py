"""The example's configuration trains, in small, on ratings like those of MovieLens."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from tidegate import answers, train
from tidegate.engine import Engine

CONFIG = Path(__file__).parents[3] / "examples" / "next_item" / "train.toml"


def test_the_configuration_gives_a_bundle_that_names_films(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    begins = np.sort(rng.integers(875e6, 893e6, 60))
    pl.DataFrame(
        {
            "user": np.repeat(np.arange(60), 8),
            "film": rng.integers(1, 41, 480),
            "stars": 3.0,
            "time": (begins[:, None] + np.arange(8)).ravel(),
        }
    ).write_csv(tmp_path / "events.csv")
    config = train.load_config(CONFIG)
    replace = msgspec.structs.replace
    config = replace(
        config,
        data=replace(config.data, events=str(tmp_path / "events.csv")),
        train=replace(config.train, epochs=1),
        bundle=replace(config.bundle, out=str(tmp_path / "films")),
    )
    made = train.run(config, quiet=True)
    assert made.provenance["metrics"]["test"]["n"] > 0
    engine = Engine.open(made)
    stepped = engine.step_events(["ann"], {"film": np.array(["7"], object)}, np.array([0.0]))
    [answer] = answers.open(made.task).answer(stepped.outputs)
    assert len(answer["items"]) == 20
