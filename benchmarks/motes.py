"""Labelled sensor motes: how well the next reading's surprise finds 149 labelled anomalies.

    .venv/bin/python benchmarks/motes.py

fetches the readings (npm; examples/anomaly/events.py), trains examples/anomaly/train.toml with
several seeds on the first two hours of four motes, sets the threshold by the third hour, and
measures on the last three, which hold all labelled anomalies; labels are measured against, and
neither learned from nor chosen by. Beside it: an isolation forest (Liu et al. 2008), and a Gaussian
of the changes without any memory, both on the same columns, parts and threshold rule.

Each run (model, seed) writes a file; those that are there are not made again.
"""

from __future__ import annotations

import runpy
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import runs
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

from tidegate import answers
from tidegate.answers.anomaly import threshold
from tidegate.data.datasets import fetch
from tidegate.spec import AnomalySpec, SurprisePart, TaskSpec
from tidegate.tables import EventTable
from tidegate.train import TrainConfig, load_config, parts
from tidegate.train.trained import train_model

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "anomaly"
RESULTS = runs.RESULTS / "motes"
MODELS = ("gru", "lstm", "forest", "gaussian")
TITLES = {
    "gru": "GRU, surprise",
    "lstm": "LSTM, surprise",
    "forest": "isolation forest",
    "gaussian": "Gaussian of the changes",
}
SEEDED = ("gru", "lstm", "forest")


class MotesRun(msgspec.Struct, frozen=True, kw_only=True):
    """What a model and a seed gave.

    Parameters
    ----------
    model : str
        Of `MODELS`.
    seed : int
        Of weights and order, or of the forest.
    parameters : int
        Numbers that were learned; 0 of what is no network.
    test : dict of str to float
        The task's metrics on the test part, at the threshold that the validation part set.
    cpu_seconds : float
        Of training, validation and test.
    place : Place
        Where.
    """

    model: str
    seed: int
    parameters: int
    test: dict[str, float]
    cpu_seconds: float
    place: runs.Place


def main() -> None:
    """Make the runs that are missing, or print the table."""
    parser = runs.arguments(__doc__, seeds=[0, 1, 2, 3, 4], quick="two epochs")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--csv", type=Path, metavar="FILE", help="readings that are here already")
    options = parser.parse_args()
    out = runs.folder_of(options, RESULTS)
    if options.table:
        print(table(out))
        return
    config = load_config(EXAMPLE / "train.toml")
    if options.quick:
        quick = msgspec.structs.replace(config.train, epochs=2)
        config = msgspec.structs.replace(config, train=quick)
    readings = pl.read_csv(options.csv or fetch("motes", progress=print) / "motes.csv")
    path = (ROOT / "build" / "motes.parquet").resolve()
    path.parent.mkdir(exist_ok=True)
    # Other examples have a module of this name, too.
    example = runpy.run_path(str(EXAMPLE / "events.py"))
    example["events"](readings).write_parquet(path)
    data = msgspec.structs.replace(config.data, events=str(path))
    config = msgspec.structs.replace(config, data=data)
    for model in options.models:
        for seed in options.seeds if model in SEEDED else [0]:
            file = out / f"{model}-seed{seed}.json"
            its = partial(make, model, seed, config)
            runs.once(file, its, lambda run: f"{run.test['average_precision']:.3f}")
    print(table(out))


def make(model: str, seed: int, config: TrainConfig) -> MotesRun:
    """Train on the first part, set the threshold by the second, measure on the third."""
    began = time.process_time()
    prepared = parts.prepare(config)
    train, valid, test = prepared.train, prepared.valid, prepared.test
    assert test is not None
    size = 0
    if model in ("gru", "lstm"):
        trained = train_model(
            train,
            valid,
            schema=prepared.schema,
            task=prepared.task,
            model=msgspec.structs.replace(config.model, cell=model),
            settings=msgspec.structs.replace(config.train, seed=seed),
        )
        found, size = trained.evaluate(test), trained.spec.parameters
    else:
        assert config.task.anomaly is not None
        rate = config.task.anomaly.false_alarm_rate
        score = forest(train, seed) if model == "forest" else gaussian(train)
        found = measure(score(valid), score(test), labels(test), rate)
    seconds = round(time.process_time() - began, 1)
    return MotesRun(
        model=model,
        seed=seed,
        parameters=size,
        test=found,
        cpu_seconds=seconds,
        place=runs.Place.here(),
    )


Score = Callable[[EventTable], NDArray[np.float64]]


def forest(train: EventTable, seed: int) -> Score:
    """Fit an isolation forest on all columns."""
    fitted = IsolationForest(random_state=seed).fit(matrix(train))
    return lambda part: -fitted.score_samples(matrix(part))


def gaussian(train: EventTable) -> Score:
    """Fit a Gaussian to the changes: its score is the squared Mahalanobis distance."""
    seen = matrix(train, suffix="_change")
    mean, inverse = seen.mean(axis=0), np.linalg.inv(np.cov(seen.T))

    def score(part: EventTable) -> NDArray[np.float64]:
        off = matrix(part, suffix="_change") - mean
        return np.asarray(np.einsum("ni,ij,nj->n", off, inverse, off))

    return score


def labels(part: EventTable) -> NDArray[np.float64]:
    """Return 1 of an anomaly, 0 of another reading."""
    assert part.labels is not None
    return np.asarray(part.labels, dtype=np.float64)


def matrix(part: EventTable, suffix: str = "") -> NDArray[np.float64]:
    """Return the columns whose names end so, (events, columns)."""
    chosen = [column for name, column in part.columns.items() if name.endswith(suffix)]
    return np.stack(chosen, axis=1)


def measure(
    valid: NDArray[np.float64], test: NDArray[np.float64], truth: NDArray[np.float64], rate: float
) -> dict[str, float]:
    """Measure scores as the task measures a model's, but for what is a likelihood there."""
    spec = AnomalySpec(("score",), (SurprisePart("gaussian", 0, 0),), threshold(valid, rate), rate)
    half = answers.open(TaskSpec("anomaly", "anomaly", anomaly=spec))
    found = half.metrics(np.stack([test, test], axis=1), truth)
    return {name: value for name, value in found.items() if name != "nats"}


def table(folder: Path) -> str:
    """Write the runs of a folder as Markdown."""
    groups: dict[str, list[MotesRun]] = {}
    for path in sorted(folder.glob("*.json")):
        run = msgspec.json.decode(path.read_bytes(), type=MotesRun)
        groups.setdefault(run.model, []).append(run)
    figures = ("average_precision", "auc", "precision", "recall", "false_alarm_rate")
    rows = [
        [
            TITLES[model],
            *(
                runs.spread([run.test[name] for run in found if name in run.test] or [0.0], 3)
                for name in figures
            ),
            f"{found[0].parameters:,}" if found[0].parameters else "",
            f"{len(found)}",
            f"{sum(run.cpu_seconds for run in found) / len(found):,.0f}",
        ]
        for model in MODELS
        if (found := groups.get(model))
    ]
    header = (
        *("model", "average precision", "ROC AUC", "precision", "recall", "false alarms"),
        *("parameters", "seeds", "CPU seconds a seed"),
    )
    return runs.markdown(header, rows, words=1)


if __name__ == "__main__":
    runs.script(main)
