"""The cut by time, worked by hand, and what the script makes of a few ratings."""

from __future__ import annotations

from pathlib import Path

import movielens
import msgspec
import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from rich.progress import Progress

from tidegate import tasks
from tidegate.bench import results
from tidegate.tasks.config import TaskConfig

ROOT = Path(__file__).parents[2]


@pytest.fixture
def ratings() -> pl.DataFrame:
    """40 users; each sees films in a circle, some of them in the same second."""
    rng = np.random.default_rng(1)
    rows = []
    for user in range(40):
        film, begin = int(rng.integers(12)), int(rng.integers(1000))
        seconds = begin + np.sort(rng.integers(0, 30, 10))
        rows += [(f"u{user}", f"f{(film + at) % 12}", float(t)) for at, t in enumerate(seconds)]
    return pl.DataFrame(rows, schema=["user", "film", "time"], orient="row")


def test_a_part_foretells_what_comes_in_its_time_from_all_before() -> None:
    rows = [("a", "x", 1), ("a", "y", 2), ("b", "x", 3), ("a", "z", 4), ("b", "y", 5)]
    ratings = pl.DataFrame(rows, schema=["user", "film", "time"], orient="row")
    ratings = ratings.with_columns(pl.col("time").cast(pl.Float64))
    part = movielens.cut(ratings, 4.0, 5.0)
    assert part.table.sessions == ["a"]  # b does nothing then
    assert part.table.columns["film"].tolist() == ["x", "y", "z"]
    assert part.counts.tolist() == [False, True, False]
    part = movielens.cut(ratings, 5.0, np.inf)
    assert part.table.sessions == ["b"]
    assert part.counts.tolist() == [True, False]
    part = movielens.cut(ratings, -np.inf, 4.0)  # training: nothing of later
    assert part.table.columns["film"].tolist() == ["x", "y", "x"]
    assert part.counts.tolist() == [True, False, False]


def test_an_epoch_is_chosen_by_what_is_measured(ratings: pl.DataFrame) -> None:
    data = movielens.Data.of(ratings, 16)
    config = TaskConfig("next_item", field="film", items=movielens.LOSSES["gru"])
    task = tasks.fit(config, None, data.parts["train"].table, data.schema)
    watched = movielens.sequences(data, "valid", task)
    part = data.parts["valid"]
    counts = part.counts
    assert 0 < counts.sum() < len(counts) - len(part.table.sessions)  # some is history
    np.testing.assert_array_equal(np.isfinite(watched.labels), counts)


def test_a_film_that_training_never_met_is_a_miss(ratings: pl.DataFrame) -> None:
    late = pl.DataFrame({"user": ["u0"], "film": ["new"], "time": [2000.0]})
    data = movielens.Data.of(pl.concat([ratings, late]), 16)

    def oracle(
        items: NDArray[np.int64], _: object, events: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        scores = np.zeros((len(events), data.schema.categories[0].size))
        scores[np.arange(len(events)), items[events + 1]] = 1.0
        return scores

    found = movielens.measure(oracle, data, "test")
    assert found.all.recall == found.all.mrr == pytest.approx(1 - 1 / found.n)
    tied = movielens.measure(lambda *given: 0.0 * oracle(*given), data, "test")
    assert tied.all.mrr > 0.9
    assert tied.all.recall_conservative == pytest.approx(1 - 1 / found.n)  # 13 films, all in 20


def test_a_network_learns_and_its_figures_are_kept(
    ratings: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(movielens, "K", 1)
    data = movielens.Data.of(ratings, 16)
    settings = msgspec.structs.replace(
        movielens.SETTINGS, epochs=12, batch_tokens=60, learning_rate=0.02, patience=12
    )
    with Progress(disable=True) as bar:
        networks = [
            movielens.of_network(loss, data, 16, settings, bar) for loss in movielens.LOSSES
        ]
    markov, popular = (movielens.of_rule(name, data) for name in ("markov", "popularity"))
    films = data.schema.categories[0].size
    for network in networks:
        # The head's matrix is the embedding's.
        assert network.parameters - network.parameters_of_layer == films * (16 + 1)
        assert network.test.all.recall > popular.test.all.recall
        assert network.valid.n == markov.valid.n > 0
    assert markov.chosen.keys() == {"backoff"}
    made = [*networks, markov, popular]
    for run in made:
        results.save(tmp_path / f"{run.model}.json", run)
    shown = movielens.table(tmp_path).splitlines()
    assert [line.split(" | ")[0] for line in shown[2:]] == [
        "| popularity",
        f"| Markov, backing off (backoff {markov.chosen['backoff']:g})",
        "| GRU, cross-entropy of all films",
        "| GRU, cross-entropy of drawn films",
        "| GRU, BPR-max",
    ]


def test_the_docs_hold_the_runs_that_are_kept() -> None:
    page = (ROOT / "docs" / "results.md").read_text()
    assert movielens.table(movielens.RESULTS) in page
