"""Log lines of HDFS and BGL: does the task take token sequences? Plumbing, not a benchmark.

    .venv/bin/python benchmarks/loglines.py --data FOLDER

FOLDER holds ``HDFS_2k.log_structured.csv`` and ``BGL_2k.log_structured.csv`` of
https://github.com/logpai/loghub: 2,000 lines each, with the template of each line. A session is 50
lines, the first 60 % of the lines train, 20 % set the threshold, 20 % are measured. The figure is
the surprise of a line's template in nats, beside what the templates' shares give, and what shares
after each template do (a Markov chain), both with one line added to each count. BGL's lines are
labelled: its average precision is there too, of a few dozen lines, and says little.

Each run (set, seed) writes a file; those that are there are not made again.
"""

from __future__ import annotations

import itertools
import time
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import runs
from numpy.typing import NDArray

from tidegate import tasks
from tidegate.schema import Field, Schema, SchemaConfig
from tidegate.tables import EventTable
from tidegate.tasks import TaskConfig
from tidegate.tasks.config import AnomalyConfig
from tidegate.train import ModelSettings, TrainSettings
from tidegate.train.trained import train_model

WHERE = (
    "get HDFS/ and BGL/ of https://github.com/logpai/loghub and give the folder that holds their "
    "_2k.log_structured.csv"
)
SETS = {"hdfs": "HDFS_2k.log_structured.csv", "bgl": "BGL_2k.log_structured.csv"}
RESULTS = runs.RESULTS / "logs"
LINES = 50
"""Of a session."""
PARTS = (0.6, 0.8)
"""Where validation and test begin."""
SCHEMA = SchemaConfig({"template": Field("category", embedding_size=8)})
TASK = TaskConfig("anomaly", anomaly=AnomalyConfig(false_alarm_rate=0.01))


class LogsRun(msgspec.Struct, frozen=True, kw_only=True):
    """What a set and a seed gave.

    Parameters
    ----------
    set : str
        Of `SETS`.
    seed : int
        Of weights and order.
    templates : int
        That the training part has.
    shares, chain : float
        Nats a line, of the test part's lines that are not labelled anomalies, by counting.
    test : dict of str to float
        The task's metrics.
    cpu_seconds : float
        Of all.
    place : Place
        Where.
    """

    set: str
    seed: int
    templates: int
    shares: float
    chain: float
    test: dict[str, float]
    cpu_seconds: float
    place: runs.Place


def main() -> None:
    """Make the runs that are missing, or print the table."""
    parser = runs.arguments(__doc__, seeds=[0, 1, 2, 3, 4], quick="two epochs")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="with the .csv files")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--epochs", type=int, default=60)
    options = parser.parse_args()
    out = runs.folder_of(options, RESULTS)
    if options.table:
        print(table(out))
        return
    for name in options.sets:
        parts = read(options.data, SETS[name])
        for seed in options.seeds:
            its = partial(make, name, parts, seed, 2 if options.quick else options.epochs)
            path = out / f"{name}-seed{seed}.json"
            runs.once(path, its, lambda run: f"{run.test['nats']:.3f} nats a line")
    print(table(out))


def read(folder: Path | None, name: str) -> list[EventTable]:
    """Read a file's lines: the training, the validation and the test part.

    Raises
    ------
    InputError
        ``no_data``, with where to get it.
    """
    folder = runs.folder_with(folder, [name], WHERE)
    lines = pl.read_csv(folder / name)
    templates = lines["EventId"].to_numpy().astype(object)
    labels = None
    if "Label" in lines.columns:
        labels = (lines["Label"] != "-").cast(pl.Float64).to_numpy()
    sessions = len(templates) // LINES
    ends = [0, *(int(sessions * share) for share in PARTS), sessions]
    found = []
    for first, last in itertools.pairwise(ends):
        rows = np.arange(first * LINES, last * LINES)
        found.append(
            EventTable(
                [str(session) for session in range(first, last)],
                np.arange(0, len(rows) + 1, LINES),
                rows.astype(np.float64),
                {"template": templates[rows]},
                None if labels is None else labels[rows],
                rows,
            )
        )
    return found


def make(name: str, parts: list[EventTable], seed: int, epochs: int) -> LogsRun:
    """Train on the first part, choose by the second, measure on the third."""
    began = time.process_time()
    train, valid, test = parts
    schema = Schema.fit(SCHEMA, train.columns, train.times, train.offsets)
    label = None if train.labels is None else "Label"
    trained = train_model(
        train,
        valid,
        schema=schema,
        task=tasks.fit(TASK, label, train, schema),
        model=ModelSettings(hidden_size=32),
        settings=TrainSettings(
            epochs=epochs, batch_tokens=400, learning_rate=1e-2, patience=15, seed=seed, threads=1
        ),
    )
    known, size = indices(train, schema), schema.categories[0].size
    wanted = indices(test, schema)
    ordinary = np.ones(wanted.shape, bool)
    if test.labels is not None:
        ordinary = test.labels.reshape(wanted.shape) == 0
    return LogsRun(
        set=name,
        seed=seed,
        templates=size - 1,
        shares=float(shares(known, wanted, size)[ordinary].mean()),
        chain=float(chain(known, wanted, size)[ordinary].mean()),
        test=trained.evaluate(test),
        cpu_seconds=round(time.process_time() - began, 1),
        place=runs.Place.here(),
    )


def indices(part: EventTable, schema: Schema) -> NDArray[np.int64]:
    """Return the schema's index of each template, (sessions, lines)."""
    rows = schema.encode(part.columns, part.times, part.offsets).rows
    return rows[:, 0].astype(np.int64).reshape(-1, LINES)


def shares(known: NDArray[np.int64], wanted: NDArray[np.int64], size: int) -> NDArray[np.float64]:
    """Return the nats of each line by the templates' shares.

    Examples
    --------
    >>> shares(np.array([[1, 1, 2]]), np.array([[1]]), 3).round(4)
    array([[0.6931]])
    """
    counts = np.bincount(known.ravel(), minlength=size) + 1.0
    return np.asarray(-np.log(counts / counts.sum())[wanted])


def chain(known: NDArray[np.int64], wanted: NDArray[np.int64], size: int) -> NDArray[np.float64]:
    """Return the nats of each line after the one before; the first after "none" (index `size`).

    Examples
    --------
    >>> chain(np.array([[1, 1, 2]]), np.array([[1, 2]]), 3).round(4)
    array([[0.6931, 0.9163]])
    """
    counts = np.ones((size + 1, size))

    def before(lines: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.concatenate([np.full((len(lines), 1), size), lines[:, :-1]], axis=1)

    np.add.at(counts, (before(known), known), 1.0)
    counts /= counts.sum(axis=1, keepdims=True)
    return np.asarray(-np.log(counts[before(wanted), wanted]))


def table(folder: Path) -> str:
    """Write the runs of a folder as Markdown."""
    groups: dict[str, list[LogsRun]] = {}
    for path in sorted(folder.glob("*.json")):
        run = msgspec.json.decode(path.read_bytes(), type=LogsRun)
        groups.setdefault(run.set, []).append(run)
    rows = []
    for name in SETS:
        if found := groups.get(name):
            precisions = [
                run.test["average_precision"] for run in found if "average_precision" in run.test
            ]
            rows.append(
                [
                    name.upper(),
                    f"{found[0].templates}",
                    f"{found[0].shares:.2f}",
                    f"{found[0].chain:.2f}",
                    runs.spread([run.test["nats"] for run in found], 2),
                    runs.spread(precisions, 2) if precisions else "",
                    f"{len(found)}",
                ]
            )
    header = ("set", "templates", "shares", "Markov", "GRU", "average precision", "seeds")
    return runs.markdown(header, rows, words=1)


if __name__ == "__main__":
    runs.script(main)
