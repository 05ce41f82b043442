"""MovieLens-100K: how often the film that somebody rates next is among the first twenty.

    .venv/bin/python benchmarks/movielens.py
    .venv/bin/python benchmarks/movielens.py --table

A session is a user; its events are his ratings in the order of their times, those of the same
second in the order of the file, which is random. The model sees films alone. The 80,001st rating of
all, by time, begins the validation part, the 90,001st the test part: nothing from there on is
learned from, and what is foretold there is told from all that the user did before. For each rating
of a part but a user's first, all films are ranked; a film that training never met counts as a miss.
Epoch and settings are chosen by recall on validation.

Ranks are given twice: among all films, and among those that the user has not rated yet, which is
what a site would show, since nobody rates a film twice here.

Each run (model, seed) writes a file; those that are there are not made again, so Ctrl-C loses one
run at most.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import runs
import torch
from numpy.typing import NDArray
from rich.progress import Progress

from tidegate import answers, tables, tasks
from tidegate.answers import ranking
from tidegate.data import datasets, movielens
from tidegate.nn import Network
from tidegate.schema import Field, Schema, SchemaConfig
from tidegate.spec import TaskSpec
from tidegate.tables import EventTable
from tidegate.tasks import item_baselines as baselines
from tidegate.tasks.config import ItemsConfig, TaskConfig
from tidegate.train import ModelSettings, Sequences, TrainSettings, fit
from tidegate.train.progress import Listener
from tidegate.train.repeatable import repeatable

K = 20
RESULTS = runs.RESULTS / "movielens"
PARTS = ("train", "valid", "test")
SHARES = (0.8, 0.9)
"""Of all ratings, by time, are before the validation and the test part."""

UNITS = 128
SETTINGS = TrainSettings(
    epochs=10,
    batch_tokens=1500,
    learning_rate=1e-2,
    warmup_steps=20,
    patience=10,
    diagnostics=False,
)
LOSSES = {
    "gru": ItemsConfig(k=K, shared_embedding=True),
    "gru-sampled": ItemsConfig(
        k=K,
        loss="sampled",
        negatives=384,
        batch_negatives=128,
        sample_alpha=1.0,
        shared_embedding=True,
    ),
    "gru-bpr-max": ItemsConfig(
        k=K,
        loss="bpr_max",
        negatives=384,
        batch_negatives=128,
        sample_alpha=0.0,
        bpr_reg=4.0,
        shared_embedding=True,
    ),
}
RULES: dict[str, tuple[type, str, tuple[float, ...]]] = {
    "popularity": (baselines.Popularity, "", ()),
    "session popularity": (baselines.SessionPopularity, "", ()),
    "markov": (baselines.Markov, "backoff", (10, 300, 3000)),
    "item-knn": (baselines.ItemKNN, "", ()),
    "item-knn of the last few": (baselines.ItemKNN, "last", (2, 3, 5, 10)),
}
"""Each with what is chosen on validation."""
NAMES = {
    "popularity": "popularity",
    "session popularity": "popularity in the session",
    "markov": "Markov, backing off",
    "item-knn": "item-kNN of the last film (GRU4Rec's)",
    "item-knn of the last few": "item-kNN of the last few films",
    "gru": "GRU, cross-entropy of all films",
    "gru-sampled": "GRU, cross-entropy of drawn films",
    "gru-bpr-max": "GRU, BPR-max",
}

Scorer = Callable[[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]], NDArray[Any]]
"""Scores all films after some events; see `item_baselines.Baseline.scores`."""


class Figures(msgspec.Struct, frozen=True):
    """Of the first twenty films.

    Parameters
    ----------
    recall, mrr, ndcg : float
        The right film before those of its score.
    recall_conservative : float
        Behind them.
    """

    recall: float
    mrr: float
    ndcg: float
    recall_conservative: float

    @classmethod
    def of(cls, ranks: Sequence[NDArray[np.float64]]) -> Figures:
        """Measure ranks of the two tie modes."""
        first, last = ranks
        found = (metric(first, K) for metric in (ranking.recall, ranking.mrr, ranking.ndcg))
        return cls(*found, ranking.recall(last, K))


class Found(msgspec.Struct, frozen=True):
    """What came of a part: ranked among all films, and among those not rated yet."""

    n: int
    all: Figures
    unseen: Figures


class FilmRun(runs.Run, frozen=True, kw_only=True):
    """What a model and a seed gave.

    Parameters
    ----------
    valid, test : Found
        Of the parts.
    chosen : dict of str to float
        On validation; of a network, the best epoch.
    settings : TrainSettings, optional
        Of a network.
    items : ItemsConfig, optional
        Of a network: its loss.
    """

    valid: Found
    test: Found
    chosen: dict[str, float]
    settings: TrainSettings | None = None
    items: ItemsConfig | None = None


@dataclass(frozen=True, eq=False)
class Part:
    """Histories, and which of their events are foretold.

    Parameters
    ----------
    table : EventTable
        All events of the part's users up to the part's end.
    counts : bool array (events,)
        Whether the event after it, of the same user, is of the part.
    """

    table: EventTable
    counts: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Data:
    """The ratings, in three parts by time.

    Parameters
    ----------
    parts : dict of str to Part
        ``train``, ``valid`` and ``test``.
    schema : Schema
        Fitted on the training part.
    """

    parts: dict[str, Part]
    schema: Schema

    @classmethod
    def of(cls, ratings: pl.DataFrame, units: int) -> Data:
        """Cut ratings: ``user``, ``film``, ``time``; embeddings are as wide as a layer."""
        times = np.sort(ratings["time"].to_numpy())
        valid_from, test_from = (times[int(len(times) * share)] for share in SHARES)
        bounds = (-np.inf, valid_from, test_from, np.inf)
        parts = {
            name: cut(ratings, begin, end)
            for name, begin, end in zip(PARTS, bounds, bounds[1:], strict=False)
        }
        train = parts["train"].table
        config = SchemaConfig({"film": Field("category", embedding_size=units)})
        return cls(parts, Schema.fit(config, train.columns, train.times, train.offsets))

    def items(self, part: str) -> NDArray[np.int64]:
        """Return the index of each event's film; 0 of one that training does not know."""
        return self.rows(part)[:, 0].astype(np.int64)

    def rows(self, part: str) -> NDArray[np.float32]:
        """Return the encoded events."""
        table = self.parts[part].table
        return self.schema.encode(table.columns, table.times, table.offsets).rows


def cut(ratings: pl.DataFrame, begin: float, end: float) -> Part:
    """Take the histories, up to `end`, of users who rated something from `begin` on."""
    past = ratings.filter(pl.col("time") < end)
    there = past.filter(pl.col("time") >= begin)["user"].unique()
    past = past.filter(pl.col("user").is_in(there.implode()))
    table = tables.read(past, session="user", time="time", fields={"film": "category"})
    counts = np.zeros(len(table.times), dtype=bool)
    counts[:-1] = table.times[1:] >= begin
    counts[table.offsets[1:] - 1] = False
    return Part(table, counts)


def main() -> None:
    """Make the runs that are missing, or print the table."""
    parser = runs.arguments(__doc__, seeds=[0, 1, 2, 3, 4], quick="some users, small models")
    models = [*RULES, *LOSSES]
    parser.add_argument("--models", nargs="+", choices=models, default=models)
    options = parser.parse_args()
    out = runs.folder_of(options, RESULTS)
    if options.table:
        print(table(out))
        return
    ratings = movielens.events(datasets.fetch("movielens-100k", progress=print))
    settings, units = SETTINGS, UNITS
    if options.quick:
        ratings = ratings.filter(pl.col("user").str.len_chars() == 1)
        settings, units = msgspec.structs.replace(SETTINGS, epochs=2), 8
    data = Data.of(ratings, units)
    with runs.progress() as bar:
        for model in options.models:
            for seed in options.seeds if model in LOSSES else [0]:
                path = out / f"{model.replace(' ', '-')}-seed{seed}.json"
                its = partial(of_rule, model, data)
                if model in LOSSES:
                    own = msgspec.structs.replace(settings, seed=seed)
                    its = partial(of_network, model, data, units, own, bar)
                runs.once(path, its, lambda run: f"recall {run.test.all.recall:.3f}")
    print(table(out))


def of_rule(name: str, data: Data) -> FilmRun:
    """Fit a rule with each setting, and test what was best on validation."""
    began = time.process_time()
    kind, option, values = RULES[name]
    items, offsets = data.items("train"), data.parts["train"].table.offsets
    size = data.schema.categories[0].size
    best: tuple[Found, baselines.Baseline, dict[str, float]] | None = None
    for chosen in [{option: value} for value in values] or [{}]:
        rule = kind.fit(items, offsets, size, **chosen)
        found = measure(rule.scores, data, "valid")
        if best is None or found.all.recall > best[0].all.recall:
            best = found, rule, chosen
    assert best is not None
    valid, rule, chosen = best
    return FilmRun(
        model=name,
        units=0,
        seed=0,
        parameters=0,
        parameters_of_layer=0,
        path="",
        valid=valid,
        test=measure(rule.scores, data, "test"),
        chosen=chosen,
        cpu_seconds=round(time.process_time() - began, 1),
        threads=1,
        place=runs.Place.here(),
    )


def of_network(
    name: str, data: Data, units: int, settings: TrainSettings, bar: Progress
) -> FilmRun:
    """Train a network, and test its best epoch."""
    began = time.process_time()
    train = data.parts["train"].table
    config = TaskConfig("next_item", field="film", items=LOSSES[name])
    schema = data.schema
    task = tasks.fit(config, None, train, schema)
    half = tasks.open(task)
    model = ModelSettings(hidden_size=units, dropout=0.25, embedding_dropout=0.25)
    spec = msgspec.structs.replace(
        model.spec(schema.width, schema.categories, task.output_size), **half.readout(schema)
    )
    with repeatable(settings.seed, settings.threads):
        network = model.network(spec)
    half.furnish(network, schema)
    learned, watched = (sequences(data, part, task) for part in ("train", "valid"))
    title = f"{name}, seed {settings.seed}"
    with runs.watched(bar, title, settings.epochs) as said:
        result = fit(network, task, learned, watched, settings, listeners=[_Told(said)])
    with repeatable(settings.seed, settings.threads):
        valid, test = (measure(scorer(network), data, part) for part in ("valid", "test"))
    return FilmRun(
        model=name,
        units=units,
        seed=settings.seed,
        parameters=runs.parameters(network),
        parameters_of_layer=runs.parameters(network.layers[0]),
        path="fused",
        valid=valid,
        test=test,
        chosen={"epoch": result.best_epoch},
        settings=settings,
        items=LOSSES[name],
        cpu_seconds=round(time.process_time() - began, 1),
        threads=settings.threads or torch.get_num_threads(),
        place=runs.Place.here(),
    )


class _Told(Listener):
    """Passes each epoch's recall on."""

    def __init__(self, said: Callable[[int, float], None]) -> None:
        self._said = said

    def epoch(self, epoch: Any, watch: str, best: bool) -> None:  # noqa: ARG002
        self._said(epoch.epoch, epoch.metrics[watch])


def sequences(data: Data, part: str, task: TaskSpec) -> Sequences:
    """Return what is learned from or validated on: of histories, the part's own events alone."""
    found, rows = data.parts[part], data.rows(part)
    truth = answers.open(task).truth(found.table, data.schema)
    truth[~found.counts] = np.nan
    targets = tasks.open(task).targets(truth, rows)
    return Sequences(rows, found.table.offsets, truth, targets, found.table.sessions)


def scorer(network: Network) -> Scorer:
    """Return what scores all films with a network, a session at a time."""

    @torch.inference_mode()
    def scores(
        items: NDArray[np.int64], offsets: NDArray[np.int64], events: NDArray[np.int64]
    ) -> NDArray[Any]:
        network.eval()
        found = []
        sessions = np.searchsorted(offsets, events, side="right") - 1
        for session in np.unique(sessions):
            its, start = events[sessions == session], offsets[session]
            rows = torch.from_numpy(items[None, start : its.max() + 1, None].astype(np.float32))
            states, _ = network(rows, head=False)
            found.append(network.head(states[0, its - start]).numpy())
        return np.concatenate(found)

    return scores


def measure(scores: Scorer, data: Data, part: str) -> Found:
    """Rank all films after each event that counts; `scores` gives those of sessions in order."""
    found = data.parts[part]
    items, offsets = data.items(part), found.table.offsets
    events = np.flatnonzero(found.counts)
    truth = items[events + 1].astype(np.float64)
    truth[truth == 0] = np.nan
    ranks: dict[tuple[bool, ranking.Ties], list[NDArray[np.float64]]] = {}
    for some in np.array_split(np.arange(len(events)), max(1, len(events) // 2000)):
        given = items, offsets, events[some]
        full = np.asarray(scores(*given), dtype=np.float64)
        for unseen in (False, True):
            left = baselines.without_seen(full, *given) if unseen else full
            ties: ranking.Ties
            for ties in ("standard", "conservative"):
                ranks.setdefault((unseen, ties), []).append(ranking.ranks(left, truth[some], ties))
    joined = {key: np.concatenate(parts) for key, parts in ranks.items()}
    both = [
        Figures.of([joined[unseen, "standard"], joined[unseen, "conservative"]])
        for unseen in (False, True)
    ]
    return Found(len(events), *both)


def table(folder: Path) -> str:
    """Write the runs of a folder as Markdown."""
    groups: dict[str, list[FilmRun]] = {}
    for run in runs.read(folder, FilmRun):
        groups.setdefault(run.model, []).append(run)
    rows = []
    for model in sorted(groups, key=[*NAMES].index):
        found = groups[model]
        columns = [
            [run.valid.all.recall for run in found],
            [run.test.all.recall for run in found],
            [run.test.all.mrr for run in found],
            [run.test.unseen.recall for run in found],
            [run.test.unseen.mrr for run in found],
        ]
        rows.append(
            [
                NAMES[model] + _chosen(found[0]),
                f"{found[0].parameters:,}" if found[0].parameters else "",
                *(runs.spread(values, 4) for values in columns),
                f"{len(found)}",
                f"{sum(run.cpu_seconds for run in found) / len(found):,.0f}",
            ]
        )
    header = (
        *("model", "parameters", "recall@20, validation", "recall@20", "MRR@20"),
        *("recall@20, unseen", "MRR@20, unseen", "seeds", "CPU seconds a seed"),
    )
    return runs.markdown(header, rows, words=1)


def _chosen(run: FilmRun) -> str:
    return "".join(f" ({name} {value:g})" for name, value in run.chosen.items() if run.units == 0)


if __name__ == "__main__":
    runs.script(main)
